// Where the time of the stage's loop goes: it is in exactly one activity at every moment.
//
// The clock is read when the activity changes, a few times a batch. Neighbours: `connection` switches between
// receiving, sending and waiting, the loops of `run` and `source_loop` between the others.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "message.hpp"

namespace modular_runtime {

// In the order of the protocol.
enum class Activity : std::uint8_t { receive, decode, process, encode, send, starved, backpressured };

class Ledger {
 public:
  using Clock = std::chrono::steady_clock;

  // Begins in `receive`.
  Ledger() : since_(Clock::now()), reported_(since_) {}

  // Ends the activity so far; gives the one that it was.
  Activity enter(Activity activity) {
    const Clock::time_point now = Clock::now();
    spent_[static_cast<std::size_t>(current_)] += now - since_;
    since_ = now;
    const Activity before = current_;
    current_ = activity;
    return before;
  }
  // When the current activity began: a moment ago, without reading the clock.
  Clock::time_point since() const noexcept { return since_; }
  // Whether the last report is a second old.
  bool is_due() const noexcept { return since_ - reported_ >= std::chrono::seconds(1); }
  // What was spent so far, with the CPU time of the process.
  message::Activity report();

 private:
  std::array<Clock::duration, 7> spent_{};
  Activity current_ = Activity::receive;
  Clock::time_point since_;
  Clock::time_point reported_;
};

}  // namespace modular_runtime
