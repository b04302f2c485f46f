#include "modular_runtime/failure.hpp"

#include <cxxabi.h>

#include <cstdlib>
#include <exception>
#include <memory>
#include <typeinfo>

#include "modular_runtime/config.hpp"

namespace modular_runtime {

namespace {

// The class of the exception being handled.
std::string current_class() {
  const std::type_info* const type = abi::__cxa_current_exception_type();
  if (type == nullptr) return "unknown";
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), std::free);
  return status == 0 ? name.get() : type->name();
}

void describe(Failure& failure, bool is_cause) {
  const std::string name = current_class();
  std::string what;
  std::exception_ptr cause;
  try {
    throw;
  } catch (const std::exception& error) {
    what = error.what();
    if (const auto* fatal = dynamic_cast<const Fatal*>(&error)) failure.kind = fatal->kind();
    if (dynamic_cast<const ConfigError*>(&error) != nullptr) failure.kind = Kind::invalid;
    if (const auto* nested = dynamic_cast<const std::nested_exception*>(&error)) cause = nested->nested_ptr();
  } catch (const char* text) {
    what = text;
  } catch (const std::string& text) {
    what = text;
  } catch (...) {
    what = "an exception of the class " + name;
  }
  if (!is_cause) {
    failure.code = name;
    failure.message = what;
  }
  failure.detail += (is_cause ? "caused by " : "") + name + ": " + what + "\n";
  if (!cause) return;
  try {
    std::rethrow_exception(cause);
  } catch (...) {
    describe(failure, true);
  }
}

}  // namespace

Failure current_failure() {
  Failure failure;
  describe(failure, false);
  return failure;
}

}  // namespace modular_runtime
