// A file's bytes in blocks of whole lines, and its division among threads.
//
//   file   |--- part 0 ---|--- part 1 ---|      parts end at line ends, so that no line has two readers
//   part   |block|block|bl|                     blocks end at line ends; the rest moves to the next block's
//   front
//
// Blocks are read into one buffer that stays in the second-level cache, and are followed by readable padding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

// A file open for reading.
class File {
 public:
  // Throws std::runtime_error if `path` cannot be opened or is not a regular file.
  explicit File(std::string path);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  // Reads up to `size` bytes at `offset`, fewer only at the end. Throws std::runtime_error if that fails.
  std::size_t read(char* bytes, std::size_t size, std::uint64_t offset) const;

  std::uint64_t size() const { return size_; }

 private:
  std::string path_;
  int descriptor_;
  std::uint64_t size_;
};

// The bytes from `begin` up to `end` of a file.
struct Part {
  std::uint64_t begin;
  std::uint64_t end;
};

// Divides `file` at line ends into `count` parts of about the same size; parts of a small file may be empty.
std::vector<Part> split(const File& file, unsigned count);

// The lines of one part, a block at a time.
class Blocks {
 public:
  Blocks(const File& file, Part part, std::size_t padding);

  // Moves to the next block; false at the end. A line longer than a block makes the block grow.
  bool next();

  char* data() { return buffer_.data(); }
  std::size_t size() const { return size_; }
  // How many bytes from data() on may be read, padding included.
  std::size_t capacity() const { return buffer_.size(); }

 private:
  const File& file_;
  Part rest_;
  std::size_t padding_;
  std::vector<char> buffer_;
  std::size_t size_ = 0;
  std::size_t filled_ = 0;
};

// Calls `work(index, part)` for every part of `file`, each on a thread of its own, the first on this one.
// Rethrows the first exception of any.
void for_each_part(const File& file, unsigned threads, const std::function<void(std::size_t, Part)>& work);
