// The command line of a baseline: options that each take a value, `--input FILE --threads 2`.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

class Arguments {
 public:
  // Reads the command line. Throws std::runtime_error on an option that is not among `known` or lacks its
  // value.
  Arguments(int count, char** values, const std::vector<std::string>& known);

  // The value of `option`, if it was given.
  std::optional<std::string> get(const std::string& option) const;

  // The value of `option`. Throws std::runtime_error if it was not given.
  std::string require(const std::string& option) const;

  // The value of `--threads`, 1 if it was not given. Throws std::runtime_error unless it is 1 to 1024.
  unsigned threads() const;

 private:
  std::map<std::string, std::string> given_;
};
