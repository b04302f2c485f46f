#include "lines.hpp"

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "check.hpp"

using namespace monolith;

namespace {

const std::string path = (std::filesystem::temp_directory_path() / "monolith_lines_test.txt").string();

// The lines of a file holding `text`, read singly and in blocks of `rows`, joined by `|`.
void check_lines(const std::string& text, std::size_t rows, const std::string& expected) {
  std::ofstream(path, std::ios::binary) << text;
  std::string single;
  std::string line;
  for (LineReader reader(path); reader.read(line);) single += line + "|";
  check(single, expected);

  std::string blocks;
  LineBlock block;
  for (LineReader reader(path); reader.read(block, rows);) {
    std::size_t begin = 0;
    for (const std::size_t end : block.ends) {
      blocks += block.text.substr(begin, end - begin) + "|";
      begin = end;
    }
  }
  check(blocks, expected);
}

}  // namespace

int main() {
  check_lines("", 2, "");
  check_lines("a\nb\nc\n", 2, "a|b|c|");
  check_lines("a\n\nb", 2, "a|b|");
  check_lines("a\r\nb\r\n", 1, "a|b|");
  const std::string longer(700'000, 'x');  // more than one read
  check_lines(longer + "\n" + longer + "\nend", 3, longer + "|" + longer + "|end|");
  std::filesystem::remove(path);

  std::string message;
  try {
    LineReader("/missing/file");
  } catch (const std::system_error& error) {
    message = error.what();
  }
  check(message, "cannot read `/missing/file`: No such file or directory");
}
