#include "modular_runtime/arrow.hpp"

#include <array>
#include <bit>
#include <cstring>
#include <deque>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "modular_runtime/builder.hpp"

namespace modular_runtime {

namespace {

// What an exported array and all its children point into. Freed with the last of them that is released.
struct ExportedArrays {
  Batch batch;
  std::deque<std::array<const void*, 3>> buffers;
  std::vector<ArrowArray*> children;
  std::deque<ArrowArray> arrays;
};

struct ExportedSchemas {
  std::shared_ptr<const Schema> schema;
  std::vector<ArrowSchema*> children;
  std::deque<ArrowSchema> schemas;
};

// Releases a struct and those below it that were not moved out; the memory goes with the last reference.
template <class Struct, class Exported>
void release(Struct* released) {
  const std::unique_ptr<std::shared_ptr<Exported>> held(
      static_cast<std::shared_ptr<Exported>*>(released->private_data));
  for (std::int64_t i = 0; i < released->n_children; ++i) {
    Struct* const child = released->children[i];
    if (child->release != nullptr) child->release(child);
  }
  if (released->dictionary != nullptr && released->dictionary->release != nullptr) {
    released->dictionary->release(released->dictionary);
  }
  released->release = nullptr;
}

template <class Struct, class Exported>
void own(Struct& exported, const std::shared_ptr<Exported>& owner) {
  exported.private_data = new std::shared_ptr<Exported>(owner);
  exported.release = release<Struct, Exported>;
}

const char* format_of(Type type) {
  constexpr const char* formats[] = {"b", "l", "g", "u", "z", "tsu:UTC"};
  return formats[static_cast<std::size_t>(type) - 1];
}

ArrowArray plain_array(const std::shared_ptr<ExportedArrays>& owner, std::int64_t length, std::int64_t nulls,
                       std::array<const void*, 3> buffers, std::int64_t n_buffers) {
  ArrowArray array{};
  array.length = length;
  array.null_count = nulls;
  array.n_buffers = n_buffers;
  array.buffers = owner->buffers.emplace_back(buffers).data();
  own(array, owner);
  return array;
}

ArrowArray array_of(const std::shared_ptr<ExportedArrays>& owner, const Column& column) {
  const bool has_offsets = column.type == Type::string || column.type == Type::binary;
  if (!has_offsets)
    return plain_array(owner, column.rows, column.nulls, {column.validity, column.values, nullptr}, 2);
  const std::array<const void*, 3> text = {nullptr, column.offsets, column.bytes};
  if (!column.is_dictionary) {
    return plain_array(owner, column.rows, column.nulls, {column.validity, text[1], text[2]}, 3);
  }
  ArrowArray coded =
      plain_array(owner, column.rows, column.nulls, {column.validity, column.values, nullptr}, 2);
  coded.dictionary = &owner->arrays.emplace_back(plain_array(owner, column.dictionary_size, 0, text, 3));
  return coded;
}

ArrowSchema plain_schema(const std::shared_ptr<ExportedSchemas>& owner, const char* format, const char* name,
                         bool is_nullable) {
  ArrowSchema schema{};
  schema.format = format;
  schema.name = name;
  schema.flags = is_nullable ? ARROW_FLAG_NULLABLE : 0;
  own(schema, owner);
  return schema;
}

void export_schema(const Batch& batch, ArrowSchema* to) {
  auto owner = std::make_shared<ExportedSchemas>();
  owner->schema = batch.shared_schema();
  for (std::size_t i = 0; i < batch.columns().size(); ++i) {
    const Field& field = owner->schema->fields()[i];
    const char* const format = format_of(field.type);
    const bool is_dictionary = batch.columns()[i].is_dictionary;
    ArrowSchema child =
        plain_schema(owner, is_dictionary ? "C" : format, field.name.c_str(), field.is_nullable);
    if (is_dictionary)
      child.dictionary = &owner->schemas.emplace_back(plain_schema(owner, format, "", false));
    owner->children.push_back(&owner->schemas.emplace_back(child));
  }
  *to = plain_schema(owner, "+s", "", false);
  to->n_children = static_cast<std::int64_t>(owner->children.size());
  to->children = owner->children.data();
}

// What was imported, until the last batch made of it goes.
struct Imported {
  Imported(ArrowArray* array, ArrowSchema* schema)
      : array(std::exchange(*array, ArrowArray{})), schema(std::exchange(*schema, ArrowSchema{})) {}
  Imported(const Imported&) = delete;
  Imported& operator=(const Imported&) = delete;
  ~Imported() {
    if (array.release != nullptr) array.release(&array);
    if (schema.release != nullptr) schema.release(&schema);
  }

  ArrowArray array;
  ArrowSchema schema;
  // Columns that a link cannot carry as they were.
  std::deque<ColumnBuilder> rebuilt;
  std::deque<std::vector<std::uint8_t>> bitmaps;
};

constexpr std::int32_t no_offsets[1] = {0};

Type type_of_format(const ArrowSchema& schema) {
  const std::string_view format = schema.format;
  for (const Type type : {Type::boolean, Type::int64, Type::float64, Type::string, Type::binary}) {
    if (format == format_of(type)) return type;
  }
  if (format.starts_with("tsu:") && format.size() > 4) return Type::timestamp;
  throw std::invalid_argument(
      "column `" + std::string(schema.name == nullptr ? "" : schema.name) + "` has the Arrow format `" +
      std::string(format) +
      "`, which no link can carry; there are b, l, g, u, z, tsu: with a zone, and u in a dictionary");
}

// A row's index into a dictionary, of any integer format.
std::int64_t index_at(std::string_view format, const void* values, std::size_t row) {
  const auto take = [&]<class T>(T) { return static_cast<std::int64_t>(static_cast<const T*>(values)[row]); };
  switch (format.size() == 1 ? format.front() : '?') {
    case 'c':
      return take(std::int8_t{});
    case 'C':
      return take(std::uint8_t{});
    case 's':
      return take(std::int16_t{});
    case 'S':
      return take(std::uint16_t{});
    case 'i':
      return take(std::int32_t{});
    case 'I':
      return take(std::uint32_t{});
    case 'l':
      return take(std::int64_t{});
    case 'L':
      return take(std::uint64_t{});
    default:
      throw std::invalid_argument("a dictionary's indices have the Arrow format `" + std::string(format) +
                                  "`");
  }
}

class Importer {
 public:
  explicit Importer(Imported& imported) : imported_(imported) {}

  // A column whose rows begin `offset` rows into the buffers.
  Column column(const ArrowArray& array, const ArrowSchema& schema, std::int64_t offset, std::int64_t rows) {
    offset += array.offset;
    if (array.length - (offset - array.offset) < rows)
      throw std::invalid_argument("an Arrow child is too short");
    if (schema.dictionary != nullptr) return dictionary(array, schema, offset, rows);
    Column column;
    column.type = type_of_format(schema);
    column.rows = static_cast<std::uint32_t>(rows);
    column.is_foreign = true;
    validity(array, offset, column);
    const void* const second = array.buffers[1];
    switch (column.type) {
      case Type::boolean:
        column.values = bits(static_cast<const std::uint8_t*>(second), offset, rows);
        break;
      case Type::string:
      case Type::binary:
        column.offsets = second == nullptr ? no_offsets : static_cast<const std::int32_t*>(second) + offset;
        column.bytes = static_cast<const char*>(array.buffers[2]);
        break;
      default:
        column.values = second == nullptr ? nullptr : static_cast<const std::byte*>(second) + 8 * offset;
    }
    return column;
  }

 private:
  // Indices of any width, a dictionary of any size with nulls in it: rebuilt as plain text unless a link
  // could carry it.
  Column dictionary(const ArrowArray& array, const ArrowSchema& schema, std::int64_t offset,
                    std::int64_t rows) {
    const Column values = column(*array.dictionary, *schema.dictionary, 0, array.dictionary->length);
    if (values.type != Type::string)
      throw std::invalid_argument("an Arrow dictionary holds other values than `u`");
    Column shape;
    shape.rows = static_cast<std::uint32_t>(rows);
    validity(array, offset, shape);
    const std::string_view format = schema.format;
    if (format == "C" && values.rows <= 256 && values.nulls == 0) {
      Column coded = values;
      coded.is_dictionary = true;
      coded.dictionary_size = values.rows;
      coded.rows = shape.rows;
      coded.nulls = shape.nulls;
      coded.validity = shape.validity;
      coded.values = static_cast<const std::uint8_t*>(array.buffers[1]) + offset;
      for (std::size_t row = 0; row < coded.rows; ++row)
        check(coded.is_valid(row) ? coded.codes()[row] : 0, values.rows);
      return coded;
    }
    ColumnBuilder& plain = imported_.rebuilt.emplace_back(Field("", Type::string, true));
    for (std::size_t row = 0; row < shape.rows; ++row) {
      if (!shape.is_valid(row)) {
        plain.null();
        continue;
      }
      const std::int64_t index = index_at(format, array.buffers[1], static_cast<std::size_t>(offset) + row);
      check(index, values.rows);
      plain.copy(values, static_cast<std::size_t>(index));
    }
    return plain.view();
  }

  static void check(std::int64_t index, std::uint32_t size) {
    if (index < 0 || (index >= size && !(index == 0 && size == 0))) {
      throw std::invalid_argument("an Arrow dictionary has no value of the index " + std::to_string(index));
    }
  }

  void validity(const ArrowArray& array, std::int64_t offset, Column& column) {
    const auto* const packed = static_cast<const std::uint8_t*>(array.buffers[0]);
    if (packed == nullptr || array.null_count == 0) return;
    column.validity = bits(packed, offset, column.rows);
    for (std::size_t row = 0; row < column.rows; ++row) column.nulls += column.is_valid(row) ? 0 : 1;
    if (column.nulls == 0) column.validity = nullptr;
  }

  // Bits that begin at a byte.
  const std::uint8_t* bits(const std::uint8_t* packed, std::int64_t offset, std::int64_t rows) {
    if (offset % 8 == 0) return packed == nullptr ? nullptr : packed + offset / 8;
    std::vector<std::uint8_t>& moved = imported_.bitmaps.emplace_back(static_cast<std::size_t>(rows + 7) / 8);
    for (std::int64_t row = 0; row < rows; ++row) {
      if (bit_at(packed, static_cast<std::size_t>(offset + row))) {
        moved[static_cast<std::size_t>(row) / 8] |= static_cast<std::uint8_t>(1 << (row % 8));
      }
    }
    return moved.data();
  }

  Imported& imported_;
};

}  // namespace

void Batch::export_to(ArrowArray* array, ArrowSchema* schema) const {
  auto owner = std::make_shared<ExportedArrays>(ExportedArrays{*this, {}, {}, {}});
  for (const Column& column : columns_) {
    const ArrowArray child = array_of(owner, column);
    owner->children.push_back(&owner->arrays.emplace_back(child));
  }
  *array = plain_array(owner, static_cast<std::int64_t>(rows_), 0, {nullptr, nullptr, nullptr}, 1);
  array->n_children = static_cast<std::int64_t>(owner->children.size());
  array->children = owner->children.data();
  export_schema(*this, schema);
}

Batch Batch::import(ArrowArray* array, ArrowSchema* schema) {
  auto imported = std::make_shared<Imported>(array, schema);
  const ArrowArray& from = imported->array;
  const ArrowSchema& described = imported->schema;
  if (from.release == nullptr || described.release == nullptr) {
    throw std::invalid_argument("an Arrow struct was released before");
  }
  if (std::string_view(described.format) != "+s" || from.n_children != described.n_children) {
    throw std::invalid_argument("an Arrow array of the format `" + std::string(described.format) +
                                "` is no batch, which is a struct `+s`");
  }
  if (from.null_count != 0 && from.buffers[0] != nullptr)
    throw std::invalid_argument("an Arrow batch has null rows");
  if (from.length < 0 || from.length > 0xffff'ffff)
    throw std::invalid_argument("an Arrow batch has too many rows");
  Importer importer(*imported);
  std::vector<Field> fields;
  std::vector<Column> columns;
  for (std::int64_t i = 0; i < from.n_children; ++i) {
    const ArrowSchema& child = *described.children[i];
    columns.push_back(importer.column(*from.children[i], child, from.offset, from.length));
    fields.emplace_back(child.name == nullptr ? "" : child.name, columns.back().type,
                        (child.flags & ARROW_FLAG_NULLABLE) != 0 || columns.back().nulls != 0);
  }
  const auto rows = static_cast<std::size_t>(from.length);
  return {std::make_shared<const Schema>(std::move(fields)), rows, std::move(columns), std::move(imported)};
}

}  // namespace modular_runtime
