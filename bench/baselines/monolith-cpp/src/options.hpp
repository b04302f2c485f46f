// The command line, parsed once into values that cannot be wrong.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace monolith {

enum class QueueKind { mutex, lockfree };

struct Options {
  std::string input;
  std::string output;
  std::optional<std::string> report;  // where to write it; nothing is measured without one
  QueueKind queue = QueueKind::mutex;
  std::size_t workers = 1;        // parser threads
  std::size_t queue_size = 8192;  // events that a queue may hold
  std::size_t batch = 1;          // events in one push
};

inline constexpr const char* usage =
    "usage: monolith --input FILE --output FILE [--queue mutex|lockfree] [--workers N] [--queue-size "
    "EVENTS]\n"
    "                [--batch N] [--report FILE]\n"
    "  --queue mutex     one event per push, condition variables (the default)\n"
    "  --queue lockfree  bounded lock-free queues of batches of --batch events (default 1000)\n"
    "  --workers         parser threads (default: cores)\n"
    "  --queue-size      events that one queue may hold (default 8192)\n"
    "  --report          measure, and write the report as JSON\n";

// Throws `std::invalid_argument` with a message that ends in the usage.
Options parse_options(std::span<const char* const> arguments);

}  // namespace monolith
