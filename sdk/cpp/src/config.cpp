#include "modular_runtime/config.hpp"

#include <simdjson.h>

#include <array>

namespace modular_runtime {

class ConfigReader {
 public:
  static Config read(const simdjson::dom::element& element, std::string path) {
    using simdjson::dom::element_type;
    Config config;
    config.path_ = std::move(path);
    switch (element.type()) {
      case element_type::NULL_VALUE:
        config.value_ = std::monostate();
        break;
      case element_type::BOOL:
        config.value_ = bool(element);
        break;
      case element_type::INT64:
        config.value_ = std::int64_t(element);
        break;
      case element_type::UINT64:
      case element_type::DOUBLE:
        config.value_ = double(element);
        break;
      case element_type::STRING:
        config.value_ = std::string(std::string_view(element));
        break;
      case element_type::ARRAY: {
        Config::List list;
        for (const auto item : simdjson::dom::array(element)) {
          list.push_back(read(item, config.path_ + "[" + std::to_string(list.size()) + "]"));
        }
        config.value_ = std::move(list);
        break;
      }
      case element_type::OBJECT: {
        Config::Members members;
        for (const auto member : simdjson::dom::object(element)) {
          members.emplace_back(member.key, read(member.value, config.path_ + "." + std::string(member.key)));
        }
        config.value_ = std::move(members);
        break;
      }
    }
    return config;
  }

  // What the value is, in words.
  static std::string_view kind_of(const Config& config) {
    constexpr std::array<std::string_view, 7> kinds = {
        "null", "true or false", "a whole number", "a number", "a string", "a list", "an object"};
    return kinds[config.value_.index()];
  }
};

Config Config::parse(std::string_view json) {
  simdjson::dom::parser parser;
  simdjson::dom::element element;
  if (const auto error = parser.parse(json.data(), json.size()).get(element)) {
    throw ConfigError(std::string("`with` is no JSON: ") + simdjson::error_message(error));
  }
  return ConfigReader::read(element, "with");
}

template <class T>
const T& Config::get(const char* wanted) const {
  if (const T* value = std::get_if<T>(&value_)) return *value;
  throw ConfigError("`" + path_ + "` must be " + wanted + ", it is " +
                    std::string(ConfigReader::kind_of(*this)));
}

bool Config::boolean() const { return get<bool>("true or false"); }
std::int64_t Config::int64() const { return get<std::int64_t>("a whole number"); }
const std::string& Config::string() const { return get<std::string>("a string"); }
const Config::List& Config::list() const { return get<List>("a list"); }
const Config::Members& Config::members() const { return get<Members>("an object"); }

double Config::float64() const {
  if (const auto* whole = std::get_if<std::int64_t>(&value_)) return static_cast<double>(*whole);
  return get<double>("a number");
}

const Config& Config::at(std::string_view name) const {
  std::string there;
  for (const auto& [key, member] : members()) {
    if (key == name) return member;
    there += (there.empty() ? "`" : ", `") + key + "`";
  }
  throw ConfigError("`" + path_ + "." + std::string(name) + "` is missing; there " +
                    (there.empty() ? "is nothing" : "are " + there));
}

const Config* Config::find(std::string_view name) const noexcept {
  const auto* const members = std::get_if<Members>(&value_);
  if (members == nullptr) return nullptr;
  for (const auto& [key, member] : *members) {
    if (key == name) return &member;
  }
  return nullptr;
}

}  // namespace modular_runtime
