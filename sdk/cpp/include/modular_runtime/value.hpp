// One value of an event, of any type, or null.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "column.hpp"

namespace modular_runtime {

class Value {
 public:
  using Bytes = std::vector<std::byte>;
  using Variant = std::variant<std::monostate, bool, std::int64_t, double, std::string, Bytes, Timestamp>;

  Value() = default;
  Value(std::nullopt_t) {}
  Value(std::nullptr_t) {}
  Value(std::same_as<bool> auto value) : variant_(value) {}
  // Throws `std::out_of_range` for a number that int64 cannot hold.
  template <std::integral Integer>
    requires(!std::same_as<Integer, bool>)
  Value(Integer value) : variant_(static_cast<std::int64_t>(value)) {
    if (!std::in_range<std::int64_t>(value)) throw std::out_of_range("a number is beyond int64");
  }
  Value(std::floating_point auto value) : variant_(static_cast<double>(value)) {}
  Value(std::string value) : variant_(std::move(value)) {}
  Value(std::string_view value) : variant_(std::string(value)) {}
  Value(const char* value) : variant_(std::string(value)) {}
  Value(Binary value) : variant_(Bytes(value.begin(), value.end())) {}
  Value(Bytes value) : variant_(std::move(value)) {}
  Value(Timestamp value) : variant_(value) {}
  template <class T>
  Value(std::optional<T> value) {
    if (value) *this = Value(std::move(*value));
  }

  bool is_null() const noexcept { return variant_.index() == 0; }
  const Variant& variant() const noexcept { return variant_; }
  bool operator==(const Value&) const = default;

  // The value if it has this type.
  template <class T>
  const T* get() const noexcept {
    return std::get_if<T>(&variant_);
  }

 private:
  Variant variant_;
};

// The column type that holds the value; nothing for null.
std::optional<Type> type_of(const Value& value) noexcept;

}  // namespace modular_runtime
