// A stage's `with`, as JSON values that are read by name and type.
//
//   const auto limit = opening.config.int64("limit", 10);
//   for (const Config& host : opening.config.list("hosts")) connect(host.string());
//
// Whole numbers are exact up to 64 bits. A member that is missing or of another type is a `ConfigError` that
// names it, and ends the run as a mistake in the pipeline.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace modular_runtime {

class ConfigError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

class Config {
 public:
  using List = std::vector<Config>;
  using Members = std::vector<std::pair<std::string, Config>>;

  // An empty object.
  Config() : value_(Members{}) {}
  // Reads JSON; throws `ConfigError` if it is none.
  static Config parse(std::string_view json);

  // This value. Each throws `ConfigError` if it has another type; `int64` also for a number with a fraction.
  bool boolean() const;
  std::int64_t int64() const;
  double float64() const;
  const std::string& string() const;
  const List& list() const;
  const Members& members() const;
  bool is_null() const noexcept { return value_.index() == 0; }

  // The member of that name; throws `ConfigError` if this is no object or has none.
  const Config& at(std::string_view name) const;
  // The member of that name, or null if there is none.
  const Config* find(std::string_view name) const noexcept;

  bool boolean(std::string_view name) const { return at(name).boolean(); }
  std::int64_t int64(std::string_view name) const { return at(name).int64(); }
  double float64(std::string_view name) const { return at(name).float64(); }
  const std::string& string(std::string_view name) const { return at(name).string(); }
  const List& list(std::string_view name) const { return at(name).list(); }

  // The member, or what stands in for one that is missing.
  bool boolean(std::string_view name, bool otherwise) const {
    const Config* const member = find(name);
    return member == nullptr ? otherwise : member->boolean();
  }
  std::int64_t int64(std::string_view name, std::int64_t otherwise) const {
    const Config* const member = find(name);
    return member == nullptr ? otherwise : member->int64();
  }
  double float64(std::string_view name, double otherwise) const {
    const Config* const member = find(name);
    return member == nullptr ? otherwise : member->float64();
  }
  std::string string(std::string_view name, std::string_view otherwise) const {
    const Config* const member = find(name);
    return member == nullptr ? std::string(otherwise) : member->string();
  }

 private:
  friend class ConfigReader;
  template <class T>
  const T& get(const char* wanted) const;

  // Where the value stands, such as `with.hosts[1]`.
  std::string path_ = "with";
  std::variant<std::monostate, bool, std::int64_t, double, std::string, List, Members> value_;
};

}  // namespace modular_runtime
