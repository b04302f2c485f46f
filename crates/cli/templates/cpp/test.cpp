// Ends with 0 if the stage does what it should.
#include <iostream>
#include <modular_runtime/testing.hpp>
#include <vector>

#include "stage.hpp"

using modular_runtime::Event;

int main() {
  const std::vector<Event> events = {Event{{"user", "ada"}, {"value", 12}},
                                     Event{{"user", "bob"}, {"value", 3}},
                                     Event{{"user", "cleo"}, {"value", -1}}};
  const auto out = modular_runtime::testing::check(stage(), events);
  const bool is_right =
      out.size() == 2 && out[0].string("level") == "high" && out[1].string("level") == "low";
  std::cout << (is_right ? "ok" : "wrong levels") << '\n';
  return is_right ? 0 : 1;
}
