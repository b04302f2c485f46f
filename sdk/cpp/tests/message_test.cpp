// Messages against the golden ones.
#include "message.hpp"

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "protobuf.hpp"
#include "table.hpp"
#include "text.hpp"
#include "vectors.hpp"

using namespace modular_runtime;

namespace {

std::string message_of(const std::string& frame) {
  std::array<std::uint32_t, 2> lengths;
  std::memcpy(lengths.data(), frame.data(), 8);
  check(frame.size(), 8 + lengths[0] + lengths[1]);
  return frame.substr(8, lengths[0]);
}

template <std::size_t size>
std::string text_of(const std::array<std::byte, size>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), size};
}

// 64-bit numbers are strings in the vectors, and what is 0 is absent.
std::uint64_t number(const Config& said, std::string_view name) {
  const Config* const member = said.find(name);
  if (member == nullptr) return 0;
  const std::string wrong = thrown([&] { member->int64(); });
  return wrong == "nothing" ? static_cast<std::uint64_t>(member->int64()) : std::stoull(member->string());
}

std::string text(const Config& said, std::string_view name) { return said.string(name, ""); }

std::optional<Schema> schema(const Config* said) {
  if (said == nullptr) return std::nullopt;
  std::vector<Field> fields;
  if (const Config* list = said->find("fields")) {
    for (const Config& field : list->list()) {
      constexpr std::array<std::string_view, 6> types = {"TYPE_BOOL",   "TYPE_INT64",  "TYPE_FLOAT64",
                                                         "TYPE_STRING", "TYPE_BINARY", "TYPE_TIMESTAMP"};
      std::size_t type = 0;
      while (types.at(type) != field.string("type")) ++type;
      fields.emplace_back(text(field, "name"), static_cast<Type>(type + 1), field.boolean("nullable", false));
    }
  }
  return Schema(std::move(fields));
}

void check_open(const message::Open& open, const Config& said) {
  check(open.protocol, number(said, "protocol"));
  check(open.generation, number(said, "generation"));
  check(open.stage, text(said, "stage"));
  check(open.config, text(said, "config"));
  check(open.input == schema(said.find("input")), true);
  check(open.output == schema(said.find("output")), true);
  check(open.window_batches, number(said, "window_batches"));
  check(open.window_bytes, number(said, "window_bytes"));
  check(open.inline_max, number(said, "inline_max"));
  check(open.input_segment, number(said, "input_segment"));
  check(open.output_segment, number(said, "output_segment"));
  check(open.state_chunks, number(said, "state_chunks"));
  check(open.replica, number(said, "replica"));
  check(open.replicas, number(said, "replicas"));
  check(open.unmeasured, said.boolean("unmeasured", false));
  const Config* const policy = said.find("policy");
  check(open.policy.rows, policy == nullptr ? 0 : number(*policy, "rows"));
  check(open.policy.linger_us, policy == nullptr ? 0 : number(*policy, "linger_us"));
}

message::Batch batch_of(const Config& said) {
  return {number(said, "seq"),
          number(said, "offset"),
          static_cast<std::uint32_t>(number(said, "length")),
          static_cast<std::uint32_t>(number(said, "rows")),
          static_cast<message::Form>(number(said, "form")),
          number(said, "input")};
}

message::Credit credit_of(const Config& said) {
  return {number(said, "seq"), static_cast<std::uint32_t>(number(said, "events")),
          static_cast<std::uint32_t>(number(said, "filtered"))};
}

void check_read(const std::string& bytes, const std::string& kind, const Config& said) {
  const message::ToStage read = message::read(std::as_bytes(std::span(bytes)));
  if (kind == "open") {
    check_open(std::get<message::Open>(read), said);
  } else if (kind == "batch") {
    check(text_of(message::batch(std::get<message::Batch>(read))), text_of(message::batch(batch_of(said))));
  } else if (kind == "credit") {
    check(text_of(message::credit(std::get<message::Credit>(read))),
          text_of(message::credit(credit_of(said))));
  } else if (kind == "state") {
    check(std::get<message::State>(read).index, number(said, "index"));
  } else if (kind == "barrier") {
    check(std::get<message::Barrier>(read).epoch, number(said, "epoch"));
  } else {
    check(kind == "end" ? read.index() : read.index() - 1, message::ToStage(message::End{}).index());
  }
}

std::string failed(const Config& said) {
  Failure failure;
  failure.code = text(said, "code");
  failure.message = text(said, "message");
  failure.detail = text(said, "detail");
  failure.text_offset = number(said, "text_offset");
  failure.text_length = number(said, "text_length");
  failure.event = text(said, "event");
  if (const Config* rows = said.find("rows")) {
    for (const Config& row : rows->list()) failure.rows.push_back(static_cast<std::uint32_t>(row.int64()));
  }
  return message::failed(failure, number(said, "input"), failure.rows);
}

std::string ready(const Config& said) {
  const std::string role = said.string("role");
  std::string bytes = message::ready(
      role == "ROLE_SOURCE" ? Role::source
      : role == "ROLE_SINK" ? Role::sink
                            : Role::transform,
      said.string("concurrency") == "CONCURRENCY_STATELESS" ? Concurrency::stateless : Concurrency::ordered,
      schema(said.find("output")));
  // The vectors are another SDK's, whose name is longer by as much as both lengths before it say.
  const std::string ours = "cpp 0.1.0";
  const std::string theirs = said.string("sdk");
  bytes.replace(bytes.find(ours), ours.size(), theirs);
  const auto longer = static_cast<char>(theirs.size() - ours.size());
  bytes[1] = static_cast<char>(bytes[1] + longer);
  bytes[bytes.find(theirs) - 1] = static_cast<char>(theirs.size());
  return bytes;
}

std::string activity(const Config& said) {
  message::Activity activity;
  constexpr std::array<std::string_view, 7> names = {"receive", "decode",  "process",      "encode",
                                                     "send",    "starved", "backpressured"};
  for (std::size_t i = 0; i < names.size(); ++i) activity.nanoseconds[i] = number(said, names[i]);
  activity.cpu = number(said, "cpu");
  activity.bytes_read = number(said, "bytes_read");
  activity.bytes_total = number(said, "bytes_total");
  return message::activity(activity);
}

std::string written(const std::string& kind, const Config& said) {
  if (kind == "ready") return ready(said);
  if (kind == "batch") return text_of(message::batch(batch_of(said)));
  if (kind == "credit") return text_of(message::credit(credit_of(said)));
  if (kind == "state") return message::state(static_cast<std::uint32_t>(number(said, "index")));
  if (kind == "snapshot") {
    return message::snapshot(number(said, "epoch"), static_cast<std::uint32_t>(number(said, "chunks")));
  }
  if (kind == "failed") return failed(said);
  if (kind == "activity") return activity(said);
  if (kind == "done") return message::done({text(said, "artifact"), number(said, "rows")});
  return message::committed();
}

void check_golden_messages() {
  for_each_vector("messages", [](const Vector& vector) {
    const auto& [kind, said] = vector.said.at("message").members().front();
    if (vector.said.string("direction") == "ToStage") {
      check_read(message_of(vector.bytes), kind, said);
    } else if (!vector.name.starts_with("from_stage_loose_")) {
      check(written(kind, said) == message_of(vector.bytes), true);
    }
  });
}

void check_text() {
  check(tail("short", 8), "short");
  check(tail("front and end", 3), "end");
  check(tail("ä", 1), "");
  check(tail("aä", 2), "ä");
  check(tail("a\xff"
             "b",
             8),
        "a\xef\xbf\xbd"
        "b");
  check(tail(std::string(10, '\xff'), 10), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  check(tail("\xf0\x9f", 8), "\xef\xbf\xbd\xef\xbf\xbd");
  check(one_line("a\nb\r\nc", 8), "a b  c");
}

}  // namespace

int main() {
  check_golden_messages();
  check_text();
}
