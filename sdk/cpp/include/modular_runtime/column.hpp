// One column of a batch: a view of Arrow buffers that lie elsewhere.
//
//   validity   one bit a row, 1 is valid; absent if there are no nulls
//   values     bool: one bit a row; int64, float64, timestamp: 8 bytes a row; coded string: one u8 code a row
//   offsets    i32: plain string and binary: rows + 1; coded string: values of the dictionary + 1
//   bytes      what the offsets point into
//
// Guarantees nothing about the buffers: whoever makes a column has checked them.
// Neighbours: `batch.hpp` owns or lends them; `src/table` reads and writes them as payloads.
#pragma once

#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "schema.hpp"

namespace modular_runtime {

static_assert(std::endian::native == std::endian::little, "columns are little-endian memory");

using Timestamp = std::chrono::sys_time<std::chrono::microseconds>;
using Binary = std::span<const std::byte>;

inline bool bit_at(const std::uint8_t* bits, std::size_t at) noexcept {
  return (bits[at / 8] >> (at % 8) & 1) != 0;
}

struct Column {
  Type type = Type::boolean;
  bool is_dictionary = false;
  // Made by code outside of this library and not yet looked at: its text may be other than UTF-8.
  bool is_foreign = false;
  std::uint32_t rows = 0;
  std::uint32_t nulls = 0;
  std::uint32_t dictionary_size = 0;
  const std::uint8_t* validity = nullptr;
  const void* values = nullptr;
  const std::int32_t* offsets = nullptr;
  const char* bytes = nullptr;

  bool is_valid(std::size_t row) const noexcept { return validity == nullptr || bit_at(validity, row); }

  // The values below are meaningful in valid rows only, of a column of that type.
  bool boolean(std::size_t row) const noexcept {
    return bit_at(static_cast<const std::uint8_t*>(values), row);
  }
  std::int64_t int64(std::size_t row) const noexcept { return static_cast<const std::int64_t*>(values)[row]; }
  double float64(std::size_t row) const noexcept { return static_cast<const double*>(values)[row]; }
  const std::uint8_t* codes() const noexcept { return static_cast<const std::uint8_t*>(values); }
  // Text or bytes.
  std::string_view text(std::size_t row) const noexcept {
    const std::size_t at = is_dictionary ? codes()[row] : row;
    const std::int32_t begin = offsets[at];
    return {bytes + begin, static_cast<std::size_t>(offsets[at + 1] - begin)};
  }
};

// One bit a row.
class Bits {
 public:
  // `bits` may be null: then all are 1.
  Bits(const std::uint8_t* bits, std::size_t size) noexcept : bits_(bits), size_(size) {}

  bool operator[](std::size_t row) const noexcept { return bits_ == nullptr || bit_at(bits_, row); }
  std::size_t size() const noexcept { return size_; }
  // Whether nobody has to look: a validity without nulls.
  bool all() const noexcept { return bits_ == nullptr; }
  // The packed bits, or null where all are 1.
  const std::uint8_t* data() const noexcept { return bits_; }

 private:
  const std::uint8_t* bits_;
  std::size_t size_;
};

// A column of text. Where it is a dictionary, work on its few values is done once and looked up by the rows'
// codes.
class Strings {
 public:
  explicit Strings(const Column& column) noexcept : column_(column) {}

  // The row's text; empty where it is null.
  std::string_view operator[](std::size_t row) const noexcept {
    return column_.is_valid(row) ? column_.text(row) : std::string_view{};
  }
  std::size_t size() const noexcept { return column_.rows; }
  Bits valid() const noexcept { return {column_.validity, column_.rows}; }

  bool is_dictionary() const noexcept { return column_.is_dictionary; }
  // One code a row; those of null rows mean nothing. Empty if there is no dictionary.
  std::span<const std::uint8_t> codes() const noexcept {
    return column_.is_dictionary ? std::span(column_.codes(), column_.rows) : std::span<const std::uint8_t>{};
  }
  std::size_t dictionary_size() const noexcept { return column_.dictionary_size; }
  // The dictionary's value of this code.
  std::string_view value(std::size_t code) const noexcept {
    const std::int32_t begin = column_.offsets[code];
    return {column_.bytes + begin, static_cast<std::size_t>(column_.offsets[code + 1] - begin)};
  }

 private:
  Column column_;
};

// A column of bytes.
class Binaries {
 public:
  explicit Binaries(const Column& column) noexcept : column_(column) {}

  // The row's bytes; empty where it is null.
  Binary operator[](std::size_t row) const noexcept {
    return column_.is_valid(row) ? std::as_bytes(std::span(column_.text(row))) : Binary{};
  }
  std::size_t size() const noexcept { return column_.rows; }
  Bits valid() const noexcept { return {column_.validity, column_.rows}; }

 private:
  Column column_;
};

}  // namespace modular_runtime
