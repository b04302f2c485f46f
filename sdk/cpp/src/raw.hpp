// The columns of raw text: `source`, `offset`, `line` and `text`, of which a row holds one line or a block of
// whole lines.
#pragma once

#include <cstdint>
#include <string_view>

#include "modular_runtime/batch.hpp"

namespace modular_runtime {

bool is_raw(const Schema& schema);

// Lines, of which the last need not end with a newline.
std::uint32_t lines_in(std::string_view text);

// Lines that are not blank.
std::uint32_t events_in(const Batch& raw);

}  // namespace modular_runtime
