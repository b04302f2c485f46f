#include "arguments.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>

Arguments::Arguments(int count, char** values, const std::vector<std::string>& known) {
  for (int index = 1; index < count; index += 2) {
    const std::string option = values[index];
    if (std::find(known.begin(), known.end(), option) == known.end()) {
      throw std::runtime_error("unknown option `" + option + "`");
    }
    if (index + 1 == count) {
      throw std::runtime_error("`" + option + "` needs a value");
    }
    given_[option] = values[index + 1];
  }
}

std::optional<std::string> Arguments::get(const std::string& option) const {
  const auto found = given_.find(option);
  return found == given_.end() ? std::nullopt : std::optional(found->second);
}

std::string Arguments::require(const std::string& option) const {
  const auto value = get(option);
  if (!value) {
    throw std::runtime_error("`" + option + "` is missing");
  }
  return *value;
}

unsigned Arguments::threads() const {
  const std::string text = get("--threads").value_or("1");
  unsigned threads = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), threads);
  if (error != std::errc() || end != text.data() + text.size() || threads < 1 || threads > 1024) {
    throw std::runtime_error("`--threads` must be 1 to 1024, not `" + text + "`");
  }
  return threads;
}
