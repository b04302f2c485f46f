// When the ledger changes from one activity to another: the whole sequence, look by look at the clock.
//
// The test owns the clock and the moment before a wait: the linker has it stand in for `steady_clock::now`
// and `recv`. The clock stands still but at one look, when it moves by a nanosecond, so that nothing is ever
// late; what the account is longer by then is what went on until that look. A run for each look gives the
// sequence. What the runtime says next it says when the stage is about to wait, so that no sequence depends
// on how fast anybody is.
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <modular_runtime/run.hpp>
#include <optional>
#include <string>
#include <vector>

#include "check.hpp"
#include "frame.hpp"
#include "message.hpp"
#include "protobuf.hpp"
#include "serve.hpp"
#include "table.hpp"

using namespace modular_runtime;
using std::chrono::steady_clock;

namespace {

// The world of one run, as the stage's thread finds it.
struct World {
  std::size_t looks = 0;
  // At which of them the clock moves; 0: at none.
  std::size_t moves_at = 0;
  int socket = -1;
  // What the runtime says before each wait; after the last of it the runtime goes.
  std::vector<std::string> script;
  std::size_t said = 0;

  void say_next() {
    if (said == script.size()) {
      ::shutdown(socket, SHUT_WR);
    } else {
      const std::string& bytes = script[said++];
      check(::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    }
  }
};

// Present in the stage's thread alone. The watcher of a source sees a clock that stands, and a deadline that
// no test lives to see.
thread_local World* world = nullptr;
const steady_clock::time_point beginning = steady_clock::time_point(std::chrono::hours(24 * 365 * 200));

}  // namespace

steady_clock::time_point looked_at() asm("__wrap__ZNSt6chrono3_V212steady_clock3nowEv");
steady_clock::time_point looked_at() {
  if (world == nullptr) return beginning;
  ++world->looks;
  const bool has_moved = world->moves_at != 0 && world->looks >= world->moves_at;
  return beginning + std::chrono::nanoseconds(has_moved ? 1 : 0);
}

ssize_t received_really(int socket, void* memory, std::size_t bytes, int flags) asm("__real_recv");
ssize_t received(int socket, void* memory, std::size_t bytes, int flags) asm("__wrap_recv");
ssize_t received(int socket, void* memory, std::size_t bytes, int flags) {
  if (world != nullptr && (flags & MSG_DONTWAIT) == 0) world->say_next();
  return received_really(socket, memory, bytes, flags);
}

namespace {

constexpr std::size_t segment_bytes = 1 << 16;
constexpr std::size_t rows = 3;

const std::shared_ptr<const Schema>& columns() {
  static const auto schema = std::make_shared<const Schema>(Schema{{"n", "int64"}});
  return schema;
}

std::string frame(std::string_view message, std::string_view payload = {}) {
  const std::array<std::uint32_t, 2> lengths = {static_cast<std::uint32_t>(message.size()),
                                                static_cast<std::uint32_t>(payload.size())};
  std::string bytes(reinterpret_cast<const char*>(lengths.data()), sizeof lengths);
  return bytes.append(message).append(payload);
}

template <std::size_t size>
std::string frame(const std::array<std::byte, size>& message, std::string_view payload = {}) {
  return frame({reinterpret_cast<const char*>(message.data()), size}, payload);
}

std::string frame(std::uint32_t kind, const FieldWriter& fields = {}) {
  return frame(FieldWriter().message(kind, fields.written()).written());
}

// The same three rows every time.
const std::string& payload() {
  static const std::string bytes = [] {
    BatchBuilder builder(columns());
    for (std::size_t n = 0; n < rows; ++n) builder.append(Event{{"n", static_cast<std::int64_t>(n)}});
    const Batch batch = builder.view();
    std::string table(table_bytes(batch, {0, rows}), 0);
    write_table(batch, {0, rows}, reinterpret_cast<std::byte*>(table.data()));
    return table;
  }();
  return bytes;
}

enum class Carrier : std::uint8_t { inlined, shm };

// What a stage is opened with, and what it is told.
struct Conversation {
  Carrier carrier;
  Role role;
  std::uint32_t window_batches;
  BatchPolicy policy;

  std::string open() const {
    FieldWriter column;
    column.text(1, "n").whole(2, static_cast<std::uint64_t>(Type::int64));
    const std::string schema = FieldWriter().message(1, column.written()).written();
    FieldWriter fields;
    fields.whole(1, message::protocol);
    if (role != Role::source) fields.message(5, schema);
    if (role != Role::sink) fields.message(6, schema);
    fields.whole(7, window_batches).whole(8, 1 << 20);
    if (carrier == Carrier::inlined) {
      fields.whole(9, 1 << 16);
    } else {
      fields.whole(10, segment_bytes).whole(11, segment_bytes);
    }
    fields.message(12, FieldWriter().whole(1, policy.rows).whole(2, policy.linger_us).written());
    return frame(1, fields);
  }
  std::string batch(std::uint64_t seq) const {
    const bool is_inline = carrier == Carrier::inlined;
    const auto length = static_cast<std::uint32_t>(payload().size());
    const std::uint64_t offset = is_inline ? message::inline_offset : 0;
    return frame(message::batch({seq, offset, length, rows, message::Form::table, message::no_input}),
                 is_inline ? payload() : "");
  }
};

std::string credit(std::uint64_t seq) { return frame(message::credit({seq})); }
std::string barrier() { return frame(5, FieldWriter().whole(1, 7)); }
std::string end() { return frame(6); }
std::string commit() { return frame(7); }

// What `serve` is given, and the runtime's end of the socket. Only a conversation over shared memory looks at
// the segments.
struct Ends {
  Ends() {
    check(::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets.data()), 0);
    for (const int segment : segments) check(::ftruncate(segment, segment_bytes), 0);
    const std::string& content = payload();
    check(::pwrite(segments[0], content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
  }
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;
  ~Ends() {
    for (const int descriptor : {sockets[0], sockets[1], segments[0], segments[1]}) ::close(descriptor);
  }

  std::array<int, 2> sockets{};
  std::array<int, 2> segments = {::memfd_create("input", 0), ::memfd_create("output", 0)};
};

// The last `Activity` that the stage has sent before its `Done`.
std::array<std::uint64_t, 7> account(int socket) {
  constexpr std::uint32_t activity = 7;
  constexpr std::uint32_t done = 8;
  std::array<std::uint64_t, 7> spent{};
  FrameReader reader(socket);
  Frame frame;
  for (;;) {
    while (!reader.buffered(frame))
      check(reader.fill(FrameReader::Wait::no) == FrameReader::Outcome::frame, true);
    FieldReader message(frame.message);
    message.next();
    if (message.number() == done) return spent;
    if (message.number() != activity) continue;
    spent = {};
    for (FieldReader fields(message.bytes()); fields.next();) {
      if (fields.number() <= spent.size()) spent[fields.number() - 1] = fields.whole();
    }
  }
}

// What the account holds after a life of the stage, as a letter for each nanosecond.
std::string lived(const Stage& stage, const std::vector<std::string>& script, World& its) {
  const Ends ends;
  its.socket = ends.sockets[0];
  its.script = script;
  world = &its;
  const int code = serve(stage, {ends.sockets[1], ends.segments[0], ends.segments[1]});
  world = nullptr;
  check(code, 0);
  check(its.said, script.size());
  const auto spent = account(ends.sockets[0]);
  std::string letters;
  for (std::size_t i = 0; i < spent.size(); ++i) letters.append(spent[i], "RDPESTB"[i]);
  return letters;
}

// For each look at the clock in the life of a stage, from `Ready` to the last `Activity`, what went on until
// then: Receive, Decode, Process, Encode, Send, sTarved, Backpressured.
std::string looks(const Stage& stage, const std::vector<std::string>& script) {
  World still;
  check(lived(stage, script, still), "");
  std::string all;
  for (std::size_t look = 1; look <= still.looks; ++look) {
    World moving;
    moving.moves_at = look;
    const std::string letter = lived(stage, script, moving);
    check(letter.size() <= 1, true);
    all += letter;
  }
  return all;
}

// Says nothing until the end.
struct Held {
  void process(const Event&, Emitter&) {}
  std::string snapshot() { return "state"; }
  void finish(Emitter& out) { out.emit(Event{{"n", 1}}); }
};

struct Written {
  void write(const Event&) {}
  Prepared prepare() { return {.artifact = "/results.partial", .rows = 6}; }
  void commit() {}
};

struct Four {
  std::optional<Event> next() { return n == 4 ? std::nullopt : std::optional(Event{{"n", n++}}); }
  std::string snapshot() { return std::to_string(n); }

  std::int64_t n = 0;
};

Stage kept() {
  return filter([](const Event&) { return true; });
}
Stage changed() {
  return transform([](const Event& event) { return Event(event).set("n", 7); });
}
Stage handed_on() {
  return transform([](const Batch& batch) { return batch; });
}
Stage selected() {
  return filter(
      [](const Batch& batch) { return Selection(batch.rows(), [](std::size_t row) { return row == 1; }); });
}
Stage in_batches() {
  return sink([](const Batch&) {});
}

// Two batches and a barrier, all there from the start, or each when the stage waits for it.
std::vector<std::string> at_once(const Conversation& how) {
  return {how.open() + how.batch(0) + barrier() + how.batch(1) + end()};
}
std::vector<std::string> one_by_one(const Conversation& how) {
  return {how.open(), how.batch(0), barrier(), how.batch(1), end()};
}
// For the second answer there is no credit when it is made.
std::vector<std::string> in_need_of_credit(const Conversation& how) {
  return {how.open() + how.batch(0), how.batch(1) + barrier() + end(), credit(0)};
}

void check_transforms(Carrier carrier) {
  const Conversation wide{carrier, Role::transform, 4, {}};
  const Conversation narrow{carrier, Role::transform, 1, {}};
  // Whatever the form of the handler and of its answer.
  for (const auto& stage : {kept, changed, handed_on, selected}) {
    check(looks(stage(), at_once(wide)), "RSRDPEPRPRDPEPRP");
    check(looks(stage(), one_by_one(wide)), "RSRTRDPEPRSRTRPRSRTRDPEPRSRTRP");
    // What comes while it waits is put aside; what follows the wait is encoding.
    check(looks(stage(), in_need_of_credit(narrow)), "RSRDPEPRSRTRDPERERERBREPRPRP");
  }
  check(looks(transform<Held>(), at_once(wide)), "RSRDPRPRDPRPEP");
  check(looks(transform<Held>(), one_by_one(wide)), "RSRTRDPRSRTRPRSRTRDPRSRTRPEP");
}

void check_sinks(Carrier carrier) {
  const Conversation how{carrier, Role::sink, 4, {}};
  for (const auto& stage : {in_batches, +[] { return sink<Written>(); }}) {
    const auto with_commit = [](std::vector<std::string> script) {
      script.push_back(commit());
      return script;
    };
    check(looks(stage(), with_commit(at_once(how))), "RSRDPRPRDPRP");
    check(looks(stage(), with_commit(one_by_one(how))), "RSRTRDPRSRTRPRSRTRDPRSRTRP");
  }
}

void check_sources(Carrier carrier) {
  const auto lives = [&](const BatchPolicy& policy, std::uint32_t window, std::vector<std::string> told) {
    const Conversation how{carrier, Role::source, window, policy};
    told.front() = how.open() + told.front();
    return looks(source<Four>(), told);
  };
  const BatchPolicy single{.rows = 1, .linger_us = 0};
  check(lives(single, 8, {""}), "RSRPEPEPEPEPRP");
  // It waits for credit before it asks for what it could not send, and answers a barrier meanwhile.
  check(lives(single, 2, {"", credit(0), barrier(), credit(1), credit(2)}),
        "RSRPEPEPRSRBRPEPRSRBRPSPRBRPEPRSRBRPRP");
  check(lives(single, 2, {"", barrier() + end()}), "RSRPEPEPRSRBRPSPRPRP");
  // It looks what there is before it decides how many events make a batch.
  check(lives({}, 8, {""}), "RSRPRPEP");
  check(lives({}, 8, {barrier()}), "RSRPRPRPEPSP");
}

}  // namespace

int main() {
  // Who waits for what never comes is not waited for.
  ::alarm(60);
  for (const Carrier carrier : {Carrier::inlined, Carrier::shm}) {
    check_transforms(carrier);
    check_sinks(carrier);
    check_sources(carrier);
  }
}
