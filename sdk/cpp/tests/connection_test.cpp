// Frames that must be refused, and slots in a segment.
#include "connection.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>
#include <thread>

#include "vectors.hpp"

using namespace modular_runtime;

namespace {

// Protocol 1, the `inline_max` 64, nothing else.
constexpr char open_message[] = {0x0a, 0x04, 0x08, 0x01, 0x48, 0x40};

void write_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (written <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

std::string open_frame() {
  std::array<std::uint32_t, 2> lengths = {sizeof open_message, 0};
  return std::string(reinterpret_cast<const char*>(lengths.data()), 8) +
         std::string(open_message, sizeof open_message);
}

// Reads a frame as a stage does that is open; gives the kind of error.
std::string outcome(const std::string& frame) {
  std::array<int, 2> ends;
  check(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  std::thread peer([&] {
    write_all(ends[1], open_frame() + frame);
    ::shutdown(ends[1], SHUT_WR);
  });
  std::string outcome = "nothing";
  try {
    Connection connection({ends[0], -1, -1});
    std::optional<std::string> state;
    connection.open(state);
    const auto incoming = connection.next(Connection::Wait::yes);
    if (const auto* batch = std::get_if<message::Batch>(&incoming->message)) {
      connection.payload(*batch, incoming->payload);
    }
  } catch (const FormatError& error) {
    outcome = std::string("refused: ") + error.what();
  } catch (const std::exception& error) {
    outcome = error.what();
  }
  ::close(ends[0]);
  peer.join();
  ::close(ends[1]);
  return outcome;
}

void check_garbage_frames() {
  for_each_vector("garbage/frames", [](const Vector& vector) {
    if (vector.said.string("direction") != "ToStage") return;
    const std::string came = outcome(vector.bytes);
    if (!came.starts_with("refused"))
      throw std::runtime_error(came + ", though " + vector.said.string("why"));
  });
  check(outcome(""), "the runtime has closed its socket");
}

void check_slots() {
  SlotAllocator slots(256);
  check(slots.take(1), 0U);
  check(slots.take(65), 64U);
  check(slots.has_room(65), false);
  check(slots.has_room(64), true);
  check(slots.take(64), 192U);
  slots.release(64);
  // The lowest place where it fits.
  check(slots.take(64), 64U);
  check(slots.take(10), 128U);
  slots.release(0);
  check(slots.has_room(65), false);
  check(slots.take(64), 0U);
  check(slots.has_room(1), false);
}

void check_descriptors() {
  const auto parsed = [](std::string_view text) {
    const auto found = parse_descriptors(text);
    return found ? std::to_string(found->socket) + " " + std::to_string(found->input) + " " +
                       std::to_string(found->output)
                 : "nothing";
  };
  check(parsed("socket=3,input=4,output=15"), "3 4 15");
  for (const char* wrong : {"", "socket=3,input=4", "socket=3,input=4,output=", "socket=-1,input=4,output=5",
                            "socket=3,input=4,output=5 ", "input=4,socket=3,output=5"}) {
    check(parsed(wrong), "nothing");
  }
}

}  // namespace

int main() {
  check_garbage_frames();
  check_slots();
  check_descriptors();
}
