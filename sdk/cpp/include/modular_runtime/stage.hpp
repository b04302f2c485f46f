// What users write a stage against: functions and classes, made into a `Stage` that `run` runs.
//
//   filter(f)      f(event) -> bool, or f(batch) -> Selection
//   transform(f)   f(event) -> Event, std::optional<Event>, std::vector<Event>, or void f(event, Emitter&)
//                  f(batch) -> Batch, std::optional<Batch>, std::vector<Batch>, Selection, or void f(batch,
//                  Emitter&)
//   source(f)      f() -> std::optional<Event> or std::optional<Batch>, empty at the end, or void f(Emitter&)
//   sink(f)        void f(event) or void f(batch)
//
// In place of `f` each takes a function of `const Opening&` that returns it; `transform<T>()`, `source<T>()`
// and `sink<T>()` take a class, constructed from `const Opening&` or from nothing, with the method `process`,
// `next` or `write` for `f` and, where it wants them, `void finish(Emitter&)`, `std::string snapshot()`,
// `Progress progress()`, `Prepared prepare()`, `void commit()`.
//
// Functions are stateless; classes get their batches in order, in one process.
// Neighbours: `handler.hpp` makes batches' work of each form, `run.hpp` runs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "config.hpp"
#include "emitter.hpp"
#include "schema.hpp"

namespace modular_runtime {

enum class Role : std::uint8_t { source = 1, transform, sink };
enum class Concurrency : std::uint8_t { stateless = 1, ordered };

// How many rows a batch should have; 0: as many as suit the receiver. A smaller one leaves after so many
// microseconds.
struct BatchPolicy {
  std::uint32_t rows = 0;
  std::uint64_t linger_us = 0;
};

// What a stage is opened with.
struct Opening {
  std::string stage;
  Config config;
  // What `snapshot` gave, when the stage goes on where another was.
  std::optional<std::string> state;
  // No columns where there is no such side.
  Schema input;
  Schema output;
  BatchPolicy policy;
  std::uint64_t generation = 0;
  // Which of several processes of the stage this is, from 0.
  std::uint32_t replica = 0;
  std::uint32_t replicas = 1;
};

// What a sink has written under a temporary name.
struct Prepared {
  // The file that holds them now, if there is one; an absolute path.
  std::string artifact;
  std::uint64_t rows = 0;
};

// How far a source has come, as the run's progress shows it; 0: it does not know.
struct Progress {
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_total = 0;
};

// A stage that is open, in any form, as `run` sees it.
class OpenTransform {
 public:
  virtual ~OpenTransform() = default;
  // Throws only `Fatal`; what costs events is with the emitter.
  virtual void process(const Batch& batch, Emitter& out) = 0;
  virtual void finish(Emitter& out) = 0;
  virtual std::string snapshot() = 0;
  // Whether the events that cause nothing at once were dropped on purpose.
  virtual bool filters() const noexcept = 0;
};

class OpenSource {
 public:
  virtual ~OpenSource() = default;
  // What comes next; empty at the end. A source that emits by itself does all of it and gives nothing.
  using Next = std::variant<std::monostate, Event, Batch>;
  virtual Next next(Emitter& out) = 0;
  virtual std::string snapshot() = 0;
  virtual Progress progress() = 0;
};

class OpenSink {
 public:
  virtual ~OpenSink() = default;
  virtual void write(const Batch& batch) = 0;
  virtual Prepared prepare() = 0;
  virtual void commit() = 0;
  virtual std::string snapshot() = 0;
};

// A stage that can be opened.
class Stage {
 public:
  template <class Open>
  using Opener = std::function<std::unique_ptr<Open>(const Opening&)>;
  using AnyOpener = std::variant<Opener<OpenSource>, Opener<OpenTransform>, Opener<OpenSink>>;

  Stage(AnyOpener open, Concurrency concurrency) : open_(std::move(open)), concurrency_(concurrency) {}

  // Declares the columns that the code gives: `.output({{"key", "string?"}, {"count", "int64"}})`. Otherwise
  // they are those that the pipeline says, or those of the input.
  Stage output(Schema schema) && {
    output_ = std::move(schema);
    return std::move(*this);
  }
  // All batches go through one process, in order.
  Stage ordered() && {
    concurrency_ = Concurrency::ordered;
    return std::move(*this);
  }
  // Several processes may share the batches.
  Stage stateless() && {
    concurrency_ = Concurrency::stateless;
    return std::move(*this);
  }

  const AnyOpener& open() const noexcept { return open_; }
  Role role() const noexcept { return static_cast<Role>(open_.index() + 1); }
  Concurrency concurrency() const noexcept { return concurrency_; }
  const std::optional<Schema>& declared_output() const noexcept { return output_; }

 private:
  AnyOpener open_;
  Concurrency concurrency_;
  std::optional<Schema> output_;
};

}  // namespace modular_runtime

#include "handler.hpp"  // IWYU pragma: export
