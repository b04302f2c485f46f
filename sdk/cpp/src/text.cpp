#include "text.hpp"

#include <simdjson.h>

#include <algorithm>

namespace modular_runtime {

namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// Bytes that a character with this first byte has.
std::size_t character_bytes(char first) {
  const auto byte = static_cast<unsigned char>(first);
  return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

std::string as_utf8(std::string_view text) {
  if (simdjson::validate_utf8(text.data(), text.size())) return std::string(text);
  std::string mended;
  while (!text.empty()) {
    const std::string_view character = text.substr(0, character_bytes(text.front()));
    const bool is_whole = simdjson::validate_utf8(character.data(), character.size());
    mended += is_whole ? character : "\xef\xbf\xbd";
    text.remove_prefix(is_whole ? character.size() : 1);
  }
  return mended;
}

}  // namespace

std::string tail(std::string_view text, std::size_t bytes_max) {
  // Mending makes three bytes of one at most, and only the end is kept.
  if (text.size() > bytes_max) text.remove_prefix(text.size() - bytes_max);
  while (text.size() == bytes_max && !text.empty() && is_continuation(text.front())) text.remove_prefix(1);
  std::string end = as_utf8(text);
  if (end.size() > bytes_max) {
    std::size_t cut = end.size() - bytes_max;
    while (cut < end.size() && is_continuation(end[cut])) ++cut;
    end.erase(0, cut);
  }
  return end;
}

std::string one_line(std::string_view text, std::size_t bytes_max) {
  std::string line = tail(text, bytes_max);
  std::replace_if(line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return line;
}

}  // namespace modular_runtime
