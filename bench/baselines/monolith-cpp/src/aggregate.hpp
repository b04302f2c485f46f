// Count, sum and average of `value` by `type`.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "event.hpp"

namespace monolith {

class Groups {
 public:
  // Throws `std::overflow_error` when a sum leaves 64 bits.
  void add(const ParsedEvent& event) {
    Group& group = groups_[event.type];
    ++group.count;
    if (__builtin_add_overflow(group.sum, event.value, &group.sum)) {
      throw std::overflow_error("sum of `" + event.type + "` leaves 64 bits");
    }
  }

  void add(const std::vector<ParsedEvent>& events) {
    for (const ParsedEvent& event : events) add(event);
  }

  // Sorted by key.
  [[nodiscard]] std::vector<Result> results() const {
    std::vector<Result> results;
    for (const auto& [key, group] : groups_) {
      results.push_back(
          {key, group.count, group.sum, static_cast<double>(group.sum) / static_cast<double>(group.count)});
    }
    return results;
  }

 private:
  struct Group {
    std::int64_t count = 0;
    std::int64_t sum = 0;
  };
  std::map<std::string, Group> groups_;
};

}  // namespace monolith
