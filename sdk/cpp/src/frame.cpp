#include "frame.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <system_error>

#include "message.hpp"
#include "table.hpp"

namespace modular_runtime {

namespace {

constexpr std::size_t lengths_bytes = 8;
constexpr std::size_t read_bytes = 64 << 10;

}  // namespace

bool FrameReader::buffered(Frame& frame) {
  const std::size_t there = end_ - begin_;
  if (there < lengths_bytes) return false;
  std::array<std::uint32_t, 2> lengths;
  std::memcpy(lengths.data(), memory_.get() + begin_, lengths_bytes);
  const auto [message, payload] = lengths;
  if (message > message_max) throw FormatError("a frame's message has " + std::to_string(message) + " bytes");
  if (payload > std::max(payload_max_, state_payload_max)) {
    throw FormatError("a frame's payload has " + std::to_string(payload) + " bytes");
  }
  const std::size_t whole = lengths_bytes + message + payload;
  if (payload > payload_max_ && there >= lengths_bytes + message) check_state(message);
  if (there < whole) {
    make_room(whole - there);
    return false;
  }
  const std::byte* const at = memory_.get() + begin_ + lengths_bytes;
  frame = {{at, message}, {at + message, payload}};
  begin_ += whole;
  return true;
}

// Before a large payload is waited for: only a chunk of state may have it.
void FrameReader::check_state(std::size_t message_length) const {
  const message::ToStage message = message::read({memory_.get() + begin_ + lengths_bytes, message_length});
  if (!std::holds_alternative<message::State>(message)) {
    throw FormatError("a message has a larger payload than it may have");
  }
}

FrameReader::Outcome FrameReader::fill(Wait wait) {
  if (begin_ == end_) begin_ = end_ = 0;
  if (capacity_ - end_ < read_bytes / 2) make_room(read_bytes);
  for (;;) {
    const ssize_t got =
        ::recv(socket_, memory_.get() + end_, capacity_ - end_, wait == Wait::no ? MSG_DONTWAIT : 0);
    if (got > 0) {
      end_ += static_cast<std::size_t>(got);
      return Outcome::frame;
    }
    if (got == 0) return Outcome::end;
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Outcome::nothing;
    if (errno == ECONNRESET) return Outcome::end;
    throw std::system_error(errno, std::generic_category(), "cannot read from the runtime's socket");
  }
}

// Room for so many more bytes behind those that are there, which move to the front.
void FrameReader::make_room(std::size_t bytes) {
  if (capacity_ - end_ >= bytes) return;
  if (begin_ != 0) {
    std::memmove(memory_.get(), memory_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (capacity_ - end_ >= bytes) return;
  const std::size_t capacity = end_ + std::max(bytes, read_bytes);
  void* const grown = std::realloc(memory_.get(), capacity);
  if (grown == nullptr) throw std::bad_alloc();
  (void)memory_.release();
  memory_.reset(static_cast<std::byte*>(grown));
  capacity_ = capacity;
}

std::byte* FrameWriter::add(std::span<const std::byte> message, std::size_t payload_length) {
  const std::array<std::uint32_t, 2> lengths = {static_cast<std::uint32_t>(message.size()),
                                                static_cast<std::uint32_t>(payload_length)};
  std::byte* const at = gathered_.extend(lengths_bytes + message.size() + payload_length);
  std::memcpy(at, lengths.data(), lengths_bytes);
  if (!message.empty()) std::memcpy(at + lengths_bytes, message.data(), message.size());
  return at + lengths_bytes + message.size();
}

void FrameWriter::flush() {
  std::span<const std::byte> rest(gathered_.data(), gathered_.size());
  while (!rest.empty()) {
    const ssize_t sent = ::send(socket_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      rest = rest.subspan(static_cast<std::size_t>(sent));
    } else if (errno == EPIPE || errno == ECONNRESET) {
      gathered_.truncate(0);
      throw Closed("the runtime has closed its socket");
    } else if (errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "cannot write to the runtime's socket");
    }
  }
  gathered_.truncate(0);
}

}  // namespace modular_runtime
