// Fields of protobuf messages, as far as the protocol needs them.
//
// Reading: fields in any order, those that nobody asks for are skipped. A field that is asked for as
// something that it is not written as, text that is not UTF-8 and bytes that are no fields are a
// `FormatError`. Writing: what is 0 or empty is left out, as proto3 does. Neighbours: `message` knows the
// numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace modular_runtime {

class FieldReader {
 public:
  explicit FieldReader(std::span<const std::byte> bytes) : rest_(bytes) {}

  // Goes on to the next field; false at the end.
  bool next();
  std::uint32_t number() const noexcept { return number_; }
  // The field's value.
  std::uint64_t whole() const;
  std::uint32_t whole32() const { return static_cast<std::uint32_t>(whole()); }
  std::span<const std::byte> bytes() const;
  std::string text() const;

 private:
  std::uint64_t take_varint();
  std::span<const std::byte> take(std::uint64_t length);

  std::span<const std::byte> rest_;
  std::uint32_t number_ = 0;
  std::uint32_t wire_ = 0;
  std::uint64_t value_ = 0;
  std::span<const std::byte> bytes_;
};

class FieldWriter {
 public:
  FieldWriter& whole(std::uint32_t number, std::uint64_t value);
  FieldWriter& fixed64(std::uint32_t number, std::uint64_t value);
  FieldWriter& text(std::uint32_t number, std::string_view value);
  // A message within the message: there even if it is empty.
  FieldWriter& message(std::uint32_t number, std::string_view bytes);
  // A number of a packed field.
  void put(std::uint64_t value);
  const std::string& written() const noexcept { return written_; }

 private:
  std::string written_;
};

}  // namespace modular_runtime
