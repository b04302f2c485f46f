#include <modular_runtime/schema.hpp>
#include <string>

#include "check.hpp"

using namespace modular_runtime;

int main() {
  const Schema schema{{"a", "int64"}, {"b", "string?"}, {"a long name, longer than a word", "bool"}};
  check(schema.at("a"), 0U);
  check(schema.at(std::string("b")), 1U);
  check(schema.at(std::string_view("a long name, longer than a word"), Type::boolean), 2U);
  check(schema.find("c"), Schema::none);
  check(Schema().find(""), Schema::none);
  check(schema.fields()[1].type_text(), "string?");
  check(thrown([&] { schema.at("c"); }),
        "no column `c`; there are `a`, `b`, `a long name, longer than a word`; `uses:` in the pipeline adds "
        "one");
  check(thrown([&] { Schema().at("c"); }), "no column `c`; there are none; `uses:` in the pipeline adds one");
  check(thrown([&] { schema.at("b", Type::int64); }), "column `b` is string?, not int64");
  check(thrown([] { Field("a", "int"); }),
        "no type `int`; there are `bool`, `int64`, `float64`, `string`, `binary`, `timestamp`, each with a "
        "`?` if it may "
        "be null");
  check(thrown([] { Schema{{"a", "int64"}, {"a", "bool"}}; }), "two columns have the name `a`");

  std::vector<Field> many;
  for (int i = 0; i < 1000; ++i) many.emplace_back("column " + std::to_string(i), Type::int64, false);
  const Schema wide(many);
  for (std::size_t i = 0; i < many.size(); ++i) check(wide.find(many[i].name), i);
  check(wide.find("column 1000"), Schema::none);
}
