#include "modular_runtime/testing.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "table.hpp"

namespace modular_runtime::testing {

namespace {

// Keeps what is sent, as events of their own.
class Collected final : public Outlet {
 public:
  std::vector<std::uint32_t> oversized(const Batch&) override { return {}; }
  void send(const Batch& batch) override {
    for (std::size_t row = 0; row < batch.rows(); ++row) events.push_back(batch.event(row).keep());
  }
  void send(const Batch& input, const Selection& kept) override {
    for (std::size_t row = 0; row < input.rows(); ++row) {
      if (kept[row]) events.push_back(input.event(row).keep());
    }
  }

  std::vector<Event> events;
};

// A column for each name that an event has, in the order of their first use.
Schema columns_of(const std::vector<Event>& events) {
  std::vector<Field> fields;
  for (const Event& event : events) {
    for (const Event::Change& change : event.changes()) {
      const std::optional<Type> type = type_of(change.value);
      const auto known = std::find_if(fields.begin(), fields.end(),
                                      [&](const Field& field) { return field.name == change.text(); });
      if (known == fields.end() && type) fields.emplace_back(std::string(change.text()), *type, true);
    }
  }
  return Schema(std::move(fields));
}

Opening opening_of(const Stage& stage, const std::vector<Event>& events, const Settings& settings) {
  Opening opening;
  opening.stage = "test";
  opening.config = Config::parse(settings.config);
  opening.input = settings.input ? *settings.input : columns_of(events);
  opening.output = settings.output ? *settings.output : stage.declared_output().value_or(opening.input);
  opening.state = settings.state;
  return opening;
}

// A batch as a stage gets it: lent memory, which is overwritten in the end.
class Lent {
 public:
  explicit Lent(const Batch& batch)
      : bytes_(table_bytes(batch, {0, batch.rows()})),
        memory_((bytes_ + 7) / 8),
        reader_(batch.shared_schema()) {
    write_table(batch, {0, batch.rows()}, bytes());
  }
  ~Lent() { std::memset(bytes(), 0xa5, 8 * memory_.size()); }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;

  const Batch& batch() { return reader_.read({bytes(), bytes_}); }

 private:
  std::byte* bytes() { return reinterpret_cast<std::byte*>(memory_.data()); }

  std::size_t bytes_;
  std::vector<std::uint64_t> memory_;
  TableReader reader_;
};

template <class Open>
std::unique_ptr<Open> opened(const Stage& stage, const Opening& opening, const char* role) {
  const auto* const open = std::get_if<Stage::Opener<Open>>(&stage.open());
  if (open == nullptr) throw std::invalid_argument(std::string("the stage under test is no ") + role);
  return (*open)(opening);
}

// A source's events as they come, without a runtime.
class Taken final : public Emitter {
 public:
  Taken(std::shared_ptr<const Schema> output, Outlet& outlet, std::size_t events_max)
      : Emitter(nullptr, std::move(output), outlet), events_max_(events_max) {}
  using Emitter::emit;
  bool emit(const Batch& batch) override {
    Emitter::emit(batch);
    taken_ += batch.rows();
    return !stopped();
  }
  bool stopped() const noexcept override { return taken_ >= events_max_; }

 protected:
  bool emit_row(const Event& event) override {
    if (stopped()) return false;
    ++taken_;
    Emitter::emit_row(event);
    return !stopped();
  }

 private:
  std::size_t events_max_;
  std::size_t taken_ = 0;
};

}  // namespace

Outcome observe(const Stage& stage, const std::vector<Event>& events, const Settings& settings) {
  const Opening opening = opening_of(stage, events, settings);
  const auto transform = opened<OpenTransform>(stage, opening, "transform");
  const auto input = std::make_shared<const Schema>(opening.input);
  Collected collected;
  Emitter out(input, std::make_shared<const Schema>(opening.output), collected);
  Outcome outcome;
  const std::size_t rows = settings.rows == 0 ? std::max<std::size_t>(events.size(), 1) : settings.rows;
  for (std::size_t begin = 0; begin < events.size(); begin += rows) {
    BatchBuilder builder(input);
    const std::size_t end = std::min(begin + rows, events.size());
    for (std::size_t at = begin; at < end; ++at) builder.append(events[at]);
    const Batch batch = builder.finish();
    {
      Lent lent(batch);
      transform->process(lent.batch(), out);
    }
    for (Failure failure : out.failures()) {
      for (std::uint32_t& row : failure.rows) row += static_cast<std::uint32_t>(begin);
      outcome.failures.push_back(std::move(failure));
    }
  }
  outcome.state = transform->snapshot();
  transform->finish(out);
  out.end();
  outcome.events = std::move(collected.events);
  return outcome;
}

std::vector<Event> check(const Stage& stage, const std::vector<Event>& events, const Settings& settings) {
  Outcome outcome = observe(stage, events, settings);
  if (!outcome.failures.empty()) {
    const Failure& failure = outcome.failures.front();
    throw std::runtime_error("event " + std::to_string(failure.rows.empty() ? 0 : failure.rows.front()) +
                             " failed: " + failure.code + ": " + failure.message);
  }
  return std::move(outcome.events);
}

std::vector<Event> events_of(const Stage& stage, const Settings& settings, std::size_t events_max) {
  const Opening opening = opening_of(stage, {}, settings);
  const auto source = opened<OpenSource>(stage, opening, "source");
  Collected collected;
  Taken out(std::make_shared<const Schema>(opening.output), collected, events_max);
  while (!out.stopped()) {
    const OpenSource::Next next = source->next(out);
    if (const auto* event = std::get_if<Event>(&next)) {
      out.emit(*event);
    } else if (const auto* batch = std::get_if<Batch>(&next)) {
      out.emit(*batch);
    } else {
      break;
    }
  }
  out.end();
  if (collected.events.size() > events_max) collected.events.resize(events_max);
  return std::move(collected.events);
}

}  // namespace modular_runtime::testing
