#include "lines.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "parser.hpp"

namespace monolith {

namespace {
constexpr std::size_t read_bytes = 256 * 1024;
}

LineReader::LineReader(const std::string& path) : path_(path) {
  if (std::filesystem::is_directory(path)) {
    throw std::system_error(EISDIR, std::generic_category(), "cannot read `" + path + "`");
  }
  file_.rdbuf()->pubsetbuf(nullptr, 0);  // `buffer_` is the only copy
  file_.open(path, std::ios::binary);
  if (!file_) throw std::system_error(errno, std::generic_category(), "cannot read `" + path + "`");
}

bool LineReader::read(std::string& line) {
  std::string_view text;
  if (!next(text)) return false;
  line.clear();
  line.reserve(text.size() + parser_padding);
  line.assign(text);
  return true;
}

bool LineReader::read(LineBlock& block, std::size_t rows) {
  block.text.clear();
  block.ends.clear();
  block.ends.reserve(rows);
  std::string_view text;
  while (block.ends.size() < rows && next(text)) {
    if (block.ends.empty()) block.text.reserve((text.size() + 16) * rows + parser_padding);
    block.text.append(text);
    block.ends.push_back(static_cast<std::uint32_t>(block.text.size()));
  }
  block.text.reserve(block.text.size() + parser_padding);
  return !block.ends.empty();
}

bool LineReader::next(std::string_view& line) {
  std::size_t searched = 0;  // bytes from `begin_` known to hold no newline
  for (;;) {
    const char* start = buffer_.data() + begin_;
    const std::size_t available = end_ - begin_;
    const void* found = std::memchr(start + searched, '\n', available - searched);
    const bool is_end = found == nullptr && !file_;
    if (found == nullptr && !is_end) {
      searched = available;
      fill();
      continue;
    }
    std::size_t length =
        is_end ? available : static_cast<std::size_t>(static_cast<const char*>(found) - start);
    begin_ += is_end ? length : length + 1;
    searched = 0;
    if (length > 0 && start[length - 1] == '\r') --length;
    line = {start, length};
    if (length > 0) return true;
    if (is_end) return false;
  }
}

void LineReader::fill() {
  buffer_.erase(0, begin_);
  end_ -= begin_;
  begin_ = 0;
  if (buffer_.size() < end_ + read_bytes) buffer_.resize(end_ + read_bytes);
  file_.read(buffer_.data() + end_, static_cast<std::streamsize>(buffer_.size() - end_));
  if (file_.bad()) throw std::system_error(EIO, std::generic_category(), "cannot read `" + path_ + "`");
  end_ += static_cast<std::size_t>(file_.gcount());
}

}  // namespace monolith
