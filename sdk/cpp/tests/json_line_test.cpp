#include <cmath>
#include <limits>
#include <modular_runtime/builder.hpp>
#include <modular_runtime/json_line.hpp>

#include "check.hpp"

using namespace modular_runtime;

namespace {

std::string line(const Schema& schema, const Event& event) {
  BatchBuilder builder(schema);
  builder.append(event);
  std::string out = "before\n";
  JsonLines(schema).append(builder.finish(), out);
  check(out.substr(0, 7), "before\n");
  return out.substr(7);
}

void check_value(std::string_view type, const Value& value, const std::string& expected) {
  check(line(Schema({Field("v", type)}), Event{{"v", value}}), "{\"v\":" + expected + "}\n");
}

void check_numbers() {
  // What ECMAScript's String(x) gives.
  const std::pair<double, const char*> cases[] = {{0.0, "0"},
                                                  {-0.0, "0"},
                                                  {55.0, "55"},
                                                  {-1.5, "-1.5"},
                                                  {55.02395761345312, "55.02395761345312"},
                                                  {0.1 + 0.2, "0.30000000000000004"},
                                                  {100000.0, "100000"},
                                                  {1e20, "100000000000000000000"},
                                                  {1e21, "1e+21"},
                                                  {1.5e300, "1.5e+300"},
                                                  {123456789012345680000.0, "123456789012345680000"},
                                                  {1e-6, "0.000001"},
                                                  {1.25e-6, "0.00000125"},
                                                  {1e-7, "1e-7"},
                                                  {9007199254740993.0, "9007199254740992"},
                                                  {1.7976931348623157e308, "1.7976931348623157e+308"},
                                                  {5e-324, "5e-324"},
                                                  {1.0 / 3, "0.3333333333333333"},
                                                  {std::nan(""), "null"},
                                                  {-INFINITY, "null"}};
  for (const auto& [value, expected] : cases) check_value("float64", value, expected);
}

void check_timestamps() {
  const std::pair<std::int64_t, const char*> cases[] = {
      {0, "1970-01-01T00:00:00Z"},
      {785'000, "1970-01-01T00:00:00.785Z"},
      {1, "1970-01-01T00:00:00.000001Z"},
      {-1, "1969-12-31T23:59:59.999999Z"},
      {951'782'400'000'000, "2000-02-29T00:00:00Z"},
      {1'767'225'600'851'100, "2026-01-01T00:00:00.8511Z"},
      {-62'167'219'200'000'000, "0000-01-01T00:00:00Z"},
      {253'402'300'800'000'000, "+010000-01-01T00:00:00Z"},
      {-62'167'219'200'000'001, "-000001-12-31T23:59:59.999999Z"},
      {std::numeric_limits<std::int64_t>::max(), "+294247-01-10T04:00:54.775807Z"},
      {std::numeric_limits<std::int64_t>::min(), "-290308-12-21T19:59:05.224192Z"}};
  for (const auto& [micros, expected] : cases) {
    check_value("timestamp", Timestamp(std::chrono::microseconds(micros)), '"' + std::string(expected) + '"');
  }
}

}  // namespace

int main() {
  check_numbers();
  check_timestamps();
  check_value("int64", std::numeric_limits<std::int64_t>::min(), "-9223372036854775808");
  check_value("int64?", nullptr, "null");
  check_value("bool", true, "true");
  check_value("string", "", "\"\"");
  using namespace std::string_literals;
  check_value("string", "a\"\\\b\f\n\r\t\0\x1f\x7f é🙂 z"s,
              "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\x7f é🙂 z\"");
  const std::pair<const char*, const char*> bytes[] = {
      {"", "\"\""}, {"a", "\"YQ==\""}, {"ab", "\"YWI=\""}, {"abc", "\"YWJj\""}, {"\xfb\xff", "\"+/8=\""}};
  for (const auto& [value, expected] : bytes) {
    check_value("binary", std::as_bytes(std::span(std::string_view(value))), expected);
  }
  check(line(Schema{{"b", "int64"}, {"a\"", "bool?"}}, Event{{"b", 1}}), "{\"b\":1,\"a\\\"\":null}\n");
  check(line(Schema(), Event()), "{}\n");
}
