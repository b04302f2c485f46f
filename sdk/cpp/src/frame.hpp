// Frames on a socket: lengths of a message and a payload, the message, the payload.
//
// Guarantees: a read takes as much as is there; what is written is gathered until `flush`, or until much has
// gathered. Refuses: messages beyond 1 MiB and payloads beyond the limit that is set, as `FormatError`.
// Neighbours: `connection` says what frames mean and when to flush.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>

#include "modular_runtime/builder.hpp"

namespace modular_runtime {

constexpr std::size_t message_max = 1 << 20;
constexpr std::size_t state_payload_max = 1 << 20;

// A frame in the reader's memory, valid until the next read.
struct Frame {
  std::span<const std::byte> message;
  std::span<const std::byte> payload;
};

// The socket is at its end, or gone.
class Closed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class FrameReader {
 public:
  enum class Outcome { frame, nothing, end };
  enum class Wait { yes, no };

  explicit FrameReader(int socket) : socket_(socket) {}

  // Payloads beyond so many bytes are refused; one of a `State` message may have 1 MiB in any case.
  void payload_max(std::size_t bytes) noexcept { payload_max_ = bytes; }
  // A frame that was read already, if there is one.
  bool buffered(Frame& frame);
  // Reads once: waiting for bytes, or taking only those that are there. `frame` is not given yet, but may be
  // buffered now.
  Outcome fill(Wait wait);

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };
  void check_state(std::size_t message_length) const;
  void make_room(std::size_t bytes);

  int socket_;
  std::size_t payload_max_ = state_payload_max;
  std::unique_ptr<std::byte[], Free> memory_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

class FrameWriter {
 public:
  explicit FrameWriter(int socket) : socket_(socket) {}

  // Adds a frame; gives where its payload goes, which is to be written before the next call.
  std::byte* add(std::span<const std::byte> message, std::size_t payload_length);
  bool empty() const noexcept { return gathered_.size() == 0; }
  // Whether so much has gathered that it should not wait for more.
  bool is_much() const noexcept { return gathered_.size() >= (256 << 10); }
  // Writes what was gathered. Throws `Closed` if nobody reads any more.
  void flush();

 private:
  int socket_;
  Buffer gathered_;
};

}  // namespace modular_runtime
