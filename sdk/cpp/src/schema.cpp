#include "modular_runtime/schema.hpp"

#include <array>
#include <bit>
#include <utility>

namespace modular_runtime {

namespace {

constexpr std::array<std::string_view, 6> type_names = {"bool",   "int64",  "float64",
                                                        "string", "binary", "timestamp"};

Type type_of(std::string_view text) {
  for (std::size_t i = 0; i < type_names.size(); ++i) {
    if (type_names[i] == text) return static_cast<Type>(i + 1);
  }
  std::string known;
  for (const std::string_view name : type_names)
    known += (known.empty() ? "`" : ", `") + std::string(name) + "`";
  throw std::invalid_argument("no type `" + std::string(text) + "`; there are " + known +
                              ", each with a `?` if it may be null");
}

}  // namespace

std::string_view text_of(Type type) noexcept { return type_names[static_cast<std::size_t>(type) - 1]; }

Field::Field(std::string name, std::string_view type)
    : name(std::move(name)),
      type(type_of(type.ends_with('?') ? type.substr(0, type.size() - 1) : type)),
      is_nullable(type.ends_with('?')) {}

Field::Field(std::string name, Type type, bool is_nullable)
    : name(std::move(name)), type(type), is_nullable(is_nullable) {}

std::string Field::type_text() const { return std::string(text_of(type)) + (is_nullable ? "?" : ""); }

Schema::Schema(std::vector<Field> fields) : fields_(std::move(fields)) {
  slots_.resize(std::bit_ceil(2 * fields_.size() + 1));
  mask_ = slots_.size() - 1;
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    const Name name(fields_[i].name);
    if (find(name) != none)
      throw std::invalid_argument("two columns have the name `" + fields_[i].name + "`");
    std::size_t at = name.hash() & mask_;
    while (slots_[at].index != empty) at = (at + 1) & mask_;
    slots_[at] = {name.hash(), static_cast<std::uint32_t>(i)};
  }
}

void Schema::throw_missing(std::string_view name) const {
  std::string there;
  for (const Field& field : fields_) there += (there.empty() ? "`" : ", `") + field.name + "`";
  throw ColumnError("no column `" + std::string(name) + "`; " +
                    (there.empty() ? "there are none" : "there are " + there) +
                    "; `uses:` in the pipeline adds one");
}

void Schema::throw_type(std::size_t index, Type asked) const {
  throw ColumnError("column `" + fields_[index].name + "` is " + fields_[index].type_text() + ", not " +
                    std::string(text_of(asked)));
}

}  // namespace modular_runtime
