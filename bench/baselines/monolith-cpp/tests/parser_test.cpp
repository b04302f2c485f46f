#include "parser.hpp"

#include <string>

#include "check.hpp"

using namespace monolith;

namespace {

std::string parsed(std::string line) {
  line.reserve(line.size() + parser_padding);
  LineParser parser;
  ParsedEvent event;
  if (!parser.parse(line, event)) return "rejected " + std::to_string(parser.rejected);
  return std::to_string(event.ts) + " " + event.type + " " + event.user + " " + std::to_string(event.value);
}

std::string timestamp(std::string_view text) {
  Micros ts = 0;
  return parse_timestamp(text, ts) ? std::to_string(ts) : "rejected";
}

}  // namespace

int main() {
  check(
      parsed(
          R"({"ts":"1970-01-01T00:00:01.500Z","type":"click","user":"u1","value":42,"metadata":{"seq":0}})"),
      "1500000 click u1 42");
  check(parsed(R"({"value":-1,"user":"ü","type":"a\"b","ts":"1970-01-01T00:00:00Z"})"), "0 a\"b ü -1");
  check(parsed(R"({"ts":"1970-01-01T00:00:00Z","type":"click","user":"u1"})"), "rejected 1");
  check(parsed(R"({"ts":"1970-01-01T00:00:00Z","type":"click","user":"u1","value":"42"})"), "rejected 1");
  check(parsed(R"({"ts":"1970-01-01T00:00:00Z","type":"click","user":"u1","value":4.5})"), "rejected 1");
  check(parsed(R"([1])"), "rejected 1");
  check(parsed(R"({"ts")"), "rejected 1");

  check(timestamp("2026-01-01T00:00:00.851Z"), "1767225600851000");
  check(timestamp("2024-02-29T23:59:59.1234567Z"), "1709251199123456");
  check(timestamp("2026-02-29T00:00:00Z"), "rejected");
  check(timestamp("2026-01-01T24:00:00Z"), "rejected");
  check(timestamp("2026-01-01T00:00:00"), "rejected");
  check(timestamp("2026-01-01T00:00:00.Z"), "rejected");
  check(timestamp("-026-01-01T00:00:00Z"), "rejected");

  LineBlock block;
  for (const char* line : {R"({"ts":"1970-01-01T00:00:00Z","type":"a","user":"u","value":1})", "nonsense",
                           R"({"ts":"1970-01-01T00:00:00Z","type":"b","user":"u","value":2})"}) {
    block.text += line;
    block.ends.push_back(static_cast<std::uint32_t>(block.text.size()));
  }
  block.text.reserve(block.text.size() + parser_padding);
  LineParser parser;
  std::vector<ParsedEvent> events;
  check(parser.parse(block, events), true);
  check(events.size(), 2U);
  check(events[1].type, "b");
  check(parser.rejected, 1U);
}
