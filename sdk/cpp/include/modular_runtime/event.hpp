// One event: a row of a batch, what was set on it, or both.
//
// Columns are read as `std::optional`, empty where they are null, so that `event.int64("value") >= 10` is
// false for null and `*event.int64("value")` is for columns that cannot be null. `set` changes this event
// only. An event is valid until the handler returns; `keep()` copies it. Neighbours: `batch.hpp`,
// `value.hpp`; `emitter.hpp` takes events on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "batch.hpp"
#include "value.hpp"

namespace modular_runtime {

class Event {
 public:
  struct Member {
    Name name;
    Value value;
  };

  Event() = default;
  // An event of its own: `Event{{"key", "a"}, {"count", 1}}`.
  Event(std::initializer_list<Member> members);
  Event(const Batch* batch, std::size_t row) noexcept : batch_(batch), row_(row) {}

  // Columns by name; each throws `ColumnError` if there is none of that name and type.
  std::optional<bool> boolean(const Name& name) const {
    if (const Value* value = changed(name)) [[unlikely]]
      return copy<bool>(name, *value);
    const Column& column = at(name, Type::boolean);
    return column.is_valid(row_) ? std::optional(column.boolean(row_)) : std::nullopt;
  }
  std::optional<std::int64_t> int64(const Name& name) const {
    if (const Value* value = changed(name)) [[unlikely]]
      return copy<std::int64_t>(name, *value);
    const Column& column = at(name, Type::int64);
    return column.is_valid(row_) ? std::optional(column.int64(row_)) : std::nullopt;
  }
  std::optional<double> float64(const Name& name) const {
    if (const Value* value = changed(name)) [[unlikely]]
      return copy<double>(name, *value);
    const Column& column = at(name, Type::float64);
    return column.is_valid(row_) ? std::optional(column.float64(row_)) : std::nullopt;
  }
  std::optional<Timestamp> timestamp(const Name& name) const {
    if (const Value* value = changed(name)) [[unlikely]]
      return copy<Timestamp>(name, *value);
    const Column& column = at(name, Type::timestamp);
    if (!column.is_valid(row_)) return std::nullopt;
    return Timestamp(std::chrono::microseconds(column.int64(row_)));
  }
  // The text lies in the batch or the event: it is valid as long as they are.
  std::optional<std::string_view> string(const Name& name) const {
    if (const Value* value = changed(name)) [[unlikely]]
      return text(name, *value);
    const Column& column = at(name, Type::string);
    return column.is_valid(row_) ? std::optional(column.text(row_)) : std::nullopt;
  }
  std::optional<Binary> binary(const Name& name) const {
    if (const Value* value = changed(name)) [[unlikely]]
      return bytes(name, *value);
    const Column& column = at(name, Type::binary);
    if (!column.is_valid(row_)) return std::nullopt;
    return std::as_bytes(std::span(column.text(row_)));
  }
  // A column of any type.
  Value value(const Name& name) const;
  bool is_null(const Name& name) const { return value(name).is_null(); }

  // Changes a column, or adds one. Whether the output has it is checked when the event is emitted.
  Event& set(const Name& name, Value value);

  // A copy that may be held after the handler has returned.
  Event keep() const;

  // Of the emitter: the row behind the event, if there is one, and what was set on it.
  const Batch* batch() const noexcept { return batch_; }
  std::size_t row() const noexcept { return row_; }
  struct Change {
    std::string_view text() const noexcept { return owned ? std::string_view(*owned) : name.text(); }
    Name key() const noexcept { return owned ? Name(*owned) : name; }

    Name name;
    // The name where it was not a literal.
    std::shared_ptr<const std::string> owned;
    Value value;
  };
  const std::vector<Change>& changes() const noexcept { return changes_; }

 private:
  const Column& at(const Name& name, Type type) const {
    if (batch_ == nullptr) [[unlikely]]
      throw_missing(name);
    return batch_->column(name, type);
  }
  const Value* changed(const Name& name) const noexcept {
    return changes_.empty() ? nullptr : find_change(name);
  }
  template <class T>
  std::optional<T> copy(const Name& name, const Value& value) const {
    if (value.is_null()) return std::nullopt;
    if (const T* held = value.get<T>()) return *held;
    throw_type(name, value);
  }
  std::optional<std::string_view> text(const Name& name, const Value& value) const;
  std::optional<Binary> bytes(const Name& name, const Value& value) const;
  const Value* find_change(const Name& name) const noexcept;
  [[noreturn]] void throw_missing(const Name& name) const;
  [[noreturn]] void throw_type(const Name& name, const Value& value) const;

  const Batch* batch_ = nullptr;
  std::size_t row_ = 0;
  std::vector<Change> changes_;
};

inline Event Batch::event(std::size_t row) const { return {this, row}; }

}  // namespace modular_runtime
