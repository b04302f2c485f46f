// Reads a file as lines, one at a time or in blocks.
#pragma once

#include <cstddef>
#include <fstream>
#include <string>
#include <string_view>

#include "event.hpp"

namespace monolith {

class LineReader {
 public:
  // Throws `std::system_error` naming the path when it cannot be read.
  explicit LineReader(const std::string& path);

  // The next line without its newline; false at the end. Empty lines are skipped. Capacity past the end of
  // the text is reserved for the JSON parser.
  bool read(std::string& line);

  // The next `rows` lines, fewer only at the end; false when there are none.
  bool read(LineBlock& block, std::size_t rows);

 private:
  bool next(std::string_view& line);
  void fill();

  std::string path_;
  std::ifstream file_;
  std::string buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace monolith
