#include "numbers.hpp"
#include "stages.hpp"

namespace conformance {

namespace {

using namespace modular_runtime;

Stage numbers(Form form) { return form == Form::event ? source<NumberEvents>() : source<NumberBatches>(); }
Stage lines(Form) { return sink<JsonLinesFile>(); }

}  // namespace

const Makers& sources_and_sinks() {
  static const Makers makers = {{"numbers", numbers}, {"endless", numbers}, {"lines", lines}};
  return makers;
}

}  // namespace conformance
