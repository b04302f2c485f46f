#include "logging.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <iostream>
#include <streambuf>
#include <string>

#include "modular_runtime/logging.hpp"

namespace modular_runtime {

namespace {

// Each line gets the prefix, so that a text of several lines keeps its level.
void write(std::string_view prefix, std::string_view text) {
  std::string lines;
  do {
    const std::size_t end = text.find('\n');
    lines += prefix;
    lines += text.substr(0, end);
    lines += '\n';
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  } while (!text.empty());
  // One write, so that lines of several threads do not mix. A log that nobody takes is no error.
  std::string_view rest = lines;
  while (!rest.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
    if (written < 0 && errno != EINTR) return;
    if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

// Gathers a line, then logs it as information.
class InfoBuffer final : public std::streambuf {
 protected:
  int_type overflow(int_type c) override {
    if (traits_type::eq_int_type(c, traits_type::eof())) return traits_type::not_eof(c);
    if (c == '\n') {
      log::info(line_);
      line_.clear();
    } else {
      line_ += traits_type::to_char_type(c);
    }
    return c;
  }

 private:
  std::string line_;
};

}  // namespace

namespace log {

void error(std::string_view text) { write("<3>", text); }
void warning(std::string_view text) { write("<4>", text); }
void info(std::string_view text) { write("<6>", text); }
void debug(std::string_view text) { write("<7>", text); }

}  // namespace log

void set_up_logging() {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  // Lives as long as the stream, which outlives every static object.
  static auto* const buffer = new InfoBuffer;
  std::clog.rdbuf(buffer);
}

}  // namespace modular_runtime
