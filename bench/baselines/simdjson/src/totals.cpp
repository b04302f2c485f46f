#include "totals.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <stdexcept>

namespace {

std::string quoted(std::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      json += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      std::array<char, 7> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04x", c);
      json += escape.data();
    } else {
      json += c;
    }
  }
  return json + '"';
}

// The shortest digits that read back as the same number, and no point if it is whole.
std::string shortest(double number) {
  std::array<char, 32> digits{};
  const bool fixed = number == 0 || (std::abs(number) >= 1e-6 && std::abs(number) < 1e21);
  const auto format = fixed ? std::chars_format::fixed : std::chars_format::scientific;
  const auto [end, error] = std::to_chars(digits.begin(), digits.end(), number, format);
  if (error != std::errc()) {
    throw std::runtime_error("an average does not fit its text");
  }
  return {digits.begin(), end};
}

}  // namespace

void Totals::add(std::string_view key, std::int64_t count, std::int64_t sum) {
  auto total =
      std::find_if(totals_.begin(), totals_.end(), [&](const Total& total) { return total.key == key; });
  if (total == totals_.end()) {
    total = totals_.insert(total, Total{std::string(key)});
  }
  total->count += count;
  if (__builtin_add_overflow(total->sum, sum, &total->sum)) {
    throw std::runtime_error("the sum of `" + total->key + "` leaves 64 bits");
  }
}

void Totals::merge(const Totals& other) {
  events_ += other.events_;
  filtered_ += other.filtered_;
  for (const Total& total : other.totals_) {
    add(total.key, total.count, total.sum);
  }
}

std::string Totals::lines() const {
  std::vector<Total> sorted = totals_;
  std::sort(sorted.begin(), sorted.end(), [](const Total& a, const Total& b) { return a.key < b.key; });
  std::string lines;
  for (const Total& total : sorted) {
    const double average = static_cast<double>(total.sum) / static_cast<double>(total.count);
    lines += "{\"key\":" + quoted(total.key) + ",\"count\":" + std::to_string(total.count) +
             ",\"sum\":" + std::to_string(total.sum) + ",\"avg\":" + shortest(average) + "}\n";
  }
  return lines;
}
