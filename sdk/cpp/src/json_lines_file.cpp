#include "modular_runtime/json_lines_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace modular_runtime {

namespace {

constexpr std::size_t buffer_bytes = 1 << 20;

}  // namespace

JsonLinesFile::JsonLinesFile(const Opening& opening)
    : path_(std::filesystem::absolute(opening.config.string("path")).lexically_normal()),
      partial_(path_ + ".partial"),
      file_(::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)),
      lines_(opening.input) {
  if (file_ < 0) fail("cannot create");
}

JsonLinesFile::~JsonLinesFile() { ::close(file_); }

void JsonLinesFile::write(const Batch& batch) {
  lines_.append(batch, buffer_);
  rows_ += batch.rows();
  if (buffer_.size() >= buffer_bytes) flush();
}

Prepared JsonLinesFile::prepare() {
  flush();
  if (::fsync(file_) != 0) fail("cannot flush");
  return {partial_, rows_};
}

void JsonLinesFile::commit() {
  if (std::rename(partial_.c_str(), path_.c_str()) != 0) fail("cannot rename");
  // The new name is durable with the folder.
  const std::string folder = std::filesystem::path(path_).parent_path();
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool is_durable = descriptor >= 0 && ::fsync(descriptor) == 0;
  const int error = errno;
  if (descriptor >= 0) ::close(descriptor);
  errno = error;
  if (!is_durable) fail("cannot flush the folder of");
}

void JsonLinesFile::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t written = ::write(file_, rest.data(), rest.size());
    if (written < 0 && errno != EINTR) fail("cannot write");
    if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
  }
  buffer_.clear();
}

void JsonLinesFile::fail(const char* what) const {
  throw std::system_error(errno, std::generic_category(), std::string(what) + " `" + partial_ + "`");
}

}  // namespace modular_runtime
