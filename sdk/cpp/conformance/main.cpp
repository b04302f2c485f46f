// The program that the conformance kit tests this SDK with: `conformance STAGE [event|batch]`.
#include <iostream>

#include "stages.hpp"

int main(int count, char** arguments) {
  using namespace conformance;
  if (count < 2) {
    std::cerr << "usage: conformance STAGE [event|batch]\n";
    return 2;
  }
  const Form form = count > 2 && std::string_view(arguments[2]) == "batch" ? Form::batch : Form::event;
  for (const Makers* makers :
       {&stateless_stages(), &stateful_stages(), &failing_stages(), &sources_and_sinks()}) {
    if (const auto found = makers->find(arguments[1]); found != makers->end()) {
      return modular_runtime::run(found->second(form));
    }
  }
  std::cerr << "no stage `" << arguments[1] << "`\n";
  return 2;
}
