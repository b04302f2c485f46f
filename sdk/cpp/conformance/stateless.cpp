#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "stages.hpp"

namespace conformance {

namespace {

using namespace modular_runtime;

std::optional<Event> as_it_came(Event event) { return event; }

bool is_even(std::optional<std::int64_t> n) { return n && *n % 2 == 0; }

Selection even_rows(const Batch& batch) {
  const auto n = batch.int64("n");
  const Bits valid = batch.valid("n");
  return Selection(batch.rows(), [&](std::size_t row) { return valid[row] && n[row] % 2 == 0; });
}

std::vector<std::uint32_t> each_row(const Batch& batch, std::size_t times) {
  std::vector<std::uint32_t> rows(batch.rows() * times);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::uint32_t>(i / times);
  return rows;
}

Stage echo(Form form) {
  if (form == Form::event) return transform(as_it_came);
  return transform([](const Batch& batch) {
    BatchBuilder builder(batch.shared_schema());
    builder.append(batch, each_row(batch, 1), ColumnBuilder::Codes::keep);
    return builder.finish();
  });
}

Stage keep_even(Form form) {
  if (form == Form::event) return filter([](const auto& event) { return is_even(event.int64("n")); });
  return filter(even_rows);
}

Stage select(Form form) {
  if (form == Form::batch) return transform(even_rows);
  return transform([](Event event) -> std::optional<Event> {
    if (!is_even(event.int64("n"))) return std::nullopt;
    return event;
  });
}

Stage duplicate(Form form) {
  if (form == Form::event) {
    return transform([](const Opening& opening) {
      return [times = opening.config.int64("times")](Event event) {
        return std::vector<Event>(static_cast<std::size_t>(times), event);
      };
    });
  }
  return transform([](const Opening& opening) {
    return [times = static_cast<std::size_t>(opening.config.int64("times"))](const Batch& batch) {
      BatchBuilder builder(batch.shared_schema());
      builder.append(batch, each_row(batch, times));
      return builder.finish();
    };
  });
}

std::optional<std::int64_t> next_of(std::int64_t n) {
  return n == std::numeric_limits<std::int64_t>::max() ? std::nullopt : std::optional(n + 1);
}

Event derived(const Event& event) {
  Event out;
  const auto n = event.int64("n");
  out.set("n2", n ? next_of(*n) : std::nullopt);
  if (const auto s = event.string("s")) out.set("s2", std::string(*s) + "!");
  if (const auto x = event.float64("x")) out.set("x2", *x / 2);
  if (const auto b = event.boolean("b")) out.set("b2", !*b);
  if (const auto t = event.timestamp("t")) out.set("t2", *t + std::chrono::seconds(1));
  if (const auto r = event.binary("r")) out.set("r2", Value::Bytes(r->rbegin(), r->rend()));
  return out;
}

Batch derived_rows(const Schema& output, const Batch& batch) {
  BatchBuilder out(output);
  const auto fill = [&](const Name& from, const Name& to, auto append) {
    const Bits valid = batch.valid(from);
    ColumnBuilder& column = out.column(to);
    for (std::size_t row = 0; row < batch.rows(); ++row) {
      if (valid[row]) {
        append(column, row);
      } else {
        column.null();
      }
    }
  };
  fill("n", "n2",
       [n = batch.int64("n")](ColumnBuilder& column, std::size_t row) { column.value(next_of(n[row])); });
  fill("s", "s2", [s = batch.string("s")](ColumnBuilder& column, std::size_t row) {
    column.string(std::string(s[row]) + "!");
  });
  fill("x", "x2",
       [x = batch.float64("x")](ColumnBuilder& column, std::size_t row) { column.float64(x[row] / 2); });
  fill("b", "b2",
       [b = batch.boolean("b")](ColumnBuilder& column, std::size_t row) { column.boolean(!b[row]); });
  fill("t", "t2", [t = batch.timestamp("t")](ColumnBuilder& column, std::size_t row) {
    column.timestamp(Timestamp(std::chrono::microseconds(t[row]) + std::chrono::seconds(1)));
  });
  fill("r", "r2", [r = batch.binary("r")](ColumnBuilder& column, std::size_t row) {
    column.binary(Value::Bytes(r[row].rbegin(), r[row].rend()));
  });
  return out.finish();
}

Stage derive(Form form) {
  if (form == Form::event) return transform(derived);
  return transform([](const Opening& opening) {
    return [output = opening.output](const Batch& batch) { return derived_rows(output, batch); };
  });
}

Stage config(Form form) {
  const auto row = [](const Config& with) {
    return Event{{"text", with.string("text")},      {"number", with.float64("number")},
                 {"whole", with.int64("whole")},     {"flag", with.boolean("flag")},
                 {"list", with.list("list").size()}, {"nested", with.at("nested").string("a")}};
  };
  if (form == Form::event) {
    return transform(
        [row](const Opening& opening) { return [out = row(opening.config)](const Event&) { return out; }; });
  }
  return transform([row](const Opening& opening) {
    return [out = row(opening.config), output = opening.output](const Batch& batch) {
      BatchBuilder builder(output);
      for (std::size_t i = 0; i < batch.rows(); ++i) builder.append(out);
      return builder.finish();
    };
  });
}

Stage log_levels(Form form) {
  const auto say = [] {
    log::error("an error");
    log::warning("a warning");
    log::info("an information");
    log::debug("a detail");
    std::puts("printed");
  };
  if (form == Form::event) {
    return transform([say](const Opening&) {
      say();
      return as_it_came;
    });
  }
  return transform([say](const Opening&) {
    say();
    return [](const Batch& batch) { return batch; };
  });
}

// Does something once a batch.
template <class Pause>
Stage paused(Pause pause) {
  return transform([pause](const Opening& opening) {
    return [pause, config = opening.config](const Batch& batch) {
      pause(config);
      return batch;
    };
  });
}

Stage slow(Form) {
  return paused([](const Config& config) {
    std::this_thread::sleep_for(std::chrono::milliseconds(config.int64("sleep_ms")));
  });
}

std::int64_t thread_nanos() {
  timespec cpu{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
  return std::int64_t{cpu.tv_sec} * 1'000'000'000 + cpu.tv_nsec;
}

// Computes, and gives how many nanoseconds that took.
std::int64_t spun(const Config& config) {
  const auto begin = std::chrono::steady_clock::now();
  const std::int64_t end = thread_nanos() + config.int64("micros") * 1000;
  while (thread_nanos() < end) {
  }
  return std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count();
}

Stage spin(Form form) {
  if (form == Form::event) {
    return transform([](const Opening& opening) {
      return [config = opening.config](const Event& event) {
        return Event{{"s", event.string("s")}, {"wall", spun(config)}};
      };
    });
  }
  return transform([](const Opening& opening) {
    return [config = opening.config, output = opening.output](const Batch& batch) {
      std::int64_t wall = spun(config);
      BatchBuilder builder(output);
      const auto texts = batch.string("s");
      for (std::size_t row = 0; row < batch.rows(); ++row) {
        builder.column("s").string(texts[row]);
        builder.column("wall").int64(wall);
        wall = 0;
      }
      return builder.finish();
    };
  });
}

}  // namespace

const Makers& stateless_stages() {
  static const Makers makers = {{"echo", echo},      {"keep_even", keep_even}, {"select", select},
                                {"derive", derive},  {"duplicate", duplicate}, {"config", config},
                                {"log", log_levels}, {"slow", slow},           {"spin", spin}};
  return makers;
}

}  // namespace conformance
