// What a run did and where its time went, as JSON.
#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "meter.hpp"
#include "options.hpp"

namespace monolith {

// The queues a stage has: the first has none to pop from, the last none to push to.
enum class Sides { pop, push, both };

struct StageCounts {
  std::string name;
  Sides sides;
  std::vector<Meter> threads;

  [[nodiscard]] std::uint64_t events_in() const {
    std::uint64_t sum = 0;
    for (const Meter& meter : threads) sum += meter.events_in;
    return sum;
  }
  [[nodiscard]] std::uint64_t events_out() const {
    std::uint64_t sum = 0;
    for (const Meter& meter : threads) sum += meter.events_out;
    return sum;
  }
};

struct Counts {
  std::vector<StageCounts> stages;
  std::uint64_t rejected = 0;
};

// Times are summed over a stage's threads; null stands for what a stage does not have or what no sample hit.
void write_report(std::ostream& out, const Options& options, const Counts& counts,
                  std::chrono::duration<double> wall);

}  // namespace monolith
