// Turns each form of handler into work on batches.
//
// Guarantees: the loop over the events of a batch is compiled around the handler, with no virtual call for an
// event; what the handler throws costs its event, or its batch if it gets batches; `Fatal` passes through.
// Neighbours: `stage.hpp` lists the forms, `emitter.hpp` gathers what they give.
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "stage.hpp"

namespace modular_runtime {

namespace detail {

template <class T, class... Input>
concept has_process =
    requires(T& handler, Input&&... input) { handler.process(std::forward<Input>(input)...); };
template <class T, class... Input>
concept has_write = requires(T& handler, Input&&... input) { handler.write(std::forward<Input>(input)...); };
template <class T, class... Input>
concept handles = has_process<T, Input...> || has_write<T, Input...> || std::invocable<T&, Input...>;

template <class T>
concept event_handler = handles<T, Event> || handles<T, Event, Emitter&>;
template <class T>
concept batch_handler = handles<T, const Batch&> || handles<T, const Batch&, Emitter&>;

// Concepts, for these look no further than the first form that fits: a generic function fits that of events,
// and its body may be no good for batches.
template <class T>
concept transform_handler = event_handler<T> || batch_handler<T>;
template <class T>
concept plain_handler = handles<T, Event> || handles<T, const Batch&>;
template <class T>
concept source_handler = std::invocable<T&> || std::invocable<T&, Emitter&> || requires(T& handler) {
  handler.next();
} || requires(T& handler, Emitter& out) { handler.next(out); };

template <class T, class... Input>
decltype(auto) call(T& handler, Input&&... input) {
  if constexpr (has_process<T, Input...>) {
    return handler.process(std::forward<Input>(input)...);
  } else if constexpr (has_write<T, Input...>) {
    return handler.write(std::forward<Input>(input)...);
  } else {
    return handler(std::forward<Input>(input)...);
  }
}

template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

// Emits what a transform's handler returned.
template <class Result>
void emit_result(Result&& result, Emitter& out) {
  using Plain = std::remove_cvref_t<Result>;
  if constexpr (is_optional<Plain>) {
    if (result) out.emit(*result);
  } else if constexpr (is_vector<Plain>) {
    for (const auto& one : result) out.emit(one);
  } else if constexpr (std::same_as<Plain, Selection>) {
    out.select(result);
  } else {
    static_assert(std::same_as<Plain, Event> || std::same_as<Plain, Batch>,
                  "a transform returns events, batches or a selection; use `filter` for a bool");
    out.emit(result);
  }
}

template <class T, class Input>
void transform_one(T& handler, Input&& input, Emitter& out) {
  if constexpr (handles<T, Input, Emitter&>) {
    call(handler, std::forward<Input>(input), out);
  } else {
    emit_result(call(handler, std::forward<Input>(input)), out);
  }
}

template <class T>
concept has_finish = requires(T& handler, Emitter& out) { handler.finish(out); };
template <class T>
concept has_snapshot = requires(T& handler) {
  { handler.snapshot() } -> std::convertible_to<std::string>;
};

template <class T>
std::string snapshot_of(T& handler) {
  if constexpr (has_snapshot<T>) {
    return handler.snapshot();
  } else {
    return {};
  }
}

template <class T>
class TransformOf final : public OpenTransform {
 public:
  explicit TransformOf(T handler)
    requires std::move_constructible<T>
      : handler_(std::move(handler)) {}
  explicit TransformOf(const Opening& opening)
    requires std::constructible_from<T, const Opening&>
      : handler_(opening) {}
  TransformOf()
    requires std::default_initializable<T>
  = default;

  void process(const Batch& batch, Emitter& out) override {
    out.begin(batch);
    if constexpr (event_handler<T>) {
      const std::size_t rows = batch.rows();
      for (std::size_t row = 0; row < rows; ++row) {
        out.begin_row(row);
        try {
          transform_one(handler_, Event(&batch, row), out);
        } catch (const Fatal&) {
          throw;
        } catch (...) {
          out.fail_row();
          continue;
        }
        out.end_row();
      }
    } else {
      try {
        transform_one<T, const Batch&>(handler_, batch, out);
      } catch (const Fatal&) {
        throw;
      } catch (...) {
        out.fail_batch();
      }
    }
    out.end();
  }
  void finish(Emitter& out) override {
    if constexpr (has_finish<T>) handler_.finish(out);
  }
  std::string snapshot() override { return snapshot_of(handler_); }
  bool filters() const noexcept override { return !has_finish<T> && !has_snapshot<T>; }

 private:
  T handler_;
};

// Whether an event or a row goes on.
template <class T>
class FilterOf final : public OpenTransform {
 public:
  explicit FilterOf(T keeps) : keeps_(std::move(keeps)) {}

  void process(const Batch& batch, Emitter& out) override {
    out.begin(batch);
    if constexpr (event_handler<T>) {
      // A failed row is not kept, and was not dropped on purpose either.
      std::size_t failed = 0;
      Selection kept(batch.rows(), [&](std::size_t row) { return keeps(batch, row, out, failed); });
      out.select(kept, failed);
    } else {
      try {
        out.select(call(keeps_, batch));
      } catch (const Fatal&) {
        throw;
      } catch (...) {
        out.fail_batch();
      }
    }
    out.end();
  }
  void finish(Emitter&) override {}
  std::string snapshot() override { return {}; }
  bool filters() const noexcept override { return true; }

 private:
  bool keeps(const Batch& batch, std::size_t row, Emitter& out, std::size_t& failed) {
    try {
      return static_cast<bool>(call(keeps_, Event(&batch, row)));
    } catch (const Fatal&) {
      throw;
    } catch (...) {
      out.fail_row(row);
      ++failed;
      return false;
    }
  }

  T keeps_;
};

template <class T>
class SourceOf final : public OpenSource {
 public:
  explicit SourceOf(T handler)
    requires std::move_constructible<T>
      : handler_(std::move(handler)) {}
  explicit SourceOf(const Opening& opening)
    requires std::constructible_from<T, const Opening&>
      : handler_(opening) {}
  SourceOf()
    requires std::default_initializable<T>
  = default;

  Next next(Emitter& out) override {
    if constexpr (requires { handler_.next(out); }) {
      handler_.next(out);
      return {};
    } else if constexpr (requires { handler_.next(); }) {
      return given(handler_.next());
    } else if constexpr (std::invocable<T&, Emitter&>) {
      handler_(out);
      return {};
    } else {
      return given(handler_());
    }
  }
  std::string snapshot() override { return snapshot_of(handler_); }
  Progress progress() override {
    if constexpr (requires { handler_.progress(); }) {
      return handler_.progress();
    } else {
      return {};
    }
  }

 private:
  template <class Result>
  static Next given(Result&& result) {
    static_assert(is_optional<std::remove_cvref_t<Result>>,
                  "a source returns std::optional<Event> or std::optional<Batch>, or takes an Emitter&");
    if (!result) return {};
    return std::move(*result);
  }

  T handler_;
};

template <class T>
class SinkOf final : public OpenSink {
 public:
  explicit SinkOf(T handler)
    requires std::move_constructible<T>
      : handler_(std::move(handler)) {}
  explicit SinkOf(const Opening& opening)
    requires std::constructible_from<T, const Opening&>
      : handler_(opening) {}
  SinkOf()
    requires std::default_initializable<T>
  = default;

  void write(const Batch& batch) override {
    if constexpr (handles<T, Event>) {
      for (std::size_t row = 0; row < batch.rows(); ++row) call(handler_, Event(&batch, row));
    } else {
      call(handler_, batch);
    }
  }
  Prepared prepare() override {
    if constexpr (requires {
                    { handler_.prepare() } -> std::convertible_to<Prepared>;
                  }) {
      return handler_.prepare();
    } else if constexpr (requires { handler_.prepare(); }) {
      handler_.prepare();
    }
    return {};
  }
  void commit() override {
    if constexpr (requires { handler_.commit(); }) handler_.commit();
  }
  std::string snapshot() override { return snapshot_of(handler_); }

 private:
  T handler_;
};

// Opens `Form<Handler>`, whose handler is a class that is constructed then.
template <class Open, template <class> class Form, class Handler>
Stage stage_of_class() {
  static_assert(std::constructible_from<Handler, const Opening&> || std::default_initializable<Handler>,
                "a stage's class is constructed from `const Opening&` or from nothing");
  return {Stage::Opener<Open>([](const Opening& opening) -> std::unique_ptr<Open> {
            if constexpr (std::constructible_from<Handler, const Opening&>) {
              return std::make_unique<Form<Handler>>(opening);
            } else {
              return std::make_unique<Form<Handler>>();
            }
          }),
          Concurrency::ordered};
}

// Opens `Form` of a handler, or of what a function of the opening gives. A handler that cannot be copied is
// good for one opening.
template <class Open, template <class> class Form, bool is_handler, class Function>
Stage stage_of_function(Function&& function, Concurrency concurrency) {
  using Held = std::decay_t<Function>;
  auto held = std::make_shared<Held>(std::forward<Function>(function));
  return {
      Stage::Opener<Open>([held]([[maybe_unused]] const Opening& opening) mutable -> std::unique_ptr<Open> {
        if constexpr (is_handler && std::copy_constructible<Held>) {
          return std::make_unique<Form<Held>>(Held(*held));
        } else if constexpr (is_handler) {
          if (held == nullptr) throw std::logic_error("a handler that cannot be copied is opened once");
          const auto last = std::exchange(held, nullptr);
          return std::make_unique<Form<Held>>(std::move(*last));
        } else {
          static_assert(std::invocable<Held&, const Opening&>,
                        "this is no form of a handler; `stage.hpp` lists them");
          using Handler = std::invoke_result_t<Held&, const Opening&>;
          return std::make_unique<Form<Handler>>((*held)(opening));
        }
      }),
      concurrency};
}

}  // namespace detail

// A stage that hands on the events, or rows, for which `keeps` is true.
template <class Function>
Stage filter(Function&& keeps) {
  using Held = std::decay_t<Function>;
  return detail::stage_of_function<OpenTransform, detail::FilterOf, detail::plain_handler<Held>>(
      std::forward<Function>(keeps), Concurrency::stateless);
}

template <class Function>
Stage transform(Function&& handler) {
  using Held = std::decay_t<Function>;
  return detail::stage_of_function<OpenTransform, detail::TransformOf, detail::transform_handler<Held>>(
      std::forward<Function>(handler), Concurrency::stateless);
}
template <class Handler>
Stage transform() {
  static_assert(detail::transform_handler<Handler>,
                "a transform's class has `process(event)` or `process(batch)`; `stage.hpp` lists the forms");
  return detail::stage_of_class<OpenTransform, detail::TransformOf, Handler>();
}

template <class Function>
Stage source(Function&& next) {
  using Held = std::decay_t<Function>;
  return detail::stage_of_function<OpenSource, detail::SourceOf, detail::source_handler<Held>>(
      std::forward<Function>(next), Concurrency::ordered);
}
template <class Handler>
Stage source() {
  return detail::stage_of_class<OpenSource, detail::SourceOf, Handler>();
}

template <class Function>
Stage sink(Function&& write) {
  using Held = std::decay_t<Function>;
  return detail::stage_of_function<OpenSink, detail::SinkOf, detail::plain_handler<Held>>(
      std::forward<Function>(write), Concurrency::ordered);
}
template <class Handler>
Stage sink() {
  static_assert(detail::plain_handler<Handler>, "a sink's class has `write(event)` or `write(batch)`");
  return detail::stage_of_class<OpenSink, detail::SinkOf, Handler>();
}

}  // namespace modular_runtime
