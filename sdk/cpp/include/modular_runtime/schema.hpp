// The columns of a link, and how they are found by name.
//
// A `Name` made from a literal is hashed while compiling, so that finding its column costs a few instructions
// for each event. Names are unique within a schema; a column that is not there is an error that lists those
// that are. Refuses: types beyond the six that a link can carry. Neighbours: `batch.hpp` has the columns
// themselves, `message` reads schemas from the socket.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace modular_runtime {

// A column's type; the numbers are those of the protocol.
enum class Type : std::uint8_t { boolean = 1, int64, float64, string, binary, timestamp };

// The type's name in pipelines: `bool`, `int64`, ….
std::string_view text_of(Type type) noexcept;

// A column is not there, or has another type.
class ColumnError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// A column's name. From a literal it costs nothing; from other text it is hashed when made, and must not
// outlive it.
class Name {
 public:
  template <std::size_t size>
  consteval Name(const char (&literal)[size])
      : text_(literal, size - 1), hash_(hash_of({literal, size - 1})), is_literal_(true) {}
  template <class Text>
    requires(!std::is_array_v<std::remove_reference_t<Text>> &&
             !std::same_as<std::remove_cvref_t<Text>, Name> &&
             std::convertible_to<const Text&, std::string_view>)
  Name(const Text& text) : text_(text), hash_(hash_of(text_)) {}

  constexpr std::string_view text() const noexcept { return text_; }
  constexpr std::uint64_t hash() const noexcept { return hash_; }
  constexpr bool is_literal() const noexcept { return is_literal_; }

 private:
  // FNV-1a.
  static constexpr std::uint64_t hash_of(std::string_view text) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return hash;
  }

  std::string_view text_;
  std::uint64_t hash_;
  bool is_literal_ = false;
};

struct Field {
  // `type` as in a pipeline: `int64`, or `int64?` where the column may be null. Throws
  // `std::invalid_argument`.
  Field(std::string name, std::string_view type);
  Field(std::string name, Type type, bool is_nullable);

  // The type as in a pipeline.
  std::string type_text() const;
  bool operator==(const Field&) const = default;

  std::string name;
  Type type;
  bool is_nullable;
};

// Columns in their order.
class Schema {
 public:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  Schema() : Schema(std::vector<Field>{}) {}
  // Throws `std::invalid_argument` if two columns have the same name.
  explicit Schema(std::vector<Field> fields);
  Schema(std::initializer_list<Field> fields) : Schema(std::vector<Field>(fields)) {}

  const std::vector<Field>& fields() const noexcept { return fields_; }
  std::size_t size() const noexcept { return fields_.size(); }
  bool operator==(const Schema& other) const { return fields_ == other.fields_; }

  // The column's place, or `none`.
  std::size_t find(const Name& name) const noexcept {
    for (std::size_t at = name.hash() & mask_;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.index == empty) return none;
      if (slot.hash == name.hash() && fields_[slot.index].name == name.text()) return slot.index;
    }
  }
  // The column's place; throws `ColumnError` if it is not there.
  std::size_t at(const Name& name) const {
    const std::size_t index = find(name);
    if (index == none) [[unlikely]]
      throw_missing(name.text());
    return index;
  }
  // The place of a column of this type; throws `ColumnError` if it is not there or has another type.
  std::size_t at(const Name& name, Type type) const {
    const std::size_t index = at(name);
    if (fields_[index].type != type) [[unlikely]]
      throw_type(index, type);
    return index;
  }

 private:
  static constexpr std::uint32_t empty = static_cast<std::uint32_t>(-1);
  struct Slot {
    std::uint64_t hash = 0;
    std::uint32_t index = empty;
  };

  [[noreturn]] void throw_missing(std::string_view name) const;
  [[noreturn]] void throw_type(std::size_t index, Type asked) const;

  std::vector<Field> fields_;
  // At most half of the slots are taken, so that `find` ends.
  std::vector<Slot> slots_;
  std::uint64_t mask_ = 0;
};

}  // namespace modular_runtime
