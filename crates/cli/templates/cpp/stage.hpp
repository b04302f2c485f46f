// The stage `{{name}}`: says how high each event's value is, and drops what is below 0.
#pragma once

#include <modular_runtime/run.hpp>
#include <optional>

inline std::optional<modular_runtime::Event> with_level(modular_runtime::Event event) {
  const auto value = *event.int64("value");
  if (value < 0) return std::nullopt;
  event.set("level", value >= 10 ? "high" : "low");
  return event;
}

inline modular_runtime::Stage stage() {
  return modular_runtime::transform(with_level)
      .output({{"user", "string"}, {"value", "int64"}, {"level", "string"}});
}
