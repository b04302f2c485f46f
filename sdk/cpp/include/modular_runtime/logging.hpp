// Lines for the run's log, at four levels.
//
// `run` also sends `std::clog` there as information; `std::cout` is information and `std::cerr` a warning as
// they are.
#pragma once

#include <string_view>

namespace modular_runtime::log {

void error(std::string_view text);
void warning(std::string_view text);
void info(std::string_view text);
void debug(std::string_view text);

}  // namespace modular_runtime::log
