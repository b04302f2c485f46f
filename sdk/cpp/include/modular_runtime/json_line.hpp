// An event as one line of JSON.
//
// Members stand in the order of the columns; numbers as ECMAScript prints them, whole ones in full;
// timestamps as ISO 8601 with `Z`; bytes as base64; null, NaN and the infinities as `null`.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "batch.hpp"

namespace modular_runtime {

// Writes batches of one schema.
class JsonLines {
 public:
  explicit JsonLines(const Schema& schema);

  // Appends a line for each row.
  void append(const Batch& batch, std::string& out) const;

 private:
  // What stands before each value: a brace or comma, the name, a colon.
  std::vector<std::string> keys_;
};

}  // namespace modular_runtime
