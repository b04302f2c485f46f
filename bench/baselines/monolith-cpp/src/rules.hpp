// The pipeline's rule: drop views, and values below ten.
#pragma once

#include <vector>

#include "event.hpp"

namespace monolith {

inline bool keep(const ParsedEvent& event) { return event.type != "view" && event.value >= 10; }

// Leaves the events to keep; false when there are none.
inline bool keep(std::vector<ParsedEvent>& events) {
  std::erase_if(events, [](const ParsedEvent& event) { return !keep(event); });
  return !events.empty();
}

}  // namespace monolith
