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

  // Begins in `receive`. One that is `off` reads no clock for the account, in which all is 0.
  explicit Ledger(bool off = false)
      : off_(off), since_(Clock::now()), reported_(since_), cpu_(process_cpu()) {}

  // Ends the activity so far; gives the one that it was.
  Activity enter(Activity activity) {
    const Activity before = current_;
    current_ = activity;
    if (off_) return before;
    const Clock::time_point now = Clock::now();
    spent_[static_cast<std::size_t>(before)] += now - since_;
    since_ = now;
    return before;
  }
  // When the current activity began: a moment ago, without reading the clock unless it is off.
  Clock::time_point since() const noexcept { return off_ ? Clock::now() : since_; }
  // Whether the last report is a second old.
  bool is_due() const noexcept { return since() - reported_ >= std::chrono::seconds(1); }
  // What was spent so far, with the CPU time of the process since the account began.
  message::Activity report();

 private:
  static std::uint64_t process_cpu() noexcept;

  bool off_;
  std::array<Clock::duration, 7> spent_{};
  Activity current_ = Activity::receive;
  Clock::time_point since_;
  Clock::time_point reported_;
  std::uint64_t cpu_;
};

}  // namespace modular_runtime
