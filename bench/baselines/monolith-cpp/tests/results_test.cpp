#include "results.hpp"

#include <cstdint>
#include <limits>
#include <stdexcept>

#include "aggregate.hpp"
#include "check.hpp"

using namespace monolith;

int main() {
  // What ECMAScript's String(x) gives.
  check(json(0.0), "0");
  check(json(55.0), "55");
  check(json(55.02395761345312), "55.02395761345312");
  check(json(-0.5), "-0.5");
  check(json(100000.0), "100000");
  check(json(123456789012345680000.0), "123456789012345680000");
  check(json(1e21), "1e+21");
  check(json(1.5e300), "1.5e+300");
  check(json(0.000001), "0.000001");
  check(json(1e-7), "1e-7");
  check(json(1.0 / 3), "0.3333333333333333");

  check(json(std::string_view("a\"b\\c\nü")), "\"a\\\"b\\\\c\\u000aü\"");

  Groups groups;
  groups.add({0, "view", "u", 20});
  groups.add({{0, "click", "u", 10}, {0, "click", "u", 15}});
  check(groups.results().size(), 2U);
  check(groups.results()[0].key, "click");
  check(groups.results()[0].avg, 12.5);

  bool is_overflow = false;
  try {
    groups.add({0, "click", "u", std::numeric_limits<std::int64_t>::max()});
  } catch (const std::overflow_error&) {
    is_overflow = true;
  }
  check(is_overflow, true);
}
