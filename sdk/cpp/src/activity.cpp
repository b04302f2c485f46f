#include "activity.hpp"

#include <ctime>

namespace modular_runtime {

message::Activity Ledger::report() {
  enter(current_);
  reported_ = since_;
  message::Activity activity;
  for (std::size_t i = 0; i < spent_.size(); ++i) {
    activity.nanoseconds[i] =
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(spent_[i]).count());
  }
  timespec cpu{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
  activity.cpu =
      static_cast<std::uint64_t>(cpu.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(cpu.tv_nsec);
  return activity;
}

}  // namespace modular_runtime
