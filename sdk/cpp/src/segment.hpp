// The memory that payloads lie in, and where in it there is room.
//
// Guarantees: a mapping is as large as the runtime said, or it is refused; slots begin at multiples of 64, at
// the lowest address where they fit, so that few pages are touched again and again. Neighbours: `connection`
// owns both and releases slots as credit comes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace modular_runtime {

// A mapped memfd, or nothing where its size is 0.
class Segment {
 public:
  enum class Access { read, write };

  Segment() = default;
  // Throws `std::system_error`, or `FormatError` if the file is shorter than `bytes`.
  Segment(int descriptor, std::uint64_t bytes, Access access);
  Segment(Segment&& other) noexcept;
  Segment& operator=(Segment&& other) noexcept;
  ~Segment();

  std::size_t size() const noexcept { return size_; }
  // May be written only if mapped so.
  std::byte* data() const noexcept { return data_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

class SlotAllocator {
 public:
  explicit SlotAllocator(std::uint64_t bytes) : bytes_(bytes) {}

  bool has_room(std::uint64_t bytes) const noexcept { return find(bytes).is_room; }
  // Where so many bytes fit; there is room for them.
  std::uint64_t take(std::uint64_t bytes);
  void release(std::uint64_t offset);

 private:
  struct Slot {
    std::uint64_t offset;
    std::uint64_t bytes;
  };
  struct Gap {
    bool is_room;
    std::uint64_t offset;
    // The slots before it.
    std::size_t before;
  };
  Gap find(std::uint64_t bytes) const noexcept;

  std::uint64_t bytes_;
  // In use, by offset.
  std::vector<Slot> slots_;
};

}  // namespace modular_runtime
