// Every form of handler, through the helper that users test their stages with.
#include <algorithm>
#include <memory>
#include <modular_runtime/json_line.hpp>
#include <modular_runtime/run.hpp>
#include <modular_runtime/testing.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"

using namespace modular_runtime;
using testing::Settings;

namespace {

const std::vector<Event> events = {{{"type", "buy"}, {"value", 12}},   {{"type", "view"}, {"value", 50}},
                                   {{"type", nullptr}, {"value", 20}}, {{"type", "buy"}, {"value", nullptr}},
                                   {{"type", "click"}, {"value", 9}},  {{"type", "buy"}, {"value", 10}}};

// Each event's values, in a word.
std::string text_of(const Event& event) {
  std::string text;
  for (const Event::Change& change : event.changes()) {
    const Value& value = change.value;
    text += text.empty() ? "" : "/";
    if (const auto* held = value.get<std::string>()) {
      text += *held;
    } else if (const auto* whole = value.get<std::int64_t>()) {
      text += std::to_string(*whole);
    } else {
      text += value.is_null() ? "null" : "?";
    }
  }
  return text;
}

std::string text_of(const std::vector<Event>& all) {
  std::string text;
  for (const Event& event : all) text += (text.empty() ? "" : " ") + text_of(event);
  return text;
}

// In batches of each of these sizes, the outcome is the same.
void check_stage(const Stage& stage, const std::string& expected, Settings settings = {},
                 const std::source_location where = std::source_location::current()) {
  for (const std::size_t rows : {0, 1, 2, 5}) {
    settings.rows = rows;
    check(text_of(testing::check(stage, events, settings)), expected, where);
  }
}

bool is_wanted(const Event& event) { return event.string("type") != "view" && event.int64("value") >= 10; }

constexpr const char* wanted = "buy/12 null/20 buy/10";

Selection wanted_rows(const Batch& batch) {
  const Strings type = batch.string("type");
  const auto value = batch.int64("value");
  const Bits has_value = batch.valid("value");
  return Selection(batch.rows(), [&](std::size_t row) {
    return type[row] != "view" && has_value[row] && value[row] >= 10;
  });
}

void check_filters() {
  check_stage(
      filter([](const auto& event) { return event.string("type") != "view" && event.int64("value") >= 10; }),
      wanted);
  check_stage(filter(is_wanted), wanted);
  check_stage(filter(wanted_rows), wanted);
  check_stage(filter([](const Opening& opening) {
                return [least = opening.config.int64("least", 12)](const Event& event) {
                  return event.int64("value") >= least;
                };
              }),
              "buy/12 view/50 null/20");
  check_stage(filter(is_wanted), "12 20 10", {.output = Schema{{"value", "int64?"}}});
}

void check_transforms() {
  check_stage(transform([](Event event) -> std::optional<Event> {
                return is_wanted(event) ? std::optional(event) : std::nullopt;
              }),
              wanted);
  check_stage(transform(wanted_rows), wanted);
  // From the middle on, rows are built.
  check_stage(transform([](Event event) {
                if (event.string("type") == "click") event.set("value", 100);
                return event;
              }),
              "buy/12 view/50 null/20 buy/null click/100 buy/10");
  check_stage(transform([](const Event& event, Emitter& out) {
                if (event.int64("value") > 40) out.emit(event);
                if (event.int64("value") > 10) out.emit(event);
              }),
              "buy/12 view/50 view/50 null/20");
  check_stage(
      transform([](const Event& event) { return std::vector<Event>(event.is_null("type") ? 2 : 0, event); }),
      "null/20 null/20");
  check_stage(transform([](const Event& event) {
                return Event{{"key", event.string("type")}};
              }).output({{"key", "string?"}}),
              "buy view null buy click buy");
  check_stage(transform([](const Batch& batch) { return batch; }),
              "buy/12 view/50 null/20 buy/null click/9 buy/10");
  check_stage(transform([](const Batch& batch) { return std::optional(batch.take(wanted_rows(batch))); }),
              wanted);
  check_stage(transform([](const Batch& batch) {
                return std::vector<Batch>{batch.take(wanted_rows(batch)),
                                          batch.take(Selection(batch.rows()))};
              }),
              wanted);
  check(text_of(testing::check(transform([](const Batch& batch, Emitter& out) {
                                 out.emit(batch.event(0));
                                 out.emit(batch.take(wanted_rows(batch)));
                                 out.emit(Event{{"type", "end"}});
                               }),
                               events)),
        "buy/12 buy/12 null/20 buy/10 end/null");
  // A function that cannot be copied.
  check(text_of(testing::check(
            transform([held = std::make_unique<int>(7)](Event event) { return event.set("value", *held); }),
            events)),
        "buy/7 view/7 null/7 buy/7 click/7 buy/7");
}

// Sums up, goes on from its state.
class Sum {
 public:
  explicit Sum(const Opening& opening) : sum_(opening.state ? std::stoll(*opening.state) : 0) {}
  void process(const Event& event, Emitter&) { sum_ += event.int64("value").value_or(0); }
  void finish(Emitter& out) { out.emit(Event{{"sum", sum_}}); }
  std::string snapshot() const { return std::to_string(sum_); }

 private:
  std::int64_t sum_;
};

// Holds a batch back.
class Delay {
 public:
  std::optional<Batch> process(const Batch& batch) {
    auto before = std::exchange(held_, batch.keep());
    return before;
  }
  void finish(Emitter& out) {
    if (held_) out.emit(*held_);
  }

 private:
  std::optional<Batch> held_;
};

void check_classes() {
  const auto sum = [] { return transform<Sum>().output({{"sum", "int64"}}); };
  check_stage(sum(), "101");
  check(testing::observe(sum(), events, {.state = "10"}).state, "111");
  check_stage(sum(), "106", {.state = "5"});
  check_stage(transform<Delay>(), "buy/12 view/50 null/20 buy/null click/9 buy/10");
  check(sum().concurrency() == Concurrency::ordered, true);
  check(filter(is_wanted).concurrency() == Concurrency::stateless, true);
}

std::string failures_of(const Stage& stage, std::size_t rows, const Settings& given = {}) {
  Settings settings = given;
  settings.rows = rows;
  std::string text;
  for (const Failure& failure : testing::observe(stage, events, settings).failures) {
    for (const std::uint32_t row : failure.rows) text += std::to_string(row) + " ";
    text += failure.code + ": " + failure.message + "; ";
  }
  return text;
}

void check_failures() {
  const auto strict = [](Event event) {
    if (!event.int64("value")) throw std::domain_error("no value");
    return event.set("value", 1);
  };
  check(failures_of(transform(strict), 0), "3 std::domain_error: no value; ");
  check(text_of(testing::observe(transform(strict), events).events), "buy/1 view/1 null/1 click/1 buy/1");
  const auto wrong = [](Event event) -> Event {
    if (event.int64("value") > 15) throw std::runtime_error("too much");
    return event;
  };
  check(failures_of(transform(wrong), 0), "1 2 std::runtime_error: too much; ");
  check(text_of(testing::observe(transform(wrong), events).events), "buy/12 buy/null click/9 buy/10");
  check(failures_of(filter([](const Event& event) { return event.int64("value").value() > 9; }), 3),
        "3 std::bad_optional_access: bad optional access; ");
  const auto wrong_batch = [](const Batch& batch) -> Batch {
    if (batch.valid("type")[0] == false) throw 7;
    return batch;
  };
  check(failures_of(transform(wrong_batch), 2), "2 3 int: an exception of the class int; ");
  // What an event emitted before it failed is taken back.
  check(text_of(testing::observe(transform([](const Event& event, Emitter& out) {
                                   out.emit(event);
                                   if (event.string("type") == "view") throw std::runtime_error("no");
                                   out.emit(event);
                                   if (event.string("type") == "click") throw std::runtime_error("no");
                                 }),
                                 events)
                    .events),
        "buy/12 buy/12 null/20 null/20 buy/null buy/null buy/10 buy/10");
  check(thrown([] { testing::check(filter([](const Event&) -> bool { throw Fatal("the end"); }), events); }),
        "the end");
}

void check_messages() {
  const auto failing = [](const Stage& stage, const Settings& settings = {}) {
    return testing::observe(stage, {events[0]}, settings).failures.at(0).message;
  };
  check(failing(transform([](Event event) { return event.set("valeu", 1); })),
        "column `valeu` was set, but the output has only `type`, `value`; `out:` in the pipeline or "
        "`.output({…})` adds "
        "one");
  check(failing(transform([](const Event&) { return Event(); }), {.output = Schema{{"n", "int64"}}}),
        "column `n` of the output cannot be null; `int64?` declares one that can");
  check(failing(transform([](Event event) { return event.set("value", "x"); })),
        "column `value` of the output is int64, not string");
  check(failing(transform([](Event event) { return event.set("type", "\xff"); })),
        "text is not UTF-8; a column of other bytes is `binary`");
  check(failing(filter([](const Event& event) { return event.int64("x") > 1; })),
        "no column `x`; there are `type`, `value`; `uses:` in the pipeline adds one");
  check(failing(transform([](const Event& event, Emitter& out) { out.emit(*event.batch()); })),
        "the handler of a single event emits events, not batches");

  const Failure nested = testing::observe(transform([](const Event&) -> Event {
                                            try {
                                              throw std::out_of_range("the cause");
                                            } catch (...) {
                                              std::throw_with_nested(std::runtime_error("the rest"));
                                            }
                                          }),
                                          {events[0]})
                             .failures.at(0);
  check(nested.detail.find("caused by std::out_of_range: the cause") != std::string::npos, true);
  check(nested.message, "the rest");
}

class Countdown {
 public:
  explicit Countdown(const Opening& opening) : n_(opening.config.int64("from")) {}
  std::optional<Event> next() { return n_ == 0 ? std::nullopt : std::optional(Event{{"n", n_--}}); }

 private:
  std::int64_t n_;
};

void check_sources() {
  const Settings settings{.config = R"({"from": 3})", .output = Schema{{"n", "int64"}}};
  check(text_of(testing::events_of(source<Countdown>(), settings, 10)), "3 2 1");
  check(text_of(testing::events_of(source<Countdown>(), settings, 2)), "3 2");
  check(text_of(testing::events_of(source([](Emitter& out) {
                                     for (int n = 0; out.emit(Event{{"n", n}}); ++n) {
                                     }
                                   }),
                                   settings, 4)),
        "0 1 2 3");
  check(text_of(testing::events_of(source([n = 0]() mutable -> std::optional<Batch> {
                                     BatchBuilder builder(Schema{{"n", "int64"}});
                                     builder.column("n").int64(n++);
                                     return n > 3 ? std::nullopt : std::optional(builder.finish());
                                   }),
                                   settings, 10)),
        "0 1 2");
}

void check_kept_events() {
  std::optional<Event> held;
  testing::check(transform([&held](const Event& event) -> std::optional<Event> {
                   if (!held) held = event.keep();
                   return std::nullopt;
                 }),
                 events);
  check(text_of(*held), "buy/12");
}

}  // namespace

int main() {
  check_filters();
  check_transforms();
  check_classes();
  check_failures();
  check_messages();
  check_sources();
  check_kept_events();
}
