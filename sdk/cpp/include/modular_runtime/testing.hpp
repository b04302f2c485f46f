// Runs a stage in a test, without a runtime.
//
//   const auto out = testing::check(rules, {Event{{"type", "buy"}, {"value", 12}}});
//   assert(out.size() == 1 && out[0].int64("value") == 12);
//
// The stage is opened, gets all events as one batch, and finishes. What a handler is lent is overwritten when
// it has returned, so that a stage which holds on to it is found out. Neighbours: `stage.hpp` has the stages.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "stage.hpp"

namespace modular_runtime::testing {

struct Settings {
  // The stage's `with`, as JSON.
  std::string config = "{}";
  // The columns of each side. Without them: those that the events have, each of which may be null; for the
  // output what the stage declares, otherwise the input's.
  std::optional<Schema> input = {};
  std::optional<Schema> output = {};
  std::optional<std::string> state = {};
  // Rows of a batch; 0: all events are one.
  std::size_t rows = 0;
};

struct Outcome {
  std::vector<Event> events;
  // Events that would be dead letters; rows count all events given.
  std::vector<Failure> failures;
  std::string state;
};

// What a transform makes of the events; throws what it throws outside of single events.
Outcome observe(const Stage& stage, const std::vector<Event>& events, const Settings& settings = {});

// The events of the above; throws `std::runtime_error` if an event failed.
std::vector<Event> check(const Stage& stage, const std::vector<Event>& events, const Settings& settings = {});

// At most so many of a source's events.
std::vector<Event> events_of(const Stage& stage, const Settings& settings, std::size_t events_max);

}  // namespace modular_runtime::testing
