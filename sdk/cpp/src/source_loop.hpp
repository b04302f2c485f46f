// The loop of a source: asks it for events, makes batches of them, obeys credit, `End` and barriers.
//
//   user's thread:  next() ─▶ builder ─▶ batch ─▶ connection        lock held except in user code
//   watcher:        every few milliseconds: credit, `End`, and a batch that has waited for too long
//
// Guarantees: a batch has the rows that the policy asks for, or grows while the receiver is busy; events do
// not wait in the builder while the source waits for its next one, nor does the end of the run. Refuses:
// snapshots while the source is inside `next`; a barrier waits for it to return. Neighbours: `connection`,
// `run`.
#pragma once

#include <memory>

#include "connection.hpp"
#include "modular_runtime/stage.hpp"

namespace modular_runtime {

// Runs until `Done` is sent. Throws what the source throws, and `Closed`.
void run_source(Connection& connection, OpenSource& source, const std::shared_ptr<const Schema>& output,
                const BatchPolicy& policy);

}  // namespace modular_runtime
