#include <chrono>
#include <string>
#include <thread>

#include "numbers.hpp"
#include "stages.hpp"

namespace conformance {

namespace {

using namespace modular_runtime;

Stage numbers(Form form) { return form == Form::event ? source<NumberEvents>() : source<NumberBatches>(); }
Stage lines(Form) { return sink<JsonLinesFile>(); }

// Sleeps for as long as the configuration says.
class Resting {
 public:
  explicit Resting(const Opening& opening) : time_(opening.config.int64("sleep_ms")) {}
  void rest() const { std::this_thread::sleep_for(time_); }

 private:
  std::chrono::milliseconds time_;
};

class SlowSink : Resting {
 public:
  using Resting::Resting;
  void write(const Batch&) { rest(); }
  Prepared prepare() {
    rest();
    return {};
  }
};

template <class Source>
class Slow : Resting {
 public:
  explicit Slow(const Opening& opening) : Resting(opening), source_(ten_rows(opening)) {}
  auto next() {
    auto item = source_.next();
    if (item && is_tenth(*item)) rest();
    return item;
  }
  std::string snapshot() const {
    rest();
    return source_.snapshot();
  }

 private:
  static Opening ten_rows(Opening opening) {
    opening.policy.rows = 10;
    return opening;
  }
  static bool is_tenth(const Batch&) { return true; }
  static bool is_tenth(const Event& event) { return event.int64("n").value_or(0) % 10 == 0; }

  Source source_;
};

template <class Input>
class SlowEnd : Resting {
 public:
  using Resting::Resting;
  Input process(const Input& input) { return input; }
  std::string snapshot() const {
    rest();
    return {};
  }
  void finish(Emitter&) { rest(); }
};

Stage slow_numbers(Form form) {
  return form == Form::event ? source<Slow<NumberEvents>>() : source<Slow<NumberBatches>>();
}
Stage slow_sink(Form) { return sink<SlowSink>(); }
Stage slow_end(Form form) {
  return form == Form::event ? transform<SlowEnd<Event>>() : transform<SlowEnd<Batch>>();
}

}  // namespace

const Makers& sources_and_sinks() {
  static const Makers makers = {{"numbers", numbers},     {"endless", numbers},
                                {"lines", lines},         {"slow_numbers", slow_numbers},
                                {"slow_sink", slow_sink}, {"slow_end", slow_end}};
  return makers;
}

}  // namespace conformance
