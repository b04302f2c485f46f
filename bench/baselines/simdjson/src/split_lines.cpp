// Counts the lines of a file by finding their ends, and does nothing with them: the floor of any parser of
// lines.
//
//   split-lines --input FILE [--threads N]
#include <cstring>
#include <exception>
#include <iostream>
#include <vector>

#include "arguments.hpp"
#include "blocks.hpp"

namespace {

std::uint64_t count_lines(const char* bytes, const char* end) {
  std::uint64_t lines = 0;
  while (bytes < end) {
    const void* newline = std::memchr(bytes, '\n', static_cast<std::size_t>(end - bytes));
    bytes = newline ? static_cast<const char*>(newline) + 1 : end;
    ++lines;
  }
  return lines;
}

void run(const Arguments& arguments) {
  const unsigned threads = arguments.threads();
  const File file(arguments.require("--input"));
  std::vector<std::uint64_t> lines(threads);
  for_each_part(file, threads, [&](std::size_t index, Part part) {
    Blocks blocks(file, part, 0);
    while (blocks.next()) {
      lines[index] += count_lines(blocks.data(), blocks.data() + blocks.size());
    }
  });
  std::uint64_t total = 0;
  for (const std::uint64_t part : lines) {
    total += part;
  }
  std::cout << "{\"lines\":" << total << "}\n";
}

}  // namespace

int main(int count, char** values) {
  try {
    run(Arguments(count, values, {"--input", "--threads"}));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "split-lines: " << error.what() << '\n';
    return 1;
  }
}
