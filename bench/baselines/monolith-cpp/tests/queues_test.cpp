// Both queues under the same contract: every item arrives once, closing ends every consumer, the bound holds.
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "check.hpp"
#include "mutex_queue.hpp"
#include "ticket_queue.hpp"

using namespace monolith;

namespace {

template <template <class> class Queue>
void check_delivery(std::size_t capacity, std::size_t producers, std::size_t consumers) {
  constexpr std::uint64_t items = 20'000;
  Queue<std::uint64_t> queue({capacity, producers, consumers});
  std::atomic<std::uint64_t> sum = 0;
  std::atomic<std::uint64_t> count = 0;
  {
    std::vector<std::jthread> threads;
    for (std::size_t p = 0; p < producers; ++p) {
      threads.emplace_back([&] {
        Meter meter(1);
        for (std::uint64_t i = 1; i <= items; ++i) queue.push(i, meter);
        queue.close(meter);
      });
    }
    for (std::size_t c = 0; c < consumers; ++c) {
      threads.emplace_back([&] {
        Meter meter(1);
        while (const auto item = queue.pop(meter)) {
          sum += *item;
          ++count;
        }
      });
    }
  }
  check(count.load(), items * producers);
  check(sum.load(), producers * items * (items + 1) / 2);
}

template <template <class> class Queue>
void check_bound() {
  Queue<int> queue({2, 1, 1});
  std::atomic<int> pushed = 0;
  Meter consumer(1);
  std::jthread producer([&] {
    Meter meter(1);
    for (int i = 0; i < 100; ++i) {
      queue.push(i, meter);
      ++pushed;
    }
    queue.close(meter);
    check(meter.seconds(Activity::push_blocked) > 0, true);
  });
  for (int popped = 0; queue.pop(consumer); ++popped) check(pushed.load() <= popped + 3, true);
}

template <template <class> class Queue>
void check_contract() {
  check_delivery<Queue>(2, 1, 1);
  check_delivery<Queue>(8, 3, 2);
  check_delivery<Queue>(64, 2, 3);
  check_bound<Queue>();
}

}  // namespace

int main() {
  check_contract<MutexQueue>();
  check_contract<TicketQueue>();
}
