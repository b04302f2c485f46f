// One check for all tests: what was expected, what came, and where.
#pragma once

#include <cstdlib>
#include <iostream>
#include <source_location>

template <class Actual, class Expected>
void check(const Actual& actual, const Expected& expected,
           const std::source_location where = std::source_location::current()) {
  if (actual == expected) return;
  std::cerr << where.file_name() << ":" << where.line() << ": expected `" << expected << "`, got `" << actual
            << "`\n";
  std::exit(1);
}
