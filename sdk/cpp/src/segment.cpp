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

std::optional<std::uint64_t> SlotAllocator::take(std::uint64_t bytes) {
  // Even an empty payload has an address of its own.
  bytes = std::max<std::uint64_t>(bytes, 1);
  std::uint64_t offset = 0;
  auto next = slots_.begin();
  for (; next != slots_.end() && next->offset - offset < bytes; ++next) {
    offset = (next->offset + next->bytes + slot_alignment - 1) & ~(slot_alignment - 1);
  }
  if (next == slots_.end() && (offset > bytes_ || bytes_ - offset < bytes)) return std::nullopt;
  slots_.insert(next, {offset, bytes});
  return offset;
}

void SlotAllocator::release(std::uint64_t offset) {
  const auto slot = std::lower_bound(slots_.begin(), slots_.end(), offset,
                                     [](const Slot& one, std::uint64_t at) { return one.offset < at; });
  if (slot != slots_.end() && slot->offset == offset) slots_.erase(slot);
}

}  // namespace modular_runtime
