// Result lines: `{"key":"click","count":30387,"sum":1672013,"avg":55.02395761345312}`.
#pragma once

#include <fstream>
#include <string>
#include <string_view>

#include "event.hpp"

namespace monolith {

// A finite double as ECMAScript's Number::toString prints it, a string as JSON.
std::string json(double number);
std::string json(std::string_view text);

// Writes beside the final name and renames at the end: a file under its final name is whole.
class ResultWriter {
 public:
  // Throws `std::system_error` naming the path when it cannot be written.
  explicit ResultWriter(const std::string& path);
  ~ResultWriter();
  ResultWriter(const ResultWriter&) = delete;
  ResultWriter& operator=(const ResultWriter&) = delete;

  void write(const Result& result);
  void commit();

 private:
  std::string path_;
  std::string partial_path_;
  std::ofstream file_;
};

}  // namespace monolith
