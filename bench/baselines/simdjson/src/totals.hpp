// What the pipeline counts, and how it is written down.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

struct Total {
  std::string key;
  std::int64_t count = 0;
  std::int64_t sum = 0;
};

class Totals {
 public:
  // Counts one event: drops views and values below 10, adds the others to their type's total. Throws
  // std::runtime_error if a sum leaves 64 bits.
  void add(std::string_view type, std::int64_t value) {
    ++events_;
    if (type == "view" || value < 10) {
      ++filtered_;
      return;
    }
    add(type, 1, value);
  }

  // Adds what another thread counted.
  void merge(const Totals& other);

  // The totals as lines of JSON, sorted by key.
  std::string lines() const;

  std::uint64_t events() const { return events_; }
  std::uint64_t filtered() const { return filtered_; }

 private:
  void add(std::string_view key, std::int64_t count, std::int64_t sum);

  // There are few types: a scan is faster than a hash.
  std::vector<Total> totals_;
  std::uint64_t events_ = 0;
  std::uint64_t filtered_ = 0;
};
