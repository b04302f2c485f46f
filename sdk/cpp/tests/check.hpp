// Two checks for all tests: what was expected, what came, and where.
#pragma once

#include <cstdlib>
#include <exception>
#include <iostream>
#include <source_location>
#include <string>

template <class Actual, class Expected>
void check(const Actual& actual, const Expected& expected,
           const std::source_location where = std::source_location::current()) {
  if (actual == expected) return;
  std::cerr << where.file_name() << ":" << where.line() << ": expected `" << expected << "`, got `" << actual
            << "`\n";
  std::exit(1);
}

// What `act` throws, or `nothing`.
template <class Act>
std::string thrown(Act act) {
  try {
    act();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing";
}
