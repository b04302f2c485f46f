#include "results.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <system_error>

namespace monolith {

// ECMA-262, Number::toString: with the shortest digits d1..dk and the value 0.d1..dk × 10^n.
std::string json(double number) {
  if (number == 0) return "0";
  std::array<char, 32> text{};
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), std::abs(number), std::chars_format::scientific)
          .ptr;
  const std::string_view scientific(text.data(), static_cast<std::size_t>(end - text.data()));
  const std::size_t e = scientific.find('e');
  std::string digits(scientific.substr(0, 1));
  if (e > 1) digits += scientific.substr(2, e - 2);
  int n = 0;
  const std::size_t exponent = scientific[e + 1] == '+' ? e + 2 : e + 1;
  std::from_chars(scientific.data() + exponent, end, n);
  n += 1;

  const std::string sign = number < 0 ? "-" : "";
  const int k = static_cast<int>(digits.size());
  if (k <= n && n <= 21) return sign + digits + std::string(static_cast<std::size_t>(n - k), '0');
  if (0 < n && n <= 21) return sign + digits.insert(static_cast<std::size_t>(n), ".");
  if (-6 < n && n <= 0) return sign + "0." + std::string(static_cast<std::size_t>(-n), '0') + digits;
  if (k > 1) digits.insert(1, ".");
  return sign + digits + (n > 0 ? "e+" : "e-") + std::to_string(std::abs(n - 1));
}

std::string json(std::string_view text) {
  constexpr std::string_view hex = "0123456789abcdef";
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (byte < 0x20) {
      quoted += std::string("\\u00") + hex[byte >> 4] + hex[byte & 15];
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

ResultWriter::ResultWriter(const std::string& path)
    : path_(path),
      partial_path_(path + ".partial"),
      file_(partial_path_, std::ios::binary | std::ios::trunc) {
  if (!file_) throw std::system_error(errno, std::generic_category(), "cannot write `" + partial_path_ + "`");
}

ResultWriter::~ResultWriter() {
  std::error_code ignored;  // already renamed, or the error that ends the run is the one to report
  std::filesystem::remove(partial_path_, ignored);
}

void ResultWriter::write(const Result& result) {
  file_ << "{\"key\":" << json(result.key) << ",\"count\":" << result.count << ",\"sum\":" << result.sum
        << ",\"avg\":" << json(result.avg) << "}\n";
}

void ResultWriter::commit() {
  file_.close();
  if (!file_) throw std::system_error(EIO, std::generic_category(), "cannot write `" + partial_path_ + "`");
  std::filesystem::rename(partial_path_, path_);
}

}  // namespace monolith
