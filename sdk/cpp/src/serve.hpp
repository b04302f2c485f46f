// The stage's life on one connection: open, batches, end.
//
// Guarantees: nothing is sent before `Ready`; whatever user code throws is sent as `Failed` before the
// process ends. Neighbours: `run` finds the descriptors, `source_loop` does the sources.
#pragma once

#include "connection.hpp"
#include "modular_runtime/stage.hpp"

namespace modular_runtime {

// Until the end of the socket; gives the exit code.
int serve(const Stage& stage, const Descriptors& descriptors);

}  // namespace modular_runtime
