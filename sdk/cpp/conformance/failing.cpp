#include <algorithm>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

#include "numbers.hpp"
#include "stages.hpp"

namespace conformance {

namespace {

using namespace modular_runtime;

bool holds(const Batch& batch, std::int64_t bad) {
  const auto n = batch.int64("n");
  const Bits valid = batch.valid("n");
  for (std::size_t row = 0; row < n.size(); ++row) {
    if (valid[row] && n[row] == bad) return true;
  }
  return false;
}

template <class Error>
Stage throwing(Form form) {
  if (form == Form::event) {
    return transform([](const Opening& opening) {
      return [bad = opening.config.int64("n")](Event event) {
        if (event.int64("n") == bad) throw Error("bad n: " + std::to_string(bad));
        return event;
      };
    });
  }
  return transform([](const Opening& opening) {
    return [bad = opening.config.int64("n")](const Batch& batch) {
      if (holds(batch, bad)) throw Error("bad n: " + std::to_string(bad));
      return batch;
    };
  });
}

Stage fail_on(Form) { return throwing<std::runtime_error>(Form::event); }
Stage fail_batch(Form) { return throwing<std::runtime_error>(Form::batch); }
Stage fatal_on(Form form) { return throwing<Fatal>(form).ordered(); }

Stage fail_open(Form) {
  return transform([](const Opening&) {
    throw std::runtime_error("no luck");
    return [](Event event) { return event; };
  });
}

class FailFinish {
 public:
  Batch process(const Batch& batch) { return batch; }
  void finish(Emitter&) { throw std::runtime_error("too late"); }
};
class FailFinishEvents {
 public:
  Event process(Event event) { return event; }
  void finish(Emitter&) { throw std::runtime_error("too late"); }
};

Stage fail_finish(Form form) {
  return form == Form::event ? transform<FailFinishEvents>() : transform<FailFinish>();
}

Stage fail_source(Form form) {
  if (form == Form::batch) {
    return source([](const Opening& opening) {
      return [numbers = NumberBatches(opening), fail = opening.config.int64("fail")]() mutable {
        auto batch = numbers.next();
        if (batch && batch->int64("n").back() >= fail) throw std::runtime_error("dry");
        return batch;
      };
    });
  }
  return source([](const Opening& opening) {
    return [numbers = NumberEvents(opening), fail = opening.config.int64("fail")]() mutable {
      auto event = numbers.next();
      if (event && event->int64("n") == fail) throw std::runtime_error("dry");
      return event;
    };
  });
}

Stage fail_sink(Form form) {
  if (form == Form::event) return sink([](const Event&) { throw std::runtime_error("disk on fire"); });
  return sink([](const Batch&) { throw std::runtime_error("disk on fire"); });
}

}  // namespace

const Makers& failing_stages() {
  static const Makers makers = {{"fail_on", fail_on},         {"fail_batch", fail_batch},
                                {"fatal_on", fatal_on},       {"fail_open", fail_open},
                                {"fail_finish", fail_finish}, {"fail_source", fail_source},
                                {"fail_sink", fail_sink}};
  return makers;
}

}  // namespace conformance
