// The pipeline: one thread a stage (as many as wanted for parsing), bounded queues between them.
//
//   read --lines--> parse x N --events--> rules --events--> aggregate --results--> write
//
// The stage loops are written once. `Flow` says what one item on a queue is (an event or a batch of them),
// and the overloads of `read`, `parse`, `keep` and `add` do the rest; `Queue` says how items are handed over.
// A stage that fails keeps the first error, drains its input so that no neighbour blocks on it, and closes
// its output: every thread ends.
#pragma once

#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "aggregate.hpp"
#include "event.hpp"
#include "lines.hpp"
#include "meter.hpp"
#include "options.hpp"
#include "parser.hpp"
#include "report.hpp"
#include "results.hpp"
#include "rules.hpp"

namespace monolith {

// One event per push.
struct Single {
  using Lines = std::string;
  using Events = ParsedEvent;
  static constexpr std::uint32_t sample_every = 256;
  static bool read(LineReader& reader, Lines& line, const Options&) { return reader.read(line); }
};

// A batch per push.
struct Batched {
  using Lines = LineBlock;
  using Events = std::vector<ParsedEvent>;
  static constexpr std::uint32_t sample_every = 1;
  static bool read(LineReader& reader, Lines& lines, const Options& options) {
    return reader.read(lines, options.batch);
  }
};

template <class Flow, template <class> class Queue>
class Pipeline {
 public:
  // Throws before any thread starts when a file cannot be opened.
  explicit Pipeline(const Options& options)
      : options_(options),
        reader_(options.input),
        writer_(options.output),
        lines_(shape<Queue<Lines>>(1, options.workers)),
        parsed_(shape<Queue<Events>>(options.workers, 1)),
        kept_(shape<Queue<Events>>(1, 1)),
        results_(shape<Queue<Result>>(1, 1)) {}

  // Runs to the end of the input and commits the output; throws the first error of any stage.
  Counts run() {
    std::vector<Meter> parse_meters(options_.workers, meter());
    std::vector<std::uint64_t> rejected(options_.workers);
    Meter read_meter = meter(), rules_meter = meter(), aggregate_meter = meter(), write_meter = meter();
    {
      std::vector<std::jthread> threads;
      threads.emplace_back([&] { read(read_meter); });
      for (std::size_t i = 0; i < options_.workers; ++i) {
        threads.emplace_back([&, i] { rejected[i] = parse(parse_meters[i]); });
      }
      threads.emplace_back([&] { apply_rules(rules_meter); });
      threads.emplace_back([&] { aggregate(aggregate_meter); });
      threads.emplace_back([&] { write(write_meter); });
    }
    if (error_) std::rethrow_exception(error_);
    writer_.commit();
    Counts counts{.stages = {{"read", Sides::push, {read_meter}},
                             {"parse", Sides::both, parse_meters},
                             {"rules", Sides::both, {rules_meter}},
                             {"aggregate", Sides::both, {aggregate_meter}},
                             {"write", Sides::pop, {write_meter}}}};
    for (const std::uint64_t lines : rejected) counts.rejected += lines;
    return counts;
  }

 private:
  using Lines = typename Flow::Lines;
  using Events = typename Flow::Events;

  template <class Q>
  typename Q::Shape shape(std::size_t producers, std::size_t consumers) const {
    return {(options_.queue_size + options_.batch - 1) / options_.batch, producers, consumers};
  }

  Meter meter() const { return Meter(options_.report ? Flow::sample_every : 0); }

  void read(Meter& meter) {
    guard([&] {
      for (;;) {
        meter.next_item();
        Lines lines;
        {
          const auto span = meter.span(Activity::process);
          if (!Flow::read(reader_, lines, options_)) break;
        }
        meter.events_in += events_in(lines);
        pass_on(std::move(lines), lines_, meter);
      }
    });
    lines_.close(meter);
  }

  // Returns how many lines it dropped.
  std::uint64_t parse(Meter& meter) {
    LineParser parser;
    each(lines_, meter, [&](Lines& lines) {
      Events events;
      bool any = false;
      {
        const auto span = meter.span(Activity::process);
        any = parser.parse(lines, events);
      }
      if (any) pass_on(std::move(events), parsed_, meter);
    });
    parsed_.close(meter);
    return parser.rejected;
  }

  void apply_rules(Meter& meter) {
    each(parsed_, meter, [&](Events& events) {
      bool any = false;
      {
        const auto span = meter.span(Activity::process);
        any = keep(events);
      }
      if (any) pass_on(std::move(events), kept_, meter);
    });
    kept_.close(meter);
  }

  void aggregate(Meter& meter) {
    Groups groups;
    each(kept_, meter, [&](Events& events) {
      const auto span = meter.span(Activity::process);
      groups.add(events);
    });
    for (Result& result : groups.results()) pass_on(std::move(result), results_, meter);
    results_.close(meter);
  }

  void write(Meter& meter) {
    each(results_, meter, [&](Result& result) {
      const auto span = meter.span(Activity::process);
      writer_.write(result);
      ++meter.events_out;
    });
  }

  template <class Item>
  static void pass_on(Item item, Queue<Item>& queue, Meter& meter) {
    meter.events_out += events_in(item);
    queue.push(std::move(item), meter);
  }

  template <class Item, class Handle>
  void each(Queue<Item>& queue, Meter& meter, Handle handle) {
    const auto next = [&] {
      meter.next_item();
      return queue.pop(meter);
    };
    const bool is_done = guard([&] {
      while (auto item = next()) {
        meter.events_in += events_in(*item);
        handle(*item);
      }
    });
    if (!is_done) {
      while (next()) {
      }
    }
  }

  // False, with the error kept if it is the first, when the work throws.
  template <class Work>
  bool guard(Work work) {
    try {
      work();
      return true;
    } catch (...) {
      const std::lock_guard lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
      return false;
    }
  }

  const Options& options_;
  LineReader reader_;
  ResultWriter writer_;
  Queue<Lines> lines_;
  Queue<Events> parsed_;
  Queue<Events> kept_;
  Queue<Result> results_;
  std::mutex error_mutex_;
  std::exception_ptr error_;
};

}  // namespace monolith
