// Batches handed out and taken back by the Arrow C data interface.
#include <array>
#include <modular_runtime/arrow.hpp>
#include <modular_runtime/builder.hpp>
#include <modular_runtime/json_line.hpp>
#include <optional>
#include <string>
#include <vector>

#include "check.hpp"

using namespace modular_runtime;

namespace {

std::string lines(const Batch& batch) {
  std::string out;
  JsonLines(batch.schema()).append(batch, out);
  return out;
}

Batch sample(std::size_t rows) {
  BatchBuilder builder(Schema{{"n", "int64?"},
                              {"x", "float64"},
                              {"b", "bool?"},
                              {"s", "string?"},
                              {"r", "binary"},
                              {"t", "timestamp?"}});
  for (std::size_t i = 0; i < rows; ++i) {
    Event event{{"n", i},
                {"x", 0.5 * static_cast<double>(i)},
                {"s", "text " + std::to_string(i)},
                {"r", std::as_bytes(std::span(std::string_view("\xff\0", i % 3)))}};
    if (i % 3 != 0) event.set("b", i % 2 == 0).set("t", Timestamp(std::chrono::microseconds(i)));
    if (i % 5 == 0) event.set("n", nullptr).set("s", nullptr);
    builder.append(event);
  }
  return builder.finish();
}

// A column of codes, as a filter that keeps everything leaves it.
Batch coded() {
  static const std::array<std::uint8_t, 5> codes = {1, 0, 255, 1, 1};
  static const std::array<std::uint8_t, 1> valid = {0b11011};
  static const std::array<std::int32_t, 3> offsets = {0, 1, 4};
  Column column;
  column.type = Type::string;
  column.is_dictionary = true;
  column.rows = 5;
  column.nulls = 1;
  column.dictionary_size = 2;
  column.validity = valid.data();
  column.values = codes.data();
  column.offsets = offsets.data();
  column.bytes =
      "a"
      "b\xc3\xa9";
  return {std::make_shared<const Schema>(Schema{{"s", "string?"}}), 5, {column}};
}

void check_round_trip(const Batch& batch) {
  ArrowArray array;
  ArrowSchema schema;
  batch.export_to(&array, &schema);
  check(array.length, static_cast<std::int64_t>(batch.rows()));
  check(std::string(schema.format), "+s");
  const Batch back = Batch::import(&array, &schema);
  check(array.release == nullptr, true);
  check(schema.release == nullptr, true);
  check(back.schema() == batch.schema(), true);
  check(lines(back), lines(batch));
  for (std::size_t i = 0; i < batch.columns().size(); ++i) {
    check(back.columns()[i].is_dictionary, batch.columns()[i].is_dictionary);
    check(back.columns()[i].values, batch.columns()[i].values);
  }
  check(lines(back.keep()), lines(batch));
}

// The same rows by an offset into the exported array, as a slice elsewhere is made.
void check_slices() {
  const Batch batch = sample(20);
  for (std::int64_t begin = 0; begin < 20; ++begin) {
    ArrowArray array;
    ArrowSchema schema;
    batch.export_to(&array, &schema);
    array.offset = begin;
    array.length = 20 - begin;
    const Batch slice = Batch::import(&array, &schema);
    const Selection kept(20, [&](std::size_t row) { return static_cast<std::int64_t>(row) >= begin; });
    check(lines(slice), lines(batch.take(kept)));
    check(lines(slice.keep()), lines(slice));
  }
}

// A child that was moved out lives on by itself, as the specification lets it.
void check_moved_child() {
  ArrowArray array;
  ArrowSchema schema;
  sample(3).keep().export_to(&array, &schema);
  ArrowArray child = *array.children[1];
  array.children[1]->release = nullptr;
  array.release(&array);
  schema.release(&schema);
  check(static_cast<const double*>(child.buffers[1])[2], 1.0);
  child.release(&child);
  check(child.release == nullptr, true);
}

// Foreign arrays, in their barest form.
struct Foreign {
  explicit Foreign(const char* format, ArrowArray given, std::optional<std::string> dictionary_format = {})
      : child(given) {
    child.release = [](ArrowArray* released) { released->release = nullptr; };
    child_schema.format = format;
    child_schema.name = "c";
    child_schema.flags = ARROW_FLAG_NULLABLE;
    child_schema.release = [](ArrowSchema* released) { released->release = nullptr; };
    if (dictionary_format) {
      values_format = *dictionary_format;
      values_schema.format = values_format.c_str();
      child_schema.dictionary = &values_schema;
    }
    array.length = child.length;
    array.n_buffers = 1;
    array.n_children = 1;
    array.buffers = no_buffers.data();
    array.children = children.data();
    array.release = [](ArrowArray* released) { released->release = nullptr; };
    schema.format = "+s";
    schema.n_children = 1;
    schema.children = schemas.data();
    schema.release = [](ArrowSchema* released) { released->release = nullptr; };
  }

  std::string outcome() {
    std::string out;
    const std::string wrong = thrown([&] { out = lines(Batch::import(&array, &schema)); });
    return wrong == "nothing" ? out : wrong;
  }

  std::array<const void*, 1> no_buffers = {nullptr};
  ArrowArray child{};
  ArrowArray array{};
  ArrowSchema child_schema{};
  ArrowSchema values_schema{};
  ArrowSchema schema{};
  std::string values_format;
  std::array<ArrowArray*, 1> children = {&child};
  std::array<ArrowSchema*, 1> schemas = {&child_schema};
};

ArrowArray array_of(std::int64_t length, std::vector<const void*>& buffers) {
  ArrowArray array{};
  array.length = length;
  array.null_count = -1;
  array.n_buffers = static_cast<std::int64_t>(buffers.size());
  array.buffers = buffers.data();
  return array;
}

void check_foreign() {
  const std::array<std::int32_t, 3> offsets = {0, 2, 3};
  std::vector<const void*> text = {nullptr, offsets.data(), "ab\xff"};
  ArrowArray values = array_of(2, text);
  const std::array<std::int32_t, 3> indices = {0, 0, 0};
  std::vector<const void*> coded = {nullptr, indices.data()};
  ArrowArray codes = array_of(3, coded);
  codes.dictionary = &values;
  check(Foreign("i", codes, "u").outcome(), "{\"c\":\"ab\"}\n{\"c\":\"ab\"}\n{\"c\":\"ab\"}\n");
  const std::array<std::int32_t, 3> beyond = {0, 2, 0};
  coded[1] = beyond.data();
  check(Foreign("i", codes, "u").outcome(), "an Arrow dictionary has no value of the index 2");
  coded[1] = indices.data();
  check(Foreign("i", codes, "z").outcome(), "an Arrow dictionary holds other values than `u`");
  check(Foreign("f", codes, "u").outcome(), "a dictionary's indices have the Arrow format `f`");
  check(Foreign("i", codes).outcome(),
        "column `c` has the Arrow format `i`, which no link can carry; there are b, l, g, u, z, tsu: with a "
        "zone, and u "
        "in a dictionary");

  std::vector<const void*> empty = {nullptr, nullptr, nullptr};
  check(Foreign("u", array_of(0, empty)).outcome(), "");
  std::vector<const void*> wrong_text = {nullptr, offsets.data(), "ab\xff"};
  Foreign not_utf8("u", array_of(2, wrong_text));
  const Batch batch = Batch::import(&not_utf8.array, &not_utf8.schema);
  check(thrown([&] {
          BatchBuilder builder(batch.shared_schema());
          builder.append(batch.event(1));
        }),
        "text is not UTF-8; a column of other bytes is `binary`");
}

}  // namespace

int main() {
  check_round_trip(sample(0));
  check_round_trip(sample(20));
  check_round_trip(sample(20).keep());
  check_round_trip(coded());
  check_round_trip(Batch(std::make_shared<const Schema>(), 3, {}));
  check_slices();
  check_moved_child();
  check_foreign();
}
