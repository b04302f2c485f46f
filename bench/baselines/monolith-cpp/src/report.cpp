#include "report.hpp"

#include <sys/resource.h>

#include <ostream>

#include "results.hpp"

namespace monolith {

namespace {

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

void write_stage(std::ostream& out, const StageCounts& stage) {
  const auto spent = [&](Activity activity) {
    double sum = 0;
    std::uint64_t samples = 0;
    for (const Meter& meter : stage.threads) {
      sum += meter.seconds(activity);
      samples += meter.samples(activity);
    }
    return samples == 0 ? "null" : json(sum);
  };
  const auto blocked = [&](bool has_queue, Activity activity) -> std::string {
    if (!has_queue) return "null";
    double sum = 0;
    for (const Meter& meter : stage.threads) sum += meter.seconds(activity);
    return json(sum);
  };
  out << "{\"name\":" << json(stage.name) << ",\"threads\":" << stage.threads.size()
      << ",\"events_in\":" << stage.events_in() << ",\"events_out\":" << stage.events_out()
      << ",\"process_seconds\":" << spent(Activity::process) << ",\"pop_seconds\":" << spent(Activity::pop)
      << ",\"push_seconds\":" << spent(Activity::push)
      << ",\"pop_blocked_seconds\":" << blocked(stage.sides != Sides::push, Activity::pop_blocked)
      << ",\"push_blocked_seconds\":" << blocked(stage.sides != Sides::pop, Activity::push_blocked) << "}";
}

}  // namespace

void write_report(std::ostream& out, const Options& options, const Counts& counts,
                  std::chrono::duration<double> wall) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const bool is_single = options.queue == QueueKind::mutex;
  out << "{\"system\":\"" << (is_single ? "monolith-mutex" : "monolith-lockfree")
      << "\",\"batch\":" << options.batch << ",\"workers\":" << options.workers
      << ",\"queue_size\":" << options.queue_size << ",\"events\":" << counts.stages.front().events_in()
      << ",\"rejected\":" << counts.rejected << ",\"wall_seconds\":" << json(wall.count())
      << ",\"cpu_seconds\":{\"user\":" << json(seconds(usage.ru_utime))
      << ",\"system\":" << json(seconds(usage.ru_stime)) << "},\"peak_rss_bytes\":" << usage.ru_maxrss * 1024
      << ",\"stages\":[";
  for (std::size_t i = 0; i < counts.stages.size(); ++i) {
    if (i > 0) out << ",";
    write_stage(out, counts.stages[i]);
  }
  out << "]}\n";
}

}  // namespace monolith
