#include <limits>
#include <modular_runtime/config.hpp>

#include "check.hpp"

using namespace modular_runtime;

int main() {
  const Config config = Config::parse(
      R"({"text": "a\"ü", "whole": 9007199254740993, "least": -9223372036854775808, "number": 1.5, "flag": true,
          "nothing": null, "list": [1, {"deep": "x"}], "huge": 18446744073709551615})");
  check(config.string("text"), "a\"ü");
  check(config.int64("whole"), 9007199254740993);
  check(config.int64("least"), std::numeric_limits<std::int64_t>::min());
  check(config.float64("number"), 1.5);
  check(config.float64("whole"), 9007199254740992.0);
  check(config.boolean("flag"), true);
  check(config.at("nothing").is_null(), true);
  check(config.list("list").size(), 2U);
  check(config.list("list")[1].string("deep"), "x");
  check(config.int64("absent", 7), 7);
  check(config.string("absent", "default"), "default");
  check(config.members().size(), 8U);

  check(thrown([&] { config.int64("number"); }), "`with.number` must be a whole number, it is a number");
  check(thrown([&] { config.int64("huge"); }), "`with.huge` must be a whole number, it is a number");
  check(thrown([&] { config.list("list")[1].int64("deep"); }),
        "`with.list[1].deep` must be a whole number, it is a string");
  check(thrown([&] { config.at("text").at("a"); }), "`with.text` must be an object, it is a string");
  check(thrown([] { Config().string("path"); }), "`with.path` is missing; there is nothing");
  check(thrown([] { Config::parse(R"({"a": 1, "b": 2})").string("c"); }),
        "`with.c` is missing; there are `a`, `b`");
  check(thrown([&] { config.boolean("whole", false); }),
        "`with.whole` must be true or false, it is a whole number");
  check(thrown([] { Config::parse("{"); }).starts_with("`with` is no JSON: "), true);
}
