// Which rows of a batch are kept: one bit a row. The cheapest answer of a filter, as no column is built.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>

namespace modular_runtime {

class Selection {
 public:
  // Of so many rows, none of them kept.
  explicit Selection(std::size_t rows) : rows_(rows), words_((rows + 63) / 64) {}
  // Keeps the rows for whose number `keeps` is true.
  template <class Predicate>
  Selection(std::size_t rows, Predicate keeps) : Selection(rows) {
    for (std::size_t word = 0; word < words_.size(); ++word) {
      const std::size_t first = word * 64;
      const std::size_t bits = rows - first < 64 ? rows - first : 64;
      std::uint64_t kept = 0;
      for (std::size_t bit = 0; bit < bits; ++bit) {
        kept |= static_cast<std::uint64_t>(static_cast<bool>(keeps(first + bit))) << bit;
      }
      words_[word] = kept;
    }
  }

  std::size_t rows() const noexcept { return rows_; }
  bool operator[](std::size_t row) const noexcept { return (words_[row / 64] >> (row % 64) & 1) != 0; }
  // Throws `std::out_of_range` if there is no such row.
  void keep(std::size_t row) {
    if (row >= rows_) throw std::out_of_range("a selection has no such row");
    words_[row / 64] |= std::uint64_t{1} << (row % 64);
  }
  // How many rows are kept.
  std::size_t count() const noexcept {
    std::size_t kept = 0;
    for (const std::uint64_t word : words_) kept += static_cast<std::size_t>(std::popcount(word));
    return kept;
  }

  // The bits; those behind the last row are 0.
  std::span<std::uint64_t> words() noexcept { return words_; }
  std::span<const std::uint64_t> words() const noexcept { return words_; }
  // For another batch, with no row kept.
  void reset(std::size_t rows) {
    rows_ = rows;
    words_.assign((rows + 63) / 64, 0);
  }

 private:
  std::size_t rows_;
  std::vector<std::uint64_t> words_;
};

}  // namespace modular_runtime
