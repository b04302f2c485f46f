// A batch as a payload and back.
//
//   payload: head (16 bytes) · a struct of 48 bytes for each column · buffers, each at a multiple of 8
//
// Guarantees: what was read is safe to look at: every buffer inside the payload, offsets that never fall,
// codes inside their dictionary; writing fills every byte of the payload. Reading copies nothing. Refuses:
// what breaks P4 or P5, as `FormatError`; text from the socket is not checked to be UTF-8, the runtime has.
// Neighbours: `connection` has the payloads, `batch.hpp` the columns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>

#include "modular_runtime/batch.hpp"

namespace modular_runtime {

// Bytes from the other side break the protocol.
class FormatError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Reads payloads of one schema. The batch is used again by the next read.
class TableReader {
 public:
  explicit TableReader(std::shared_ptr<const Schema> schema);

  // `payload` begins at a multiple of 8 and outlives the use of the batch.
  const Batch& read(std::span<const std::byte> payload);

 private:
  Batch batch_;
};

// Rows of a batch, from `begin` to before `end`.
struct Rows {
  std::size_t begin;
  std::size_t end;
};

// Bytes of the rows as a payload.
std::uint64_t table_bytes(const Batch& batch, Rows rows);

// Writes so many bytes at `to`, wherever that is.
void write_table(const Batch& batch, Rows rows, std::byte* to);

// The batch with the columns of `schema`, in its order. Throws `ColumnError` if a column is missing, has
// another type, or has nulls that it cannot have, and `EncodingError` if text is not UTF-8.
Batch conform(const Batch& batch, const std::shared_ptr<const Schema>& schema);

// A kept copy of the batch.
Batch copy_of(const Batch& batch);

}  // namespace modular_runtime
