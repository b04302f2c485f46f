// What has to be set up so that whatever the program prints becomes whole lines of the log.
#pragma once

namespace modular_runtime {

// stdout is written line by line, `std::clog` becomes information. Once, before user code runs.
void set_up_logging();

}  // namespace modular_runtime
