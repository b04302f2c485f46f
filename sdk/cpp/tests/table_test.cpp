// Payloads against the golden ones, and against themselves after a round trip.
#include "table.hpp"

#include <cmath>
#include <cstring>
#include <memory>
#include <modular_runtime/builder.hpp>
#include <modular_runtime/json_line.hpp>
#include <string>
#include <vector>

#include "vectors.hpp"

using namespace modular_runtime;

namespace {

std::shared_ptr<const Schema> schema_of(const Config& said) {
  std::vector<Field> fields;
  for (const Config& field : said.list("schema")) {
    fields.emplace_back(field.string("name"), field.string("type") + (field.boolean("nullable") ? "?" : ""));
  }
  return std::make_shared<const Schema>(std::move(fields));
}

// The bytes where their columns find the alignment that they need.
class Payload {
 public:
  explicit Payload(const std::string& bytes) : words_(bytes.size() / 8 + 1), size_(bytes.size()) {
    std::memcpy(words_.data(), bytes.data(), bytes.size());
  }
  std::span<const std::byte> bytes() const {
    return {reinterpret_cast<const std::byte*>(words_.data()), size_};
  }

 private:
  std::vector<std::uint64_t> words_;
  std::size_t size_;
};

std::string written(const Batch& batch, Rows rows) {
  std::string bytes(table_bytes(batch, rows), '?');
  write_table(batch, rows, reinterpret_cast<std::byte*>(bytes.data()));
  return bytes;
}

std::string lines(const Batch& batch) {
  std::string out;
  JsonLines(batch.schema()).append(batch, out);
  return out;
}

// A value as the vectors write it, as JSON.
std::string text_of(const Value& value) {
  if (value.is_null()) return "null";
  if (const auto* held = value.get<bool>()) return *held ? "true" : "false";
  if (const auto* held = value.get<std::int64_t>()) return std::to_string(*held);
  if (const auto* held = value.get<Timestamp>()) return std::to_string(held->time_since_epoch().count());
  if (const auto* held = value.get<std::string>()) return *held;
  if (const auto* held = value.get<Value::Bytes>()) {
    BatchBuilder builder(Schema{{"v", "binary"}});
    builder.append(Event{{"v", *held}});
    const std::string line = lines(builder.finish());
    return line.substr(6, line.size() - 9);
  }
  const double number = *value.get<double>();
  if (std::isnan(number)) return "NaN";
  return std::isinf(number) ? number > 0 ? "Infinity" : "-Infinity" : std::to_string(number);
}

std::string text_of(const Config& said, Type type) {
  if (said.is_null()) return "null";
  if (type == Type::boolean) return said.boolean() ? "true" : "false";
  if (type != Type::float64) return said.string();
  const std::string text = thrown([&] { said.float64(); });
  return text == "nothing" ? std::to_string(said.float64()) : said.string();
}

void check_rows(const Batch& batch, const Config& said) {
  const Config::List& rows = said.list("rows");
  check(batch.rows(), rows.size());
  for (std::size_t row = 0; row < rows.size(); ++row) {
    for (std::size_t i = 0; i < batch.columns().size(); ++i) {
      const Field& field = batch.schema().fields()[i];
      check(text_of(batch.event(row).value(field.name)), text_of(rows[row].list()[i], field.type));
    }
  }
}

void check_golden_tables() {
  for_each_vector("tables", [](const Vector& vector) {
    const auto schema = schema_of(vector.said);
    const Payload payload(vector.bytes);
    TableReader reader(schema);
    const Batch& batch = reader.read(payload.bytes());
    check_rows(batch, vector.said);
    for (std::size_t i = 0; i < schema->size(); ++i) {
      check(batch.columns()[i].is_dictionary, vector.said.list("dictionary")[i].boolean());
    }
    const Rows all{0, batch.rows()};
    if (!vector.name.starts_with("loose_") && written(batch, all) != vector.bytes) {
      throw std::runtime_error("is written with other bytes");
    }
    check_rows(batch.keep(), vector.said);
    check(written(batch.keep(), all), written(batch, all));
    check_rows(batch.take(Selection(batch.rows(), [](std::size_t) { return true; })), vector.said);

    // All pairs of a part and the rest are the whole.
    for (std::size_t cut = 0; cut <= batch.rows(); ++cut) {
      std::string parts;
      for (const Rows rows : {Rows{0, cut}, Rows{cut, batch.rows()}}) {
        const Payload part(written(batch, rows));
        parts += lines(TableReader(schema).read(part.bytes()));
      }
      check(parts, lines(batch));
    }
  });
}

void check_garbage() {
  for_each_vector("garbage", [](const Vector& vector) {
    const Payload payload(vector.bytes);
    TableReader reader(schema_of(vector.said));
    bool is_refused = false;
    try {
      reader.read(payload.bytes());
    } catch (const FormatError&) {
      is_refused = true;
    }
    if (!is_refused) throw std::runtime_error("was read, though " + vector.said.string("why"));
  });
}

void check_selections() {
  for_each_vector("selections", [](const Vector& vector) {
    Selection kept(static_cast<std::size_t>(vector.said.int64("rows")));
    for (const Config& row : vector.said.list("kept")) kept.keep(static_cast<std::size_t>(row.int64()));
    check(kept.count(), vector.said.list("kept").size());
    const std::string bytes(reinterpret_cast<const char*>(kept.words().data()), (kept.rows() + 7) / 8);
    if (!vector.name.starts_with("loose_")) check(bytes == vector.bytes, true);
  });
}

void check_conform() {
  const auto narrow = std::make_shared<const Schema>(Schema{{"b", "int64"}, {"a", "string?"}});
  const auto conformed = [&](const Schema& from, const Event& event) {
    return thrown([&] {
      BatchBuilder builder(from);
      builder.append(event);
      conform(builder.finish(), narrow);
    });
  };
  check(conformed({{"a", "string"}, {"b", "int64?"}, {"c", "bool?"}}, {{"a", "x"}, {"b", 1}}), "nothing");
  check(conformed({{"a", "string"}, {"b", "int64?"}}, {{"a", "x"}}),
        "column `b` has nulls, but is int64 in the output");
  check(conformed({{"a", "string"}, {"b", "float64"}}, {{"a", "x"}, {"b", 1}}),
        "column `b` is float64, not int64");
  check(conformed({{"a", "string"}}, {{"a", "x"}}),
        "no column `b`; there are `a`; `uses:` in the pipeline adds one");
}

}  // namespace

int main() {
  check_golden_tables();
  check_garbage();
  check_selections();
  check_conform();
}
