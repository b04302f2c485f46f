#include "raw.hpp"

#include <algorithm>
#include <string_view>

namespace modular_runtime {

bool is_raw(const Schema& schema) {
  const auto has = [&](const Name& name, Type type) {
    const std::size_t at = schema.find(name);
    return at != Schema::none && schema.fields()[at].type == type;
  };
  return has("source", Type::string) && has("offset", Type::int64) && has("text", Type::binary);
}

std::uint32_t lines_in(std::string_view text) {
  const auto newlines = static_cast<std::uint32_t>(std::count(text.begin(), text.end(), '\n'));
  return newlines + (text.empty() || text.ends_with('\n') ? 0 : 1);
}

std::uint32_t events_in(const Batch& raw) {
  const Column& column = raw.column("text");
  std::uint32_t events = 0;
  for (std::size_t row = 0; row < raw.rows(); ++row) {
    std::string_view text = column.is_valid(row) ? column.text(row) : std::string_view{};
    while (!text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      events += text.substr(0, end).find_first_not_of(" \t\r") == std::string_view::npos ? 0 : 1;
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }
  return events;
}

}  // namespace modular_runtime
