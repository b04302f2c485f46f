// A source that waits inside `next`: what it has given leaves, and the end of the run does not wait for it.
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <modular_runtime/json_line.hpp>
#include <modular_runtime/run.hpp>
#include <optional>
#include <string>

#include "check.hpp"
#include "frame.hpp"
#include "message.hpp"
#include "protobuf.hpp"
#include "serve.hpp"
#include "table.hpp"

using namespace modular_runtime;

namespace {

const Schema& columns() {
  static const Schema schema{{"n", "int64"}};
  return schema;
}

// Gives as many events as bytes come through a pipe, and waits for each.
class Piped {
 public:
  explicit Piped(int pipe) : pipe_(pipe) {}
  std::optional<Event> next() {
    char byte = 0;
    if (::read(pipe_, &byte, 1) <= 0) return std::nullopt;
    return Event{{"n", n_++}};
  }
  std::string snapshot() const { return std::to_string(n_); }

 private:
  int pipe_;
  std::int64_t n_ = 0;
};

// The runtime's end of a source in a process of its own.
class Peer {
 public:
  Peer(BatchPolicy policy, bool emits) {
    check(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_.data()), 0);
    check(::pipe(pipe_.data()), 0);
    child_ = ::fork();
    if (child_ == 0) {
      ::close(ends_[0]);
      ::close(pipe_[1]);
      const Stage stage = emits ? source([piped = Piped(pipe_[0])](Emitter& out) mutable {
        for (auto event = piped.next(); event && out.emit(*event); event = piped.next()) {
        }
      })
                                : source(Piped(pipe_[0]));
      ::_exit(serve(stage, {ends_[1], -1, -1}));
    }
    ::close(ends_[1]);
    ::close(pipe_[0]);
    reader_.emplace(ends_[0]);
    writer_.emplace(ends_[0]);
    open(policy);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() {
    ::close(pipe_[1]);
    ::close(ends_[0]);
  }

  void give(std::size_t events) {
    const std::string bytes(events, 'x');
    check(::write(pipe_[1], bytes.data(), bytes.size()), static_cast<ssize_t>(events));
  }
  void send(std::uint32_t kind, const FieldWriter& fields = {}) {
    const std::string bytes = FieldWriter().message(kind, fields.written()).written();
    writer_->add(std::as_bytes(std::span(bytes)), 0);
    writer_->flush();
  }
  // The kind of the next message; the rows of a batch are appended, and it gets its credit.
  std::uint8_t next(std::string& rows) {
    Frame frame;
    while (!reader_->buffered(frame)) {
      if (reader_->fill(FrameReader::Wait::yes) == FrameReader::Outcome::end) return 0;
    }
    const auto kind = static_cast<std::uint8_t>(frame.message[0]);
    if (kind == batch) take(frame, rows);
    return kind;
  }
  // Until a message of the kind has come; gives the rows that came before it.
  std::string until(std::uint8_t kind) {
    std::string rows;
    for (std::uint8_t came = 0; came != kind;) {
      came = next(rows);
      if (came == 0) return rows + "end";
    }
    return rows;
  }
  // Closes the socket; gives the exit code.
  int leave() {
    ::shutdown(ends_[0], SHUT_RDWR);
    int status = 0;
    ::waitpid(child_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  static constexpr std::uint8_t ready = 0x0a;
  static constexpr std::uint8_t batch = 0x12;
  static constexpr std::uint8_t snapshot = 0x2a;
  static constexpr std::uint8_t done = 0x42;
  static constexpr std::uint32_t barrier = 5;
  static constexpr std::uint32_t end = 6;

 private:
  void open(const BatchPolicy& policy) {
    FieldWriter column;
    column.text(1, "n").whole(2, static_cast<std::uint64_t>(Type::int64));
    FieldWriter said;
    said.whole(1, message::protocol).message(6, FieldWriter().message(1, column.written()).written());
    said.whole(7, 4).whole(8, 1 << 20).whole(9, 1 << 16);
    said.message(12, FieldWriter().whole(1, policy.rows).whole(2, policy.linger_us).written());
    send(1, said);
    until(ready);
  }
  void take(const Frame& frame, std::string& rows) {
    std::uint64_t seq;
    std::memcpy(&seq, frame.message.data() + 3, 8);
    std::string aligned(frame.payload.size() + 8, 0);
    auto* at = reinterpret_cast<std::byte*>(aligned.data());
    at += (8 - reinterpret_cast<std::uintptr_t>(at) % 8) % 8;
    std::memcpy(at, frame.payload.data(), frame.payload.size());
    TableReader table(std::make_shared<const Schema>(columns()));
    for (const std::int64_t n : table.read({at, frame.payload.size()}).int64("n"))
      rows += std::to_string(n) + " ";
    writer_->add(message::credit({seq}), 0);
    writer_->flush();
  }

  std::array<int, 2> ends_{};
  std::array<int, 2> pipe_{};
  pid_t child_ = 0;
  std::optional<FrameReader> reader_;
  std::optional<FrameWriter> writer_;
};

std::string numbers(std::size_t count) {
  std::string rows;
  for (std::size_t n = 0; n < count; ++n) rows += std::to_string(n) + " ";
  return rows;
}

// Its events leave while it waits for another, a barrier is answered once it goes on, and `End` ends it while
// it waits.
void check_waiting(const BatchPolicy& policy, bool emits) {
  Peer peer(policy, emits);
  peer.give(2);
  std::string rows;
  while (rows != "0 1 ") rows += peer.until(Peer::batch);
  if (!emits) {
    peer.send(Peer::barrier, FieldWriter().whole(1, 7));
    std::uint8_t kind = Peer::batch;
    // It may have gone on to wait before it heard of the barrier.
    for (; kind != 0 && kind != Peer::snapshot; kind = peer.next(rows)) {
      if (kind == Peer::batch) peer.give(1);
    }
    check(kind, Peer::snapshot);
  }
  peer.send(Peer::end);
  rows += peer.until(Peer::done);
  check(rows, numbers(std::size_t(std::count(rows.begin(), rows.end(), ' '))));
  check(peer.leave(), 0);
}

// A batch that has to be full waits.
void check_full_batches() {
  Peer peer({.rows = 3, .linger_us = 0}, false);
  peer.give(5);
  check(peer.until(Peer::batch), "0 1 2 ");
  peer.send(Peer::end);
  // As far as it has come.
  check(std::string("3 4 ").starts_with(peer.until(Peer::done)), true);
  check(peer.leave(), 0);
}

void check_lost_runtime() {
  Peer peer({}, false);
  peer.give(1);
  check(peer.until(Peer::batch), "0 ");
  check(peer.leave(), 1);
}

}  // namespace

int main() {
  for (const bool emits : {false, true}) {
    check_waiting({}, emits);
    check_waiting({.rows = 1000, .linger_us = 2000}, emits);
    check_waiting({.rows = 1, .linger_us = 0}, emits);
  }
  check_full_batches();
  check_lost_runtime();
}
