// Where a stage's results go, whatever the form of its handler.
//
//   event as it came ──▶ a bit of the selection ─┐
//   other event ───────▶ a row of the builder ───┼──▶ outlet (the runtime, or a test)
//   batch ──────────────▶ held until the handler ─┘
//                         has returned
//
// Guarantees: results go on in the order of emission; a handler that throws has emitted nothing. As long as
// every event goes on as it came, in its order, and the columns are the same on both sides, the answer is a
// selection. Refuses: batches from the handler of a single event. Neighbours: `stage.hpp` drives it,
// `src/connection` and `testing.hpp` are outlets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "builder.hpp"
#include "failure.hpp"

namespace modular_runtime {

// Takes what an emitter has gathered.
class Outlet {
 public:
  virtual ~Outlet() = default;
  // Which rows are too large to travel even alone.
  virtual std::vector<std::uint32_t> oversized(const Batch& batch) = 0;
  virtual void send(const Batch& batch) = 0;
  // Stands for the kept rows of the input batch.
  virtual void send(const Batch& input, const Selection& kept) = 0;
};

class Emitter {
 public:
  Emitter(std::shared_ptr<const Schema> input, std::shared_ptr<const Schema> output, Outlet& outlet);
  Emitter(const Emitter&) = delete;
  Emitter& operator=(const Emitter&) = delete;
  virtual ~Emitter() = default;

  // Hands an event on; false if nothing is wanted any more. Throws `ColumnError` or `EncodingError` if the
  // output cannot take it.
  bool emit(const Event& event) {
    if (is_selecting_ && event.batch() == input_ && event.row() == row_ && event.changes().empty() &&
        emitted_ == 0) [[likely]] {
      selection_.words()[row_ / 64] |= std::uint64_t{1} << (row_ % 64);
      emitted_ = 1;
      return true;
    }
    return emit_row(event);
  }
  // Hands a batch on, as it is. Not from the handler of a single event.
  virtual bool emit(const Batch& batch);
  // Names an event that failed, such as one line of a block of text; the handler goes on with the others. The
  // handler of a single event need not name its row.
  void fail(Failure failure);
  // Sends what is held, in a source that is about to wait.
  virtual void flush();
  // Whether a source should come to its end.
  virtual bool stopped() const noexcept { return false; }

  // What follows is for the forms of handlers, and not for what they call.

  void begin(const Batch& input);
  void begin_row(std::size_t row) noexcept {
    row_ = row;
    emitted_ = 0;
    mark_ = origins_.size();
  }
  // The row's handler has returned.
  void end_row() {
    filtered_ += emitted_ == 0 ? 1 : 0;
    if (!is_selecting_) [[unlikely]]
      flush_if_full();
  }
  // The row's handler has thrown what is being handled.
  void fail_row();
  // As the above, of a filter, which has emitted nothing.
  void fail_row(std::size_t row);
  // The batch's handler has thrown what is being handled.
  void fail_batch();
  // The answer to the whole batch; of the rows that are not kept, so many failed.
  void select(const Selection& kept, std::size_t failed = 0);
  // Sends what the batch has caused.
  void end();

  std::uint32_t filtered() const noexcept { return filtered_; }
  // What failed in the batch; equal words are one failure of several rows.
  std::vector<Failure> failures() const;
  // Rows of a batch in `finish`.
  void rows_max(std::size_t rows) noexcept { rows_max_ = rows; }

 protected:
  virtual bool emit_row(const Event& event);
  void flush_if_full() {
    if (is_full()) flush_builder();
  }
  bool is_full() const noexcept { return origins_.size() >= rows_max_ || builder_.bytes() >= bytes_max_; }
  void flush_builder();

  std::shared_ptr<const Schema> output_;
  Outlet& outlet_;
  BatchBuilder builder_;
  // For each of the builder's rows the input row that caused it, if its handler gets single events.
  std::vector<std::uint32_t> origins_;
  std::size_t rows_max_ = 32768;
  std::size_t bytes_max_ = 2 << 20;

 private:
  static constexpr std::size_t no_row = static_cast<std::size_t>(-1);

  bool is_input(const Batch& batch) const noexcept;
  void stop_selecting();
  void drop_oversized(const Batch& batch, std::span<const std::uint32_t> rows);
  void hold_rows();
  bool holds_oversized();
  void fail_oversized();
  void send_held();

  bool is_same_schema_;
  bool is_selecting_ = false;
  const Batch* input_ = nullptr;
  std::size_t row_ = no_row;
  std::size_t emitted_ = 0;
  std::size_t mark_ = 0;
  std::uint32_t filtered_ = 0;
  Selection selection_{0};
  std::vector<Batch> held_;
  std::vector<Failure> failures_;
};

}  // namespace modular_runtime
