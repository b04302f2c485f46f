#include "segment.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "table.hpp"

namespace modular_runtime {

namespace {

constexpr std::uint64_t slot_alignment = 64;

}  // namespace

Segment::Segment(int descriptor, std::uint64_t bytes, Access access)
    : size_(static_cast<std::size_t>(bytes)) {
  if (bytes == 0) return;
  struct stat status;
  if (::fstat(descriptor, &status) != 0) {
    throw std::system_error(errno, std::generic_category(), "cannot look at a segment");
  }
  if (status.st_size < 0 || static_cast<std::uint64_t>(status.st_size) < bytes) {
    throw FormatError("a segment has " + std::to_string(status.st_size) + " bytes, not " +
                      std::to_string(bytes));
  }
  const int protection = access == Access::read ? PROT_READ : PROT_READ | PROT_WRITE;
  void* const at = ::mmap(nullptr, size_, protection, MAP_SHARED, descriptor, 0);
  if (at == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "cannot map a segment");
  data_ = static_cast<std::byte*>(at);
}

Segment::Segment(Segment&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Segment& Segment::operator=(Segment&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Segment::~Segment() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

SlotAllocator::Gap SlotAllocator::find(std::uint64_t bytes) const noexcept {
  std::uint64_t offset = 0;
  std::size_t before = 0;
  for (; before < slots_.size() && slots_[before].offset < offset + bytes; ++before) {
    offset = (slots_[before].offset + slots_[before].bytes + slot_alignment - 1) & ~(slot_alignment - 1);
  }
  return {offset <= bytes_ && bytes <= bytes_ - offset, offset, before};
}

std::uint64_t SlotAllocator::take(std::uint64_t bytes) {
  const Gap gap = find(bytes);
  slots_.insert(slots_.begin() + static_cast<std::ptrdiff_t>(gap.before), {gap.offset, bytes});
  return gap.offset;
}

void SlotAllocator::release(std::uint64_t offset) {
  const auto slot = std::lower_bound(slots_.begin(), slots_.end(), offset,
                                     [](const Slot& one, std::uint64_t at) { return one.offset < at; });
  if (slot != slots_.end() && slot->offset == offset) slots_.erase(slot);
}

}  // namespace modular_runtime
