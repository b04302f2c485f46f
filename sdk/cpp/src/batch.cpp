#include "modular_runtime/batch.hpp"

#include <bit>
#include <stdexcept>

#include "modular_runtime/builder.hpp"
#include "table.hpp"

namespace modular_runtime {

Batch Batch::keep() const { return owner_ ? *this : copy_of(*this); }

Batch Batch::take(const Selection& kept) const {
  if (kept.rows() != rows_)
    throw std::invalid_argument("the selection is of a batch with another number of rows");
  std::vector<std::uint32_t> rows;
  rows.reserve(kept.count());
  for (std::size_t word = 0; word < kept.words().size(); ++word) {
    for (std::uint64_t bits = kept.words()[word]; bits != 0; bits &= bits - 1) {
      rows.push_back(
          static_cast<std::uint32_t>(64 * word + static_cast<std::size_t>(std::countr_zero(bits))));
    }
  }
  BatchBuilder builder(schema_);
  builder.append(*this, rows, ColumnBuilder::Codes::keep);
  return builder.finish();
}

}  // namespace modular_runtime
