#include "modular_runtime/event.hpp"

namespace modular_runtime {

std::optional<Type> type_of(const Value& value) noexcept {
  constexpr std::optional<Type> types[] = {std::nullopt, Type::boolean, Type::int64,    Type::float64,
                                           Type::string, Type::binary,  Type::timestamp};
  return types[value.variant().index()];
}

Event::Event(std::initializer_list<Member> members) {
  changes_.reserve(members.size());
  for (const Member& member : members) set(member.name, member.value);
}

Value Event::value(const Name& name) const {
  if (const Value* value = changed(name)) return *value;
  if (batch_ == nullptr) throw_missing(name);
  const Column& column = batch_->column(name);
  if (!column.is_valid(row_)) return {};
  switch (column.type) {
    case Type::boolean:
      return column.boolean(row_);
    case Type::int64:
      return column.int64(row_);
    case Type::float64:
      return column.float64(row_);
    case Type::string:
      return column.text(row_);
    case Type::binary:
      return std::as_bytes(std::span(column.text(row_)));
    case Type::timestamp:
      return Timestamp(std::chrono::microseconds(column.int64(row_)));
  }
  return {};
}

Event& Event::set(const Name& name, Value value) {
  for (Change& change : changes_) {
    if (change.text() == name.text()) {
      change.value = std::move(value);
      return *this;
    }
  }
  auto owned = name.is_literal() ? nullptr : std::make_shared<const std::string>(name.text());
  changes_.push_back({name, std::move(owned), std::move(value)});
  return *this;
}

Event Event::keep() const {
  Event kept;
  if (batch_ != nullptr) {
    for (const Field& field : batch_->schema().fields()) kept.set(field.name, value(field.name));
  }
  for (const Change& change : changes_) kept.set(change.key(), change.value);
  return kept;
}

std::optional<std::string_view> Event::text(const Name& name, const Value& value) const {
  if (value.is_null()) return std::nullopt;
  if (const auto* held = value.get<std::string>()) return *held;
  throw_type(name, value);
}

std::optional<Binary> Event::bytes(const Name& name, const Value& value) const {
  if (value.is_null()) return std::nullopt;
  if (const auto* held = value.get<Value::Bytes>()) return *held;
  throw_type(name, value);
}

const Value* Event::find_change(const Name& name) const noexcept {
  for (const Change& change : changes_) {
    if (change.text() == name.text()) return &change.value;
  }
  return nullptr;
}

void Event::throw_missing(const Name& name) const {
  std::string there;
  for (const Change& change : changes_)
    there += (there.empty() ? "`" : ", `") + std::string(change.text()) + "`";
  throw ColumnError("no column `" + std::string(name.text()) + "` was set on the event; " +
                    (there.empty() ? "none were" : there + " were"));
}

void Event::throw_type(const Name& name, const Value& value) const {
  throw ColumnError("column `" + std::string(name.text()) + "` was set to " +
                    std::string(text_of(*type_of(value))));
}

}  // namespace modular_runtime
