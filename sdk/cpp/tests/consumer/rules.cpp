#include <modular_runtime/run.hpp>

int main() {
  return modular_runtime::run(modular_runtime::filter(
      [](const auto& event) { return event.string("type") != "view" && event.int64("value") >= 10; }));
}
