#include "activity.hpp"

#include <ctime>

namespace modular_runtime {

std::uint64_t Ledger::process_cpu() noexcept {
  timespec cpu{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
  return static_cast<std::uint64_t>(cpu.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(cpu.tv_nsec);
}

message::Activity Ledger::report() {
  enter(current_);
  reported_ = since();
  message::Activity activity;
  for (std::size_t i = 0; i < spent_.size(); ++i) {
    activity.nanoseconds[i] =
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(spent_[i]).count());
  }
  activity.cpu = process_cpu() - cpu_;
  return activity;
}

}  // namespace modular_runtime
