// Makes a new batch, a column or an event at a time.
//
//   BatchBuilder out(opening.output);
//   out.column("n2").append(numbers);           // whole columns …
//   out.column("s2").string("text");            // … or value by value
//   return out.finish();
//
// Guarantees: text is UTF-8, columns have the schema's types, nulls stand where the schema lets them; an
// event that is refused leaves nothing behind. Neighbours: `emitter.hpp` collects events in one, `batch.hpp`
// is what it makes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "event.hpp"

namespace modular_runtime {

// Growing memory that is not cleared first.
class Buffer {
 public:
  const std::byte* data() const noexcept { return data_.get(); }
  std::byte* data() noexcept { return data_.get(); }
  std::size_t size() const noexcept { return size_; }

  // Room for so many more bytes, counted as written.
  std::byte* extend(std::size_t bytes) {
    if (bytes > capacity_ - size_) grow(bytes);
    std::byte* const at = data_.get() + size_;
    size_ += bytes;
    return at;
  }
  template <class T>
  void push(T value) {
    std::memcpy(extend(sizeof(T)), &value, sizeof(T));
  }
  void append(const void* from, std::size_t bytes) {
    if (bytes != 0) std::memcpy(extend(bytes), from, bytes);
  }
  void truncate(std::size_t size) noexcept { size_ = size; }

 private:
  struct Free {
    void operator()(std::byte* data) const noexcept { std::free(data); }
  };
  void grow(std::size_t bytes);

  std::unique_ptr<std::byte[], Free> data_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

// Text that is not UTF-8.
class EncodingError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// One column of the batch to be. Every call appends; each throws `ColumnError` if the column has another type
// or, for null, cannot be null.
class ColumnBuilder {
 public:
  explicit ColumnBuilder(const Field& field);

  void null() {
    if (!is_nullable_) throw_null();
    append_null();
  }
  void boolean(bool value) {
    expect(Type::boolean);
    push_bit(values_, value);
    added(true);
  }
  void int64(std::int64_t value) {
    expect(Type::int64);
    values_.push(value);
    added(true);
  }
  void float64(double value) {
    expect(Type::float64);
    values_.push(value);
    added(true);
  }
  void timestamp(Timestamp value) {
    expect(Type::timestamp);
    values_.push(static_cast<std::int64_t>(value.time_since_epoch().count()));
    added(true);
  }
  // Throws `EncodingError` for text that is not UTF-8.
  void string(std::string_view value) {
    expect(Type::string);
    check_text(value);
    push_text(value);
  }
  void binary(Binary value) {
    expect(Type::binary);
    push_text({reinterpret_cast<const char*>(value.data()), value.size()});
  }
  // Also takes a whole number for a float64 column, if float64 has it.
  void value(const Value& value);
  // Null where there is no value.
  template <class T>
  void value(const std::optional<T>& held) {
    if (held) {
      put(*held);
    } else {
      null();
    }
  }

  // Whole columns, without nulls. Timestamps are microseconds since 1970.
  void append(std::span<const std::int64_t> values);
  void append(std::span<const double> values);

  // Rows of a column of the same type. `Codes::keep` takes a dictionary over, if nothing else is in the
  // column.
  enum class Codes : std::uint8_t { keep, resolve };
  void gather(const Column& column, std::span<const std::uint32_t> rows, Codes codes = Codes::resolve);
  void copy(const Column& column, std::size_t row);

  std::size_t rows() const noexcept { return rows_; }
  // Bytes that it takes, about.
  std::size_t bytes() const noexcept { return values_.size() + offsets_.size() + bytes_.size(); }
  void truncate(std::size_t rows) noexcept;
  Column view() const noexcept;

 private:
  void put(bool value) { boolean(value); }
  void put(std::int64_t value) { int64(value); }
  void put(double value) { float64(value); }
  void put(Timestamp value) { timestamp(value); }
  void put(std::string_view value) { string(value); }
  void put(Binary value) { binary(value); }

  void expect(Type type) {
    if (type != type_) [[unlikely]]
      throw_type(type);
    if (is_dictionary_) [[unlikely]]
      make_plain();
  }
  void push_bit(Buffer& bits, bool value) {
    if (rows_ % 8 == 0) bits.push(std::uint8_t{0});
    if (value) bits.data()[rows_ / 8] |= static_cast<std::byte>(1 << (rows_ % 8));
  }
  void push_text(std::string_view text) {
    if (text.size() > bytes_max - bytes_.size()) [[unlikely]]
      throw_length();
    bytes_.append(text.data(), text.size());
    offsets_.push(static_cast<std::int32_t>(bytes_.size()));
    added(true);
  }
  void added(bool is_valid) {
    if (nulls_ != 0 || !is_valid) [[unlikely]]
      mark(is_valid);
    ++rows_;
  }
  static void check_text(std::string_view text);
  void append_null();
  void mark(bool is_valid);
  void make_plain();
  void share_dictionary(const Column& column);
  [[noreturn]] void throw_null() const;
  [[noreturn]] void throw_type(Type given) const;
  [[noreturn]] void throw_length() const;

  static constexpr std::size_t bytes_max = 0x7fffffff;

  std::string name_;
  Type type_;
  bool is_nullable_;
  bool is_dictionary_ = false;
  std::size_t rows_ = 0;
  std::size_t nulls_ = 0;
  Buffer values_;
  Buffer offsets_;
  Buffer bytes_;
  // Absent, that is shorter than the rows, as long as there are no nulls.
  Buffer validity_;
};

class BatchBuilder {
 public:
  explicit BatchBuilder(const Schema& schema) : BatchBuilder(std::make_shared<const Schema>(schema)) {}
  explicit BatchBuilder(std::shared_ptr<const Schema> schema);

  // Throws `ColumnError` if there is none.
  ColumnBuilder& column(const Name& name) { return columns_[schema_->at(name)]; }
  ColumnBuilder& column(std::size_t index) { return columns_.at(index); }

  // One row of an event's columns. A column that the event does not have is null; one that the schema does
  // not have, if it was set, is a `ColumnError`.
  void append(const Event& event);
  // Rows of a batch, whose columns are found by name.
  void append(const Batch& batch, std::span<const std::uint32_t> rows,
              ColumnBuilder::Codes codes = ColumnBuilder::Codes::resolve);

  std::size_t rows() const noexcept { return columns_.empty() ? rows_ : columns_.front().rows(); }
  std::size_t bytes() const noexcept;
  // Drops the rows behind the first so many.
  void truncate(std::size_t rows) noexcept;

  // The rows so far, lent until the builder is used again.
  Batch view() const;
  // The batch; the builder begins anew. Throws `std::length_error` if columns have different numbers of rows.
  Batch finish();

 private:
  void bind(const Batch& batch);
  void append_columns(const Event& event);
  [[noreturn]] void throw_unknown(std::string_view name) const;

  std::shared_ptr<const Schema> schema_;
  std::vector<ColumnBuilder> columns_;
  // Counted only where there are no columns that do.
  std::size_t rows_ = 0;
  // Of the last batch: where each of our columns is in it.
  std::shared_ptr<const Schema> bound_;
  std::vector<std::size_t> places_;
  std::vector<const Value*> set_;
};

}  // namespace modular_runtime
