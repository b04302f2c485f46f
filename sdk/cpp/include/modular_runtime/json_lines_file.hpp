// A ready-made sink: a file of JSON lines.
//
//   int main() { return modular_runtime::run(modular_runtime::sink<modular_runtime::JsonLinesFile>()); }
//
// Config: `path`. It writes `PATH.partial`; `prepare` makes that durable, `commit` gives it its final name.
// Neighbours: `json_line.hpp` has the lines.
#pragma once

#include <cstdint>
#include <string>

#include "json_line.hpp"
#include "stage.hpp"

namespace modular_runtime {

class JsonLinesFile {
 public:
  // Throws `ConfigError` without a `path`, `std::system_error` if the file cannot be made.
  explicit JsonLinesFile(const Opening& opening);
  JsonLinesFile(const JsonLinesFile&) = delete;
  JsonLinesFile& operator=(const JsonLinesFile&) = delete;
  ~JsonLinesFile();

  void write(const Batch& batch);
  Prepared prepare();
  void commit();

 private:
  void flush();
  [[noreturn]] void fail(const char* what) const;

  std::string path_;
  std::string partial_;
  int file_;
  JsonLines lines_;
  std::string buffer_;
  std::uint64_t rows_ = 0;
};

}  // namespace modular_runtime
