#include "protobuf.hpp"

#include <simdjson.h>

#include "table.hpp"

namespace modular_runtime {

namespace {

constexpr std::uint32_t varint = 0;
constexpr std::uint32_t fixed_64 = 1;
constexpr std::uint32_t delimited = 2;
constexpr std::uint32_t fixed_32 = 5;

}  // namespace

bool FieldReader::next() {
  if (rest_.empty()) return false;
  const std::uint64_t key = take_varint();
  number_ = static_cast<std::uint32_t>(key >> 3);
  wire_ = static_cast<std::uint32_t>(key & 7);
  if (number_ == 0) throw FormatError("a message has a field with the number 0");
  switch (wire_) {
    case varint:
      value_ = take_varint();
      return true;
    case fixed_64:
      take(8);
      return true;
    case fixed_32:
      take(4);
      return true;
    case delimited:
      bytes_ = take(take_varint());
      return true;
    default:
      throw FormatError("a message has a field of an unknown kind");
  }
}

std::uint64_t FieldReader::whole() const {
  if (wire_ != varint) throw FormatError("field " + std::to_string(number_) + " of a message is no number");
  return value_;
}

std::span<const std::byte> FieldReader::bytes() const {
  if (wire_ != delimited)
    throw FormatError("field " + std::to_string(number_) + " of a message has no length");
  return bytes_;
}

std::string FieldReader::text() const {
  const std::span<const std::byte> text = bytes();
  const auto* const begin = reinterpret_cast<const char*>(text.data());
  if (!text.empty() && !simdjson::validate_utf8(begin, text.size())) {
    throw FormatError("field " + std::to_string(number_) + " of a message is not UTF-8");
  }
  return {begin, text.size()};
}

std::uint64_t FieldReader::take_varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const auto byte = static_cast<std::uint64_t>(take(1)[0]);
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  throw FormatError("a message has a number beyond 64 bits");
}

std::span<const std::byte> FieldReader::take(std::uint64_t length) {
  if (length > rest_.size()) throw FormatError("a message ends inside a field");
  const auto taken = rest_.first(static_cast<std::size_t>(length));
  rest_ = rest_.subspan(taken.size());
  return taken;
}

FieldWriter& FieldWriter::whole(std::uint32_t number, std::uint64_t value) {
  if (value == 0) return *this;
  put(number << 3 | varint);
  put(value);
  return *this;
}

FieldWriter& FieldWriter::fixed64(std::uint32_t number, std::uint64_t value) {
  if (value == 0) return *this;
  put(number << 3 | fixed_64);
  written_.append(reinterpret_cast<const char*>(&value), sizeof value);
  return *this;
}

FieldWriter& FieldWriter::text(std::uint32_t number, std::string_view value) {
  return value.empty() ? *this : message(number, value);
}

FieldWriter& FieldWriter::message(std::uint32_t number, std::string_view bytes) {
  put(number << 3 | delimited);
  put(bytes.size());
  written_ += bytes;
  return *this;
}

void FieldWriter::put(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) written_ += static_cast<char>(value | 0x80);
  written_ += static_cast<char>(value);
}

}  // namespace modular_runtime
