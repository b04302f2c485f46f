#include "modular_runtime/builder.hpp"

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace modular_runtime {

void Buffer::grow(std::size_t bytes) {
  const std::size_t capacity = std::max({2 * capacity_, size_ + bytes, std::size_t{64}});
  void* const grown = std::realloc(data_.get(), capacity);
  if (grown == nullptr) throw std::bad_alloc();
  (void)data_.release();
  data_.reset(static_cast<std::byte*>(grown));
  capacity_ = capacity;
}

ColumnBuilder::ColumnBuilder(const Field& field)
    : name_(field.name), type_(field.type), is_nullable_(field.is_nullable) {
  if (type_ == Type::string || type_ == Type::binary) offsets_.push(std::int32_t{0});
}

void ColumnBuilder::check_text(std::string_view text) {
  std::size_t at = 0;
  std::uint64_t high = 0;
  for (; at + 8 <= text.size(); at += 8) {
    std::uint64_t word;
    std::memcpy(&word, text.data() + at, 8);
    high |= word & 0x8080808080808080;
  }
  for (; at < text.size(); ++at) high |= static_cast<unsigned char>(text[at]) & 0x80;
  if (high != 0 && !simdjson::validate_utf8(text.data(), text.size())) {
    throw EncodingError("text is not UTF-8; a column of other bytes is `binary`");
  }
}

void ColumnBuilder::append_null() {
  if (is_dictionary_) {
    values_.push(std::uint8_t{0});
  } else if (type_ == Type::boolean) {
    push_bit(values_, false);
  } else if (type_ == Type::string || type_ == Type::binary) {
    offsets_.push(static_cast<std::int32_t>(bytes_.size()));
  } else {
    values_.push(std::int64_t{0});
  }
  added(false);
}

// Called before the row is counted.
void ColumnBuilder::mark(bool is_valid) {
  const std::size_t bytes = (rows_ + 8) / 8;
  if (nulls_ == 0) {
    validity_.truncate(0);
    std::memset(validity_.extend(bytes), 0, bytes);
    for (std::size_t row = 0; row < rows_; ++row)
      validity_.data()[row / 8] |= static_cast<std::byte>(1 << (row % 8));
  } else if (validity_.size() < bytes) {
    validity_.push(std::uint8_t{0});
  }
  if (is_valid) {
    validity_.data()[rows_ / 8] |= static_cast<std::byte>(1 << (rows_ % 8));
  } else {
    ++nulls_;
  }
}

void ColumnBuilder::value(const Value& value) {
  if (value.is_null()) return null();
  if (const auto* held = value.get<bool>()) return boolean(*held);
  if (const auto* held = value.get<double>()) return float64(*held);
  if (const auto* held = value.get<std::string>()) return string(*held);
  if (const auto* held = value.get<Value::Bytes>()) return binary(*held);
  if (const auto* held = value.get<Timestamp>()) return timestamp(*held);
  const std::int64_t whole = *value.get<std::int64_t>();
  if (type_ != Type::float64) return int64(whole);
  constexpr std::int64_t exact_max = std::int64_t{1} << 53;
  if (whole > exact_max || whole < -exact_max) {
    throw ColumnError("column `" + name_ + "` is float64, which does not have the whole number " +
                      std::to_string(whole));
  }
  float64(static_cast<double>(whole));
}

void ColumnBuilder::append(std::span<const std::int64_t> values) {
  if (type_ != Type::timestamp) expect(Type::int64);
  values_.append(values.data(), values.size_bytes());
  for (std::size_t row = 0; nulls_ != 0 && row < values.size(); ++row, ++rows_) mark(true);
  if (nulls_ == 0) rows_ += values.size();
}

void ColumnBuilder::append(std::span<const double> values) {
  expect(Type::float64);
  values_.append(values.data(), values.size_bytes());
  for (std::size_t row = 0; nulls_ != 0 && row < values.size(); ++row, ++rows_) mark(true);
  if (nulls_ == 0) rows_ += values.size();
}

void ColumnBuilder::copy(const Column& column, std::size_t row) {
  if (!column.is_valid(row)) return null();
  switch (column.type) {
    case Type::boolean:
      return boolean(column.boolean(row));
    case Type::float64:
      return float64(column.float64(row));
    case Type::int64:
    case Type::timestamp:
      if (column.type != type_) throw_type(column.type);
      values_.push(column.int64(row));
      return added(true);
    case Type::string:
    case Type::binary:
      expect(column.type);
      if (column.is_foreign) check_text(column.text(row));
      return push_text(column.text(row));
  }
}

void ColumnBuilder::share_dictionary(const Column& column) {
  is_dictionary_ = true;
  const std::size_t size = column.dictionary_size;
  offsets_.truncate(0);
  for (std::size_t at = 0; at <= size; ++at) offsets_.push(column.offsets[at] - column.offsets[0]);
  bytes_.append(column.bytes + column.offsets[0],
                static_cast<std::size_t>(column.offsets[size] - column.offsets[0]));
}

void ColumnBuilder::make_plain() {
  ColumnBuilder plain({name_, type_, true});
  const Column coded = view();
  for (std::size_t row = 0; row < rows_; ++row) plain.copy(coded, row);
  plain.is_nullable_ = is_nullable_;
  *this = std::move(plain);
}

void ColumnBuilder::gather(const Column& column, std::span<const std::uint32_t> rows, Codes codes) {
  if (column.type != type_) throw_type(column.type);
  const bool can_share = codes == Codes::keep && column.is_dictionary && !column.is_foreign && rows_ == 0;
  if (is_dictionary_) make_plain();
  if (!can_share && (column.nulls != 0 || column.type == Type::boolean || column.is_foreign || nulls_ != 0)) {
    for (const std::uint32_t row : rows) copy(column, row);
    return;
  }
  if (can_share) {
    share_dictionary(column);
    for (const std::uint32_t row : rows) {
      if (column.is_valid(row)) {
        values_.push(column.codes()[row]);
        added(true);
      } else {
        null();
      }
    }
  } else if (column.type == Type::string || column.type == Type::binary) {
    for (const std::uint32_t row : rows) push_text(column.text(row));
  } else {
    std::byte* to = values_.extend(8 * rows.size());
    for (const std::uint32_t row : rows) {
      const std::int64_t value = column.int64(row);
      std::memcpy(to, &value, 8);
      to += 8;
    }
    rows_ += rows.size();
  }
}

void ColumnBuilder::truncate(std::size_t rows) noexcept {
  if (rows >= rows_) return;
  const auto cut_bits = [rows](Buffer& bits) {
    bits.truncate((rows + 7) / 8);
    if (rows % 8 != 0) bits.data()[rows / 8] &= static_cast<std::byte>((1 << (rows % 8)) - 1);
  };
  if (is_dictionary_) {
    values_.truncate(rows);
  } else if (type_ == Type::boolean) {
    cut_bits(values_);
  } else if (type_ == Type::string || type_ == Type::binary) {
    offsets_.truncate(4 * (rows + 1));
    std::int32_t end;
    std::memcpy(&end, offsets_.data() + 4 * rows, 4);
    bytes_.truncate(static_cast<std::size_t>(end));
  } else {
    values_.truncate(8 * rows);
  }
  if (nulls_ != 0) {
    const auto* bits = reinterpret_cast<const std::uint8_t*>(validity_.data());
    for (std::size_t row = rows; row < rows_; ++row) nulls_ -= bit_at(bits, row) ? 0 : 1;
    cut_bits(validity_);
  }
  rows_ = rows;
  if (rows == 0 && is_dictionary_) {
    is_dictionary_ = false;
    bytes_.truncate(0);
    offsets_.truncate(4);
  }
}

Column ColumnBuilder::view() const noexcept {
  Column column;
  column.type = type_;
  column.is_dictionary = is_dictionary_;
  column.rows = static_cast<std::uint32_t>(rows_);
  column.nulls = static_cast<std::uint32_t>(nulls_);
  column.dictionary_size = is_dictionary_ ? static_cast<std::uint32_t>(offsets_.size() / 4 - 1) : 0;
  column.validity = nulls_ == 0 ? nullptr : reinterpret_cast<const std::uint8_t*>(validity_.data());
  column.values = values_.data();
  column.offsets = reinterpret_cast<const std::int32_t*>(offsets_.data());
  column.bytes = reinterpret_cast<const char*>(bytes_.data());
  return column;
}

void ColumnBuilder::throw_null() const {
  throw ColumnError("column `" + name_ + "` of the output cannot be null; `" + std::string(text_of(type_)) +
                    "?` declares one that can");
}

void ColumnBuilder::throw_type(Type given) const {
  throw ColumnError("column `" + name_ + "` of the output is " + std::string(text_of(type_)) + ", not " +
                    std::string(text_of(given)));
}

void ColumnBuilder::throw_length() const {
  throw std::length_error("column `" + name_ + "` of one batch would hold more than 2 GiB of text");
}

BatchBuilder::BatchBuilder(std::shared_ptr<const Schema> schema) : schema_(std::move(schema)) {
  columns_.reserve(schema_->size());
  for (const Field& field : schema_->fields()) columns_.emplace_back(field);
  set_.resize(columns_.size());
}

void BatchBuilder::bind(const Batch& batch) {
  if (bound_ == batch.shared_schema()) return;
  bound_ = batch.shared_schema();
  places_.clear();
  for (const Field& field : schema_->fields()) places_.push_back(bound_->find(field.name));
}

void BatchBuilder::append(const Event& event) {
  const std::size_t before = rows();
  try {
    append_columns(event);
  } catch (...) {
    std::fill(set_.begin(), set_.end(), nullptr);
    truncate(before);
    throw;
  }
}

void BatchBuilder::append_columns(const Event& event) {
  const Batch* const batch = event.batch();
  if (batch != nullptr) bind(*batch);
  const bool is_changed = !event.changes().empty();
  if (is_changed) {
    for (const Event::Change& change : event.changes()) {
      const std::size_t index = schema_->find(change.key());
      if (index == Schema::none) throw_unknown(change.text());
      set_[index] = &change.value;
    }
  }
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (is_changed && set_[i] != nullptr) {
      columns_[i].value(*std::exchange(set_[i], nullptr));
    } else if (batch != nullptr && places_[i] != Schema::none) {
      columns_[i].copy(batch->columns()[places_[i]], event.row());
    } else {
      columns_[i].null();
    }
  }
  ++rows_;
}

void BatchBuilder::append(const Batch& batch, std::span<const std::uint32_t> rows,
                          ColumnBuilder::Codes codes) {
  bind(batch);
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (places_[i] == Schema::none) bound_->at(schema_->fields()[i].name);
    columns_[i].gather(batch.columns()[places_[i]], rows, codes);
  }
  rows_ += rows.size();
}

void BatchBuilder::throw_unknown(std::string_view name) const {
  std::string there;
  for (const Field& field : schema_->fields()) there += (there.empty() ? "`" : ", `") + field.name + "`";
  throw ColumnError("column `" + std::string(name) + "` was set, but the output has " +
                    (there.empty() ? "none" : "only " + there) +
                    "; `out:` in the pipeline or `.output({…})` adds one");
}

std::size_t BatchBuilder::bytes() const noexcept {
  std::size_t bytes = 0;
  for (const ColumnBuilder& column : columns_) bytes += column.bytes();
  return bytes;
}

void BatchBuilder::truncate(std::size_t rows) noexcept {
  for (ColumnBuilder& column : columns_) column.truncate(rows);
  rows_ = std::min(rows_, rows);
}

Batch BatchBuilder::view() const {
  std::vector<Column> columns;
  columns.reserve(columns_.size());
  for (const ColumnBuilder& column : columns_) {
    if (column.rows() != rows())
      throw std::length_error("the columns of a batch have different numbers of rows");
    columns.push_back(column.view());
  }
  return {schema_, rows(), std::move(columns)};
}

Batch BatchBuilder::finish() {
  (void)view();
  BatchBuilder next(schema_);
  auto owner = std::make_shared<const std::vector<ColumnBuilder>>(std::move(columns_));
  std::vector<Column> columns;
  for (const ColumnBuilder& column : *owner) columns.push_back(column.view());
  const std::size_t rows = owner->empty() ? rows_ : owner->front().rows();
  *this = std::move(next);
  return {schema_, rows, std::move(columns), std::move(owner)};
}

}  // namespace modular_runtime
