// Rows of the same columns that travel together.
//
// The batch that a handler gets is lent: its columns are the runtime's memory, and valid until the handler
// returns. `keep()` copies it. Columns are found by name once a batch; a span is then read without a check.
// Refuses: changing a batch. `BatchBuilder` makes a new one.
// Neighbours: `column.hpp`, `event.hpp` (one row), `builder.hpp`, `arrow.hpp`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "column.hpp"
#include "schema.hpp"
#include "selection.hpp"

struct ArrowArray;
struct ArrowSchema;

namespace modular_runtime {

class Event;

class Batch {
 public:
  // Of columns that lie in memory which `owner` keeps alive; without an owner they are lent.
  Batch(std::shared_ptr<const Schema> schema, std::size_t rows, std::vector<Column> columns,
        std::shared_ptr<const void> owner = nullptr)
      : schema_(std::move(schema)), rows_(rows), columns_(std::move(columns)), owner_(std::move(owner)) {}

  std::size_t rows() const noexcept { return rows_; }
  const Schema& schema() const noexcept { return *schema_; }
  const std::shared_ptr<const Schema>& shared_schema() const noexcept { return schema_; }
  const std::vector<Column>& columns() const noexcept { return columns_; }
  // What keeps the columns' memory; null where they are lent.
  const std::shared_ptr<const void>& owner() const noexcept { return owner_; }

  // Columns by name; each throws `ColumnError` if there is none of that name and type. Rows that are null
  // hold anything: `valid` tells.
  std::span<const std::int64_t> int64(const Name& name) const {
    return numbers<std::int64_t>(name, Type::int64);
  }
  std::span<const double> float64(const Name& name) const { return numbers<double>(name, Type::float64); }
  // Microseconds since 1970 in UTC.
  std::span<const std::int64_t> timestamp(const Name& name) const {
    return numbers<std::int64_t>(name, Type::timestamp);
  }
  Bits boolean(const Name& name) const {
    return {static_cast<const std::uint8_t*>(column(name, Type::boolean).values), rows_};
  }
  Strings string(const Name& name) const { return Strings(column(name, Type::string)); }
  Binaries binary(const Name& name) const { return Binaries(column(name, Type::binary)); }
  // Which rows of the column are not null.
  Bits valid(const Name& name) const { return {columns_[schema_->at(name)].validity, rows_}; }
  const Column& column(const Name& name) const { return columns_[schema_->at(name)]; }
  const Column& column(const Name& name, Type type) const { return columns_[schema_->at(name, type)]; }

  // One row, valid as long as the batch.
  Event event(std::size_t row) const;

  // A copy that may be held after the handler has returned; cheap if the batch is kept already.
  Batch keep() const;
  // A new batch of the kept rows. Throws `std::invalid_argument` if the selection has another number of rows.
  Batch take(const Selection& kept) const;

  // Hands the columns out as a struct array of the Arrow C data interface, without copying. The columns of a
  // lent batch are valid until the handler returns; those of a kept one until `array` is released.
  void export_to(ArrowArray* array, ArrowSchema* schema) const;
  // Takes over a struct array of the Arrow C data interface, without copying what a link can carry as it is;
  // releases both in any case. Throws `std::invalid_argument` for types that no link can carry.
  static Batch import(ArrowArray* array, ArrowSchema* schema);

 private:
  friend class TableReader;

  template <class T>
  std::span<const T> numbers(const Name& name, Type type) const {
    return {static_cast<const T*>(column(name, type).values), rows_};
  }

  std::shared_ptr<const Schema> schema_;
  std::size_t rows_;
  std::vector<Column> columns_;
  std::shared_ptr<const void> owner_;
};

}  // namespace modular_runtime
