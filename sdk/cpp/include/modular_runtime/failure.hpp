// What went wrong, in the words of the protocol.
//
// An exception in a handler costs its event, or in a batch handler the events of its batch; they become dead
// letters. `Fatal` ends the run instead.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace modular_runtime {

// What to do about it: mend the pipeline, try again, stop, mend the user's code, mend this library.
enum class Kind : std::uint8_t { invalid = 1, unavailable, fenced, stage, internal };

// An error of the stage, not of an event: thrown anywhere in user code, it ends the run.
class Fatal : public std::runtime_error {
 public:
  explicit Fatal(const std::string& message, Kind kind = Kind::stage)
      : std::runtime_error(message), kind_(kind) {}
  Kind kind() const noexcept { return kind_; }

 private:
  Kind kind_;
};

struct Failure {
  // Rows of the input batch.
  std::vector<std::uint32_t> rows;
  // A stable word, such as the exception's class.
  std::string code;
  // One line.
  std::string message;
  std::string detail;
  // Where the event is one line of a block of text: where it begins in the row's text, and its bytes without
  // the newline.
  std::uint64_t text_offset = 0;
  std::uint64_t text_length = 0;
  // Where it is something else than its row: the event as a JSON object.
  std::string event;
  Kind kind = Kind::stage;
};

// The exception being handled: its class as the code, `what()` as the message, all of its causes as the
// detail.
Failure current_failure();

}  // namespace modular_runtime
