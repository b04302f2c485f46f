// Where a thread's time goes: its own work, the queues, and being blocked on a queue, each apart.
//
// A queue of single events passes millions of items, and two clock reads around each would cost more than the
// push they measure. So work and queue time are read on one item in `sample_every` and scaled up; blocked
// time is read whenever a thread really blocks, which costs a thousand times more than the clock. With
// batches every item is timed. One meter belongs to one thread.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace monolith {

enum class Activity : std::size_t { process, pop, push, pop_blocked, push_blocked };
inline constexpr std::size_t activities = 5;

class Meter {
  using Clock = std::chrono::steady_clock;

 public:
  // `sample_every` 0 measures nothing, 1 every item.
  explicit Meter(std::uint32_t sample_every) : sample_every_(sample_every) {}

  // Starts the next item and decides whether it is timed.
  void next_item() {
    if (sample_every_ == 0) return;
    timed_ = ++item_ == sample_every_;
    if (timed_) item_ = 0;
  }

  // Adds the time from its creation to its end, blocked time inside it not counted twice.
  class Span {
   public:
    Span(Meter* meter, Activity activity, std::uint32_t weight)
        : meter_(meter), activity_(activity), weight_(weight) {
      if (meter_ == nullptr) return;
      blocked_before_ = meter_->blocked();
      start_ = Clock::now();
    }
    ~Span() {
      if (meter_ == nullptr) return;
      const auto spent = Clock::now() - start_ - (meter_->blocked() - blocked_before_);
      meter_->total(activity_) += spent * weight_;
      ++meter_->samples_[index(activity_)];
    }
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

   private:
    Meter* meter_;
    Activity activity_;
    std::uint32_t weight_;
    Clock::duration blocked_before_{};
    Clock::time_point start_{};
  };

  // Work or queue time: sampled.
  [[nodiscard]] Span span(Activity activity) { return {timed_ ? this : nullptr, activity, sample_every_}; }

  // Blocked time: never sampled.
  [[nodiscard]] Span blocked_span(Activity activity) {
    return {sample_every_ == 0 ? nullptr : this, activity, 1};
  }

  [[nodiscard]] double seconds(Activity activity) const {
    return std::chrono::duration<double>(totals_[index(activity)]).count();
  }

  // How many spans `seconds` rests on; for work and queue time, 0 means not measured.
  [[nodiscard]] std::uint64_t samples(Activity activity) const { return samples_[index(activity)]; }

  std::uint64_t events_in = 0;
  std::uint64_t events_out = 0;

 private:
  static constexpr std::size_t index(Activity activity) { return static_cast<std::size_t>(activity); }
  Clock::duration& total(Activity activity) { return totals_[index(activity)]; }
  Clock::duration blocked() { return total(Activity::pop_blocked) + total(Activity::push_blocked); }

  std::uint32_t sample_every_;
  std::uint32_t item_ = 0;
  bool timed_ = false;
  std::array<Clock::duration, activities> totals_{};
  std::array<std::uint64_t, activities> samples_{};
};

}  // namespace monolith
