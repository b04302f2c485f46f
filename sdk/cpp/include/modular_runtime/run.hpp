// The library's front door: everything to write a stage with, and `run`.
#pragma once

#include "arrow.hpp"            // IWYU pragma: export
#include "json_lines_file.hpp"  // IWYU pragma: export
#include "logging.hpp"          // IWYU pragma: export
#include "stage.hpp"            // IWYU pragma: export

namespace modular_runtime {

// Runs the stage until the pipeline ends; gives the program's exit code. A program that `modrun run` has not
// started says so and gets 2.
int run(Stage stage);

}  // namespace modular_runtime
