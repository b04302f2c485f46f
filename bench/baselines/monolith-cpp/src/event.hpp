// What travels through the queues, one item at a time or many.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace monolith {

// Microseconds since 1970-01-01T00:00:00Z.
using Micros = std::int64_t;

struct ParsedEvent {
  Micros ts = 0;
  std::string type;
  std::string user;
  std::int64_t value = 0;
};

// Whole lines, one after the other; `ends[i]` is the offset just past line i, its newline not included.
struct LineBlock {
  std::string text;
  std::vector<std::uint32_t> ends;
};

struct Result {
  std::string key;
  std::int64_t count = 0;
  std::int64_t sum = 0;
  double avg = 0;
};

// How many events an item on a queue stands for.
inline std::uint64_t events_in(const std::string&) { return 1; }
inline std::uint64_t events_in(const LineBlock& block) { return block.ends.size(); }
inline std::uint64_t events_in(const ParsedEvent&) { return 1; }
inline std::uint64_t events_in(const std::vector<ParsedEvent>& events) { return events.size(); }
inline std::uint64_t events_in(const Result&) { return 1; }

}  // namespace monolith
