#include "blocks.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace {

constexpr std::size_t block_bytes = 512 * 1024;

[[noreturn]] void fail(const std::string& what, const std::string& path) {
  throw std::runtime_error("cannot " + what + " `" + path + "`: " + std::generic_category().message(errno));
}

// The first place at or after `offset` where a line begins.
std::uint64_t line_begin(const File& file, std::uint64_t offset) {
  if (offset == 0) {
    return 0;
  }
  std::vector<char> bytes(64 * 1024);
  std::uint64_t at = offset - 1;
  while (const std::size_t size = file.read(bytes.data(), bytes.size(), at)) {
    if (const void* newline = std::memchr(bytes.data(), '\n', size)) {
      return at + (static_cast<const char*>(newline) - bytes.data()) + 1;
    }
    at += size;
  }
  return file.size();
}

}  // namespace

File::File(std::string path)
    : path_(std::move(path)), descriptor_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  struct stat status{};
  if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) {
    fail("open", path_);
  }
  if (!S_ISREG(status.st_mode)) {
    throw std::runtime_error("`" + path_ + "` is not a regular file");
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

File::~File() { ::close(descriptor_); }

std::size_t File::read(char* bytes, std::size_t size, std::uint64_t offset) const {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = ::pread(descriptor_, bytes + done, size - done, static_cast<off_t>(offset + done));
    if (count == 0) {
      break;
    }
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (errno != EINTR) {
      fail("read", path_);
    }
  }
  return done;
}

std::vector<Part> split(const File& file, unsigned count) {
  std::vector<Part> parts;
  std::uint64_t begin = 0;
  for (unsigned index = 1; index <= count; ++index) {
    const std::uint64_t end = std::max(begin, line_begin(file, file.size() / count * index));
    parts.push_back({begin, index == count ? file.size() : end});
    begin = end;
  }
  return parts;
}

Blocks::Blocks(const File& file, Part part, std::size_t padding)
    : file_(file), rest_(part), padding_(padding), buffer_(block_bytes + padding) {}

bool Blocks::next() {
  filled_ -= size_;
  std::memmove(data(), data() + size_, filled_);
  size_ = 0;
  while (rest_.begin < rest_.end) {
    const std::size_t room = buffer_.size() - padding_ - filled_;
    const std::size_t wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(room, rest_.end - rest_.begin));
    const std::size_t count = file_.read(data() + filled_, wanted, rest_.begin);
    filled_ += count;
    rest_.begin = count < wanted ? rest_.end : rest_.begin + count;
    if (const void* newline = ::memrchr(data(), '\n', filled_)) {
      size_ = static_cast<std::size_t>(static_cast<const char*>(newline) - data()) + 1;
      return true;
    }
    if (rest_.begin < rest_.end) {
      buffer_.resize(2 * buffer_.size());
    }
  }
  size_ = filled_;
  return size_ > 0;
}

void for_each_part(const File& file, unsigned threads, const std::function<void(std::size_t, Part)>& work) {
  const std::vector<Part> parts = split(file, threads);
  std::vector<std::exception_ptr> failures(parts.size());
  const auto run = [&](std::size_t index) {
    try {
      work(index, parts[index]);
    } catch (...) {
      failures[index] = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t index = 1; index < parts.size(); ++index) {
      others.emplace_back(run, index);
    }
    run(0);
  }
  for (const std::exception_ptr& failure : failures) {
    if (failure) {
      std::rethrow_exception(failure);
    }
  }
}
