// Text that goes into a `Failed` message: UTF-8 whatever user code has made, and no longer than the protocol
// lets it be.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace modular_runtime {

constexpr std::size_t code_max = 256;
constexpr std::size_t reason_max = 1024;
constexpr std::size_t detail_max = 8192;

// The last so many bytes, without a part of a character; bytes that are not UTF-8 become U+FFFD.
std::string tail(std::string_view text, std::size_t bytes_max);
// The same with line breaks as spaces.
std::string one_line(std::string_view text, std::size_t bytes_max);

}  // namespace modular_runtime
