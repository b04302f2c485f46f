#include "table.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string>

#include "modular_runtime/builder.hpp"

namespace modular_runtime {

namespace {

constexpr std::size_t head_bytes = 16;
constexpr std::size_t column_bytes = 48;
constexpr std::uint32_t dictionary_max = 256;
constexpr char magic[4] = {'M', 'R', 'B', '1'};

struct Region {
  std::uint32_t offset;
  std::uint32_t length;
};

// A column's struct, as it lies in the payload.
struct Layout {
  std::uint8_t type;
  std::uint8_t is_dictionary;
  std::uint16_t zero_16;
  std::uint32_t nulls;
  std::uint32_t dictionary_size;
  std::uint32_t zero_32;
  Region validity;
  Region values;
  Region offsets;
  Region bytes;
};
static_assert(sizeof(Layout) == column_bytes);

struct Head {
  char magic[4];
  std::uint32_t rows;
  std::uint32_t columns;
  std::uint32_t zero;
};
static_assert(sizeof(Head) == head_bytes);

constexpr std::uint64_t aligned(std::uint64_t bytes) { return (bytes + 7) & ~std::uint64_t{7}; }
constexpr std::size_t bitmap_bytes(std::size_t rows) { return (rows + 7) / 8; }
bool has_offsets(Type type) { return type == Type::string || type == Type::binary; }

// Bytes of a column's values, for so many rows.
std::uint64_t values_bytes(Type type, bool is_dictionary, std::uint64_t rows) {
  if (type == Type::boolean) return bitmap_bytes(rows);
  if (has_offsets(type)) return is_dictionary ? rows : 0;
  return 8 * rows;
}

// Whether the values at these offsets are UTF-8, each for itself.
bool is_text(const Column& column, Rows used) {
  const char* const begin = column.bytes + column.offsets[used.begin];
  const auto length = static_cast<std::size_t>(column.offsets[used.end] - column.offsets[used.begin]);
  // Without an early exit, so that the compiler looks at whole vectors.
  unsigned char high = 0;
  for (std::size_t at = 0; at < length; ++at) high |= static_cast<unsigned char>(begin[at]);
  if (high < 0x80) return true;
  if (!simdjson::validate_utf8(begin, length)) return false;
  // A value that begins inside a character is no text, though the whole is.
  bool is_inside = false;
  const std::int32_t end = column.offsets[used.end];
  for (std::size_t at = used.begin; at < used.end; ++at) {
    const std::int32_t offset = column.offsets[at];
    is_inside |= offset < end && (static_cast<unsigned char>(column.bytes[offset]) & 0xc0) == 0x80;
  }
  return !is_inside;
}

// Which offsets a column's rows use: those of all values where they are a dictionary's.
Rows offsets_of(const Column& column, Rows rows) {
  return column.is_dictionary ? Rows{0, column.dictionary_size} : rows;
}

// Reads the struct of one column.
class ColumnReader {
 public:
  ColumnReader(std::span<const std::byte> payload, const Field& field, std::uint32_t rows,
               std::size_t buffers_begin)
      : payload_(payload), field_(field), rows_(rows), buffers_begin_(buffers_begin) {}

  void read(const Layout& layout, Column& column) const {
    if (layout.type != static_cast<std::uint8_t>(field_.type)) fail("has another type than its schema");
    if (layout.is_dictionary > 1 || layout.zero_16 != 0 || layout.zero_32 != 0)
      fail("has an unknown encoding");
    const bool is_dictionary = layout.is_dictionary == 1;
    if (is_dictionary ? field_.type != Type::string || layout.dictionary_size > dictionary_max
                      : layout.dictionary_size != 0) {
      fail("has a dictionary that it cannot have");
    }
    if (layout.nulls > rows_ || (layout.nulls != 0 && !field_.is_nullable))
      fail("has nulls that it cannot have");
    column.type = field_.type;
    column.is_dictionary = is_dictionary;
    column.rows = rows_;
    column.nulls = layout.nulls;
    column.dictionary_size = layout.dictionary_size;
    const std::byte* validity =
        region(layout.validity, layout.nulls == 0 ? 0 : bitmap_bytes(rows_), "validity");
    column.validity = layout.nulls == 0 ? nullptr : reinterpret_cast<const std::uint8_t*>(validity);
    if (layout.nulls != 0) check_nulls(column);
    column.values = region(layout.values, values_bytes(field_.type, is_dictionary, rows_), "values");
    const std::uint64_t offsets = is_dictionary ? layout.dictionary_size : rows_;
    const std::uint64_t offsets_bytes = has_offsets(field_.type) ? 4 * (offsets + 1) : 0;
    column.offsets = reinterpret_cast<const std::int32_t*>(region(layout.offsets, offsets_bytes, "offsets"));
    column.bytes = reinterpret_cast<const char*>(region(layout.bytes, layout.bytes.length, "bytes"));
    if (has_offsets(field_.type)) check_offsets({column.offsets, offsets + 1}, layout.bytes.length);
    if (field_.type == Type::string && !is_text(column, {0, offsets})) fail("holds text that is not UTF-8");
    if (is_dictionary) check_codes(column);
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    throw FormatError("column `" + field_.name + "` " + what);
  }

  const std::byte* region(Region region, std::uint64_t length, const char* what) const {
    const bool is_inside = std::uint64_t{region.offset} + region.length <= payload_.size();
    if (region.length != length || !is_inside ||
        (length != 0 && (region.offset % 8 != 0 || region.offset < buffers_begin_))) {
      throw FormatError("column `" + field_.name + "` has " + what + " outside of its place");
    }
    return payload_.data() + region.offset;
  }

  void check_nulls(const Column& column) const {
    std::size_t valid = 0;
    std::size_t at = 0;
    for (; at + 8 <= rows_ / 8; at += 8) {
      std::uint64_t word;
      std::memcpy(&word, column.validity + at, 8);
      valid += static_cast<std::size_t>(std::popcount(word));
    }
    for (std::size_t row = 8 * at; row < rows_; ++row) valid += bit_at(column.validity, row) ? 1 : 0;
    if (rows_ - valid != column.nulls) fail("has another number of nulls than its bitmap");
  }

  void check_offsets(std::span<const std::int32_t> offsets, std::uint32_t length) const {
    // Without an early exit, so that the compiler compares whole vectors.
    std::int32_t falls = 0;
    for (std::size_t i = 1; i < offsets.size(); ++i) falls |= offsets[i] < offsets[i - 1] ? 1 : 0;
    if (falls != 0 || offsets.front() != 0 || static_cast<std::uint32_t>(offsets.back()) != length) {
      fail("has offsets that do not fit its bytes");
    }
  }

  void check_codes(const Column& column) const {
    std::uint8_t largest = 0;
    const std::uint8_t* const codes = column.codes();
    for (std::size_t row = 0; row < rows_; ++row) largest = std::max(largest, codes[row]);
    if (rows_ == 0 || largest < column.dictionary_size) return;
    for (std::size_t row = 0; row < rows_; ++row) {
      if (column.is_valid(row) && codes[row] >= column.dictionary_size)
        fail("has codes outside of its dictionary");
    }
  }

  std::span<const std::byte> payload_;
  const Field& field_;
  std::uint32_t rows_;
  std::size_t buffers_begin_;
};

// Copies bits from any place to the beginning of `to`, the unused ones of the last byte being 0.
void copy_bits(const std::uint8_t* from, Rows rows, std::uint8_t* to) {
  const std::size_t count = rows.end - rows.begin;
  const std::size_t shift = rows.begin % 8;
  from += rows.begin / 8;
  const std::size_t bytes = bitmap_bytes(count);
  if (shift == 0) {
    std::memcpy(to, from, bytes);
  } else {
    const std::size_t last = (shift + count - 1) / 8;
    for (std::size_t i = 0; i < bytes; ++i) {
      const unsigned high = i + 1 <= last ? static_cast<unsigned>(from[i + 1]) << (8 - shift) : 0;
      to[i] = static_cast<std::uint8_t>(from[i] >> shift | high);
    }
  }
  if (count % 8 != 0) to[bytes - 1] &= static_cast<std::uint8_t>((1 << (count % 8)) - 1);
}

std::uint32_t nulls_in(const Column& column, Rows rows) {
  if (column.validity == nullptr) return 0;
  if (rows.begin == 0 && rows.end == column.rows) return column.nulls;
  std::uint32_t nulls = 0;
  for (std::size_t row = rows.begin; row < rows.end; ++row) nulls += column.is_valid(row) ? 0 : 1;
  return nulls;
}

// Where the buffers of some rows lie behind each other.
class Placer {
 public:
  explicit Placer(std::size_t columns) : end_(head_bytes + column_bytes * columns) {}

  Layout place(const Column& column, Rows rows) {
    const std::size_t count = rows.end - rows.begin;
    Layout layout{};
    layout.type = static_cast<std::uint8_t>(column.type);
    layout.is_dictionary = column.is_dictionary ? 1 : 0;
    layout.nulls = nulls_in(column, rows);
    layout.dictionary_size = column.dictionary_size;
    layout.validity = take(layout.nulls == 0 ? 0 : bitmap_bytes(count));
    layout.values = take(values_bytes(column.type, column.is_dictionary, count));
    if (has_offsets(column.type)) {
      const Rows used = offsets_of(column, rows);
      layout.offsets = take(4 * (used.end - used.begin + 1));
      layout.bytes = take(static_cast<std::uint64_t>(column.offsets[used.end] - column.offsets[used.begin]));
    } else {
      layout.offsets = take(0);
      layout.bytes = take(0);
    }
    return layout;
  }
  std::uint64_t bytes() const { return end_; }

 private:
  // An empty buffer is nowhere.
  Region take(std::uint64_t length) {
    if (length == 0) return {0, 0};
    const std::uint64_t offset = aligned(end_);
    end_ = offset + length;
    // Beyond 4 GiB the numbers are wrong, but `bytes` is right and such a payload is never written.
    return {static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(length)};
  }

  std::uint64_t end_;
};

void write_buffer(std::byte* to, Region region, const void* from) {
  if (region.length == 0) return;
  std::memcpy(to + region.offset, from, region.length);
}

// Clears what lies between a column's buffers; `end` is that of the buffer before, and then of the last.
void clear_gaps(const Layout& layout, std::uint64_t& end, std::byte* to) {
  for (const Region region : {layout.validity, layout.values, layout.offsets, layout.bytes}) {
    if (region.length == 0) continue;
    std::memset(to + end, 0, region.offset - end);
    end = std::uint64_t{region.offset} + region.length;
  }
}

void write_column(const Column& column, Rows rows, const Layout& layout, std::byte* to) {
  if (layout.nulls != 0) {
    copy_bits(column.validity, rows, reinterpret_cast<std::uint8_t*>(to + layout.validity.offset));
  }
  if (column.type == Type::boolean) {
    if (rows.end > rows.begin) {
      copy_bits(static_cast<const std::uint8_t*>(column.values), rows,
                reinterpret_cast<std::uint8_t*>(to + layout.values.offset));
    }
    return;
  }
  const std::size_t width = column.is_dictionary ? 1 : 8;
  if (layout.values.length != 0) {
    write_buffer(to, layout.values, static_cast<const std::byte*>(column.values) + width * rows.begin);
  }
  if (!has_offsets(column.type)) return;
  const Rows used = offsets_of(column, rows);
  const std::int32_t base = column.offsets[used.begin];
  if (base == 0) {
    write_buffer(to, layout.offsets, column.offsets + used.begin);
  } else {
    std::byte* offsets = to + layout.offsets.offset;
    for (std::size_t at = used.begin; at <= used.end; ++at, offsets += 4) {
      const std::int32_t offset = column.offsets[at] - base;
      std::memcpy(offsets, &offset, 4);
    }
  }
  write_buffer(to, layout.bytes, column.bytes + base);
}

}  // namespace

TableReader::TableReader(std::shared_ptr<const Schema> schema)
    : batch_(schema, 0, std::vector<Column>(schema->size())) {}

const Batch& TableReader::read(std::span<const std::byte> payload) {
  Head head;
  const std::vector<Field>& fields = batch_.schema().fields();
  if (payload.size() < head_bytes) throw FormatError("a table is shorter than its head");
  std::memcpy(&head, payload.data(), head_bytes);
  if (std::memcmp(head.magic, magic, sizeof magic) != 0 || head.zero != 0)
    throw FormatError("a payload is no table");
  if (head.columns != fields.size())
    throw FormatError("a table has another number of columns than its schema");
  const std::size_t buffers_begin = head_bytes + column_bytes * fields.size();
  if (payload.size() < buffers_begin) throw FormatError("a table is shorter than its columns' structs");
  for (std::size_t i = 0; i < fields.size(); ++i) {
    Layout layout;
    std::memcpy(&layout, payload.data() + head_bytes + column_bytes * i, column_bytes);
    ColumnReader(payload, fields[i], head.rows, buffers_begin).read(layout, batch_.columns_[i]);
  }
  batch_.rows_ = head.rows;
  return batch_;
}

std::uint64_t table_bytes(const Batch& batch, Rows rows) {
  Placer placer(batch.columns().size());
  for (const Column& column : batch.columns()) placer.place(column, rows);
  return placer.bytes();
}

void write_table(const Batch& batch, Rows rows, std::byte* to) {
  Head head{};
  std::memcpy(head.magic, magic, sizeof magic);
  head.rows = static_cast<std::uint32_t>(rows.end - rows.begin);
  head.columns = static_cast<std::uint32_t>(batch.columns().size());
  std::memcpy(to, &head, head_bytes);
  Placer placer(batch.columns().size());
  std::byte* struct_at = to + head_bytes;
  std::uint64_t end = placer.bytes();
  for (const Column& column : batch.columns()) {
    const Layout layout = placer.place(column, rows);
    std::memcpy(struct_at, &layout, column_bytes);
    struct_at += column_bytes;
    clear_gaps(layout, end, to);
    write_column(column, rows, layout, to);
  }
}

Batch conform(const Batch& batch, const std::shared_ptr<const Schema>& schema) {
  std::vector<Column> columns;
  columns.reserve(schema->size());
  const bool is_same = batch.shared_schema() == schema;
  for (std::size_t i = 0; i < schema->size(); ++i) {
    const Field& field = schema->fields()[i];
    const std::size_t place = is_same ? i : batch.schema().at(field.name, field.type);
    const Column& column = batch.columns()[place];
    if (column.nulls != 0 && !field.is_nullable) {
      throw ColumnError("column `" + field.name + "` has nulls, but is " + field.type_text() +
                        " in the output");
    }
    if (column.is_foreign && field.type == Type::string &&
        !is_text(column, offsets_of(column, {0, batch.rows()}))) {
      throw EncodingError("column `" + field.name + "` holds text that is not UTF-8");
    }
    columns.push_back(column);
    columns.back().is_foreign = false;
  }
  return {schema, batch.rows(), std::move(columns), batch.owner()};
}

Batch copy_of(const Batch& batch) {
  const Rows all{0, batch.rows()};
  const std::uint64_t bytes = table_bytes(batch, all);
  // The widest element of the vector aligns the payload.
  auto memory = std::make_shared<std::vector<std::uint64_t>>((bytes + 7) / 8);
  auto* const to = reinterpret_cast<std::byte*>(memory->data());
  write_table(batch, all, to);
  TableReader reader(batch.shared_schema());
  std::vector<Column> columns = reader.read({to, bytes}).columns();
  for (std::size_t i = 0; i < columns.size(); ++i) columns[i].is_foreign = batch.columns()[i].is_foreign;
  return {batch.shared_schema(), batch.rows(), std::move(columns), std::move(memory)};
}

}  // namespace modular_runtime
