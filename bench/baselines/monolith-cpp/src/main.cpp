// monolith: the event pipeline as one C++ process, written as a competent team would by hand.
//
// It reads NDJSON events, drops views and values below ten, and writes count, sum and average of the value by
// type. It is a baseline: one process, threads and bounded queues, no plug-ins, no configuration. A line that
// is not such an event is dropped and counted; a file that cannot be read or written ends the run with an
// error and no results.

#include <chrono>
#include <fstream>
#include <iostream>
#include <stdexcept>

#include "mutex_queue.hpp"
#include "options.hpp"
#include "pipeline.hpp"
#include "report.hpp"
#include "ticket_queue.hpp"

namespace {

using namespace monolith;

Counts run(const Options& options) {
  if (options.queue == QueueKind::mutex) return Pipeline<Single, MutexQueue>(options).run();
  return Pipeline<Batched, TicketQueue>(options).run();
}

void save_report(const Options& options, const Counts& counts, std::chrono::duration<double> wall) {
  std::ofstream file(*options.report, std::ios::binary | std::ios::trunc);
  write_report(file, options, counts, wall);
  file.close();
  if (!file) throw std::runtime_error("cannot write `" + *options.report + "`");
}

}  // namespace

int main(int argc, char** argv) {
  const auto start = std::chrono::steady_clock::now();
  try {
    const Options options = parse_options({argv + 1, static_cast<std::size_t>(argc - 1)});
    const Counts counts = run(options);
    if (counts.rejected > 0) std::cerr << "monolith: dropped " << counts.rejected << " malformed lines\n";
    if (options.report) save_report(options, counts, std::chrono::steady_clock::now() - start);
    return 0;
  } catch (const std::invalid_argument& error) {
    std::cerr << "monolith: " << error.what();
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "monolith: " << error.what() << "\n";
    return 1;
  }
}
