#include "options.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <string_view>
#include <thread>

namespace monolith {

namespace {

[[noreturn]] void fail(const std::string& problem) { throw std::invalid_argument(problem + "\n" + usage); }

std::size_t parse_positive(std::string_view name, std::string_view text) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number == 0) {
    fail("`" + std::string(name) + "` takes a positive number, not `" + std::string(text) + "`");
  }
  return number;
}

QueueKind parse_queue(std::string_view text) {
  if (text == "mutex") return QueueKind::mutex;
  if (text == "lockfree") return QueueKind::lockfree;
  fail("`--queue` is mutex or lockfree, not `" + std::string(text) + "`");
}

}  // namespace

Options parse_options(std::span<const char* const> arguments) {
  Options options;
  options.workers = std::max(1U, std::thread::hardware_concurrency());
  std::optional<std::size_t> batch;
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    const std::string_view name = arguments[i];
    if (i + 1 == arguments.size()) fail("`" + std::string(name) + "` takes a value");
    const char* value = arguments[i + 1];
    if (name == "--input") {
      options.input = value;
    } else if (name == "--output") {
      options.output = value;
    } else if (name == "--report") {
      options.report = value;
    } else if (name == "--queue") {
      options.queue = parse_queue(value);
    } else if (name == "--workers") {
      options.workers = parse_positive(name, value);
    } else if (name == "--queue-size") {
      options.queue_size = parse_positive(name, value);
    } else if (name == "--batch") {
      batch = parse_positive(name, value);
    } else {
      fail("unknown option `" + std::string(name) + "`");
    }
  }
  if (options.input.empty()) fail("`--input` is missing");
  if (options.output.empty()) fail("`--output` is missing");
  if (options.queue == QueueKind::mutex && batch.value_or(1) != 1)
    fail("`--queue mutex` pushes one event at a time");
  options.batch = batch.value_or(options.queue == QueueKind::mutex ? 1 : 1000);
  return options;
}

}  // namespace monolith
