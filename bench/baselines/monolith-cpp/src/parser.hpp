// JSON lines to events, by simdjson's on-demand parser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "event.hpp"
#include "simdjson.h"

namespace monolith {

// Bytes that the parser may read past the end of a line.
inline constexpr std::size_t parser_padding = simdjson::SIMDJSON_PADDING;

// One per thread: it keeps simdjson's buffers.
class LineParser {
 public:
  // False, and `event` unspecified, unless the line is an object whose ts, type, user and value have the
  // right types.
  bool parse(const std::string& line, ParsedEvent& event);

  // The good lines of a block in order; false when there are none.
  bool parse(const LineBlock& block, std::vector<ParsedEvent>& events);

  // Lines dropped so far.
  std::uint64_t rejected = 0;

 private:
  bool parse(std::string_view line, std::size_t capacity, ParsedEvent& event);

  simdjson::ondemand::parser parser_;
};

// `2026-01-01T00:00:00[.fraction]Z`, digits past microseconds cut off; false on anything else.
bool parse_timestamp(std::string_view text, Micros& ts);

}  // namespace monolith
