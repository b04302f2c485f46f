#include "modular_runtime/run.hpp"

#include <cstdlib>
#include <iostream>

#include "logging.hpp"
#include "serve.hpp"

namespace modular_runtime {

int run(Stage stage) {
  const char* const variable = std::getenv("MODRUN_STAGE");
  if (variable == nullptr) {
    std::cerr << "this program is a stage of a pipeline: `modrun run` starts it, where a pipeline's `run:` "
                 "names it\n";
    return 2;
  }
  const auto descriptors = parse_descriptors(variable);
  if (!descriptors) {
    std::cerr << "`MODRUN_STAGE` must be `socket=N,input=N,output=N`, it is `" << variable << "`\n";
    return 2;
  }
  set_up_logging();
  return serve(stage, *descriptors);
}

}  // namespace modular_runtime
