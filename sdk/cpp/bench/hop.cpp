// What a hop through this SDK costs: a stage in a process of its own, fed by the smallest possible runtime.
//
//   hop [seconds [handler]]
//
// Each line is one handler and batch size: events a second, the stage's CPU time for a batch and for an
// event. The input is `type`, a dictionary of four values, and `value`, int64; payloads are in shared memory,
// four batches in flight (64 of one row). The feeder fills the segment once and sends the same slots again
// and again, so that its own work is small.
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <modular_runtime/run.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "frame.hpp"
#include "message.hpp"
#include "protobuf.hpp"
#include "segment.hpp"
#include "serve.hpp"
#include "table.hpp"

using namespace modular_runtime;

namespace {

const Schema& columns() {
  static const Schema schema{{"type", "string"}, {"value", "int64"}};
  return schema;
}

constexpr std::uint64_t segment_bytes = 16 << 20;
constexpr std::uint64_t inline_max = 4096;

// The batch that is sent again and again.
Batch sample(std::size_t rows, std::vector<std::uint8_t>& codes, std::vector<std::int64_t>& values) {
  static const std::array<std::int32_t, 5> offsets = {0, 4, 9, 17, 23};
  codes.resize(rows);
  values.resize(rows);
  std::uint64_t random = 88172645463325252;
  for (std::size_t row = 0; row < rows; ++row) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    codes[row] = random % 4;
    values[row] = static_cast<std::int64_t>(random >> 8) % 100;
  }
  Column type;
  type.type = Type::string;
  type.is_dictionary = true;
  type.rows = static_cast<std::uint32_t>(rows);
  type.dictionary_size = 4;
  type.values = codes.data();
  type.offsets = offsets.data();
  type.bytes = "viewclickpurchasesearch";
  Column value;
  value.type = Type::int64;
  value.rows = type.rows;
  value.values = values.data();
  return {std::make_shared<const Schema>(columns()), rows, {type, value}};
}

std::string schema_bytes(const Schema& schema) {
  FieldWriter writer;
  for (const Field& field : schema.fields()) {
    FieldWriter column;
    column.text(1, field.name).whole(2, static_cast<std::uint64_t>(field.type));
    writer.message(1, column.whole(3, field.is_nullable ? 1 : 0).written());
  }
  return writer.written();
}

std::string open_bytes(std::uint32_t window, const Schema& output) {
  FieldWriter open;
  open.whole(1, message::protocol).text(3, "hop").text(4, "{}").message(5, schema_bytes(columns()));
  open.message(6, schema_bytes(output)).whole(7, window).whole(8, segment_bytes).whole(9, inline_max);
  open.whole(10, segment_bytes).whole(11, segment_bytes);
  return FieldWriter().message(1, open.written()).written();
}

struct Case {
  const char* name;
  Stage stage;
  Schema output = columns();
};

struct Cost {
  double seconds = 0;
  double cpu_seconds = 0;
  std::uint64_t batches = 0;
};

// The runtime's end.
class Feeder {
 public:
  Feeder(int socket, int input)
      : reader_(socket), writer_(socket), input_(input, segment_bytes, Segment::Access::write) {
    reader_.payload_max(1 << 20);
  }

  void open(std::uint32_t window, const Schema& output) {
    const std::string bytes = open_bytes(window, output);
    writer_.add(std::as_bytes(std::span(bytes)), 0);
    writer_.flush();
    while (kind_of(next()) != ready) {
    }
  }

  // Sends the batch again and again, for so long.
  std::uint64_t feed(const Batch& batch, std::uint32_t window, double seconds) {
    const Rows all{0, batch.rows()};
    const std::uint64_t bytes = table_bytes(batch, all);
    std::string payload(bytes, 0);
    write_table(batch, all, reinterpret_cast<std::byte*>(payload.data()));
    const std::uint64_t stride = (bytes + 63) & ~std::uint64_t{63};
    const bool is_inline = bytes <= inline_max;
    for (std::uint32_t slot = 0; !is_inline && slot < window; ++slot) {
      std::memcpy(input_.data() + slot * stride, payload.data(), bytes);
    }
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    std::uint64_t sent = 0;
    while (std::chrono::steady_clock::now() < end || credited_ < sent) {
      const bool is_over = std::chrono::steady_clock::now() >= end;
      for (; !is_over && sent < credited_ + window; ++sent) {
        const std::uint64_t offset = is_inline ? message::inline_offset : sent % window * stride;
        std::byte* const at = writer_.add(message::batch({sent, offset, static_cast<std::uint32_t>(bytes),
                                                          static_cast<std::uint32_t>(batch.rows()),
                                                          message::Form::table, message::no_input}),
                                          is_inline ? bytes : 0);
        if (is_inline) std::memcpy(at, payload.data(), bytes);
      }
      if (credited_ < sent) take();
    }
    return sent;
  }

  void end() {
    const std::string bytes = FieldWriter().message(6, "").written();
    writer_.add(std::as_bytes(std::span(bytes)), 0);
    writer_.flush();
    while (kind_of(next()) != done) {
    }
  }

 private:
  static constexpr std::uint8_t ready = 0x0a;
  static constexpr std::uint8_t batch = 0x12;
  static constexpr std::uint8_t credit = 0x1a;
  static constexpr std::uint8_t done = 0x42;

  static std::uint8_t kind_of(const Frame& frame) { return static_cast<std::uint8_t>(frame.message[0]); }

  Frame next() {
    Frame frame;
    while (!reader_.buffered(frame)) {
      if (reader_.fill(FrameReader::Wait::no) != FrameReader::Outcome::nothing) continue;
      if (!writer_.empty()) writer_.flush();
      if (reader_.fill(FrameReader::Wait::yes) == FrameReader::Outcome::end) {
        throw std::runtime_error("the stage has gone");
      }
    }
    return frame;
  }

  // One frame; what a stage sends is credited at once.
  void take() {
    const Frame frame = next();
    if (kind_of(frame) == credit) ++credited_;
    if (kind_of(frame) != batch) return;
    std::uint64_t seq;
    std::memcpy(&seq, frame.message.data() + 3, 8);
    writer_.add(message::credit({seq, 0, 0}), 0);
  }

  FrameReader reader_;
  FrameWriter writer_;
  Segment input_;
  std::uint64_t credited_ = 0;
};

double cpu_of_children() {
  rusage usage{};
  ::getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Cost measure(const Case& one, std::size_t rows, double seconds) {
  const std::uint32_t window = rows == 1 ? 64 : 4;
  std::array<int, 2> ends{};
  const int input = ::memfd_create("input", 0);
  const int output = ::memfd_create("output", 0);
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0 || ::ftruncate(input, segment_bytes) != 0 ||
      ::ftruncate(output, segment_bytes) != 0) {
    throw std::runtime_error("cannot make a socket and segments");
  }
  const double cpu_before = cpu_of_children();
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    ::_exit(serve(one.stage, {ends[1], input, output}));
  }
  ::close(ends[1]);
  Cost cost;
  {
    std::vector<std::uint8_t> codes;
    std::vector<std::int64_t> values;
    Feeder feeder(ends[0], input);
    feeder.open(window, one.output);
    const auto begin = std::chrono::steady_clock::now();
    cost.batches = feeder.feed(sample(rows, codes, values), window, seconds);
    cost.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    feeder.end();
  }
  ::close(ends[0]);
  ::close(input);
  ::close(output);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) throw std::runtime_error("the stage has failed");
  cost.cpu_seconds = cpu_of_children() - cpu_before;
  return cost;
}

Selection wanted_rows(const Batch& batch) {
  const Strings type = batch.string("type");
  const auto value = batch.int64("value");
  std::array<bool, 256> is_view{};
  for (std::size_t code = 0; code < type.dictionary_size(); ++code)
    is_view[code] = type.value(code) == "view";
  return Selection(batch.rows(), [&, codes = type.codes()](std::size_t row) {
    return !is_view[codes[row]] && value[row] >= 10;
  });
}

std::vector<Case> cases() {
  const auto is_wanted = [](const auto& event) {
    return event.string("type") != "view" && event.int64("value") >= 10;
  };
  return {{"all, batches", transform([](const Batch& batch) { return batch; })},
          {"filter, batches", filter(wanted_rows)},
          {"filter, events", filter(is_wanted)},
          {"optional<Event>",
           transform([=](Event event) { return is_wanted(event) ? std::optional(event) : std::nullopt; })},
          {"take, batches", transform([](const Batch& batch) { return batch.take(wanted_rows(batch)); })},
          {"set one column",
           transform([](Event event) { return event.set("value", *event.int64("value") + 1); })},
          {"new event", transform([](const Event& event) {
             return Event{{"key", event.string("type")}, {"doubled", *event.int64("value") * 2}};
           }),
           Schema{{"key", "string"}, {"doubled", "int64"}}}};
}

}  // namespace

int main(int count, char** arguments) {
  const double seconds = count > 1 ? std::atof(arguments[1]) : 0.1;
  std::printf("%-16s %6s %10s %14s %14s\n", "handler", "rows", "M events/s", "CPU µs/batch", "CPU ns/event");
  for (const Case& one : cases()) {
    if (count > 2 && std::string_view(one.name) != arguments[2]) continue;
    for (const std::size_t rows : {std::size_t{1}, std::size_t{1000}, std::size_t{32768}}) {
      const Cost cost = measure(one, rows, seconds);
      const auto batches = static_cast<double>(cost.batches);
      const double events = batches * static_cast<double>(rows);
      std::printf("%-16s %6zu %10.3f %14.2f %14.2f\n", one.name, rows, events / cost.seconds / 1e6,
                  cost.cpu_seconds / batches * 1e6, cost.cpu_seconds / events * 1e9);
    }
  }
}
