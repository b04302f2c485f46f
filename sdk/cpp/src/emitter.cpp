#include "modular_runtime/emitter.hpp"

#include <algorithm>
#include <bit>
#include <numeric>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>

#include "table.hpp"

namespace modular_runtime {

Emitter::Emitter(std::shared_ptr<const Schema> input, std::shared_ptr<const Schema> output, Outlet& outlet)
    : output_(std::move(output)),
      outlet_(outlet),
      builder_(output_),
      is_same_schema_(input != nullptr && *input == *output_) {}

void Emitter::begin(const Batch& input) {
  input_ = &input;
  is_selecting_ = is_same_schema_;
  if (is_selecting_) selection_.reset(input.rows());
  row_ = no_row;
  filtered_ = 0;
  failures_.clear();
}

bool Emitter::emit_row(const Event& event) {
  if (is_selecting_) stop_selecting();
  builder_.append(event);
  origins_.push_back(static_cast<std::uint32_t>(row_));
  ++emitted_;
  if (input_ == nullptr) flush_if_full();
  return true;
}

bool Emitter::emit(const Batch& batch) {
  if (row_ != no_row) throw std::logic_error("the handler of a single event emits events, not batches");
  hold_rows();
  held_.push_back(conform(batch, output_));
  if (input_ == nullptr) send_held();
  return true;
}

void Emitter::fail(Failure failure) {
  if (row_ != no_row) {
    failure.rows = {static_cast<std::uint32_t>(row_)};
    ++emitted_;
  }
  failures_.push_back(std::move(failure));
}

void Emitter::flush() {}

void Emitter::fail_row(std::size_t row) {
  Failure failure = current_failure();
  failure.rows = {static_cast<std::uint32_t>(row)};
  failures_.push_back(std::move(failure));
}

void Emitter::fail_row() {
  fail_row(row_);
  if (is_selecting_) {
    selection_.words()[row_ / 64] &= ~(std::uint64_t{1} << (row_ % 64));
  } else {
    builder_.truncate(mark_);
    origins_.resize(mark_);
  }
}

void Emitter::fail_batch() {
  failures_.clear();
  Failure failure = current_failure();
  failure.rows.resize(input_->rows());
  std::iota(failure.rows.begin(), failure.rows.end(), 0);
  if (!failure.rows.empty()) failures_.push_back(std::move(failure));
  held_.clear();
  builder_.truncate(0);
  origins_.clear();
  if (is_selecting_) selection_.reset(input_->rows());
  filtered_ = 0;
}

void Emitter::select(const Selection& kept, std::size_t failed) {
  if (!is_selecting_ || !held_.empty()) {
    emit(input_->take(kept));
  } else if (kept.rows() != input_->rows()) {
    throw std::invalid_argument("the selection is of a batch with another number of rows");
  } else {
    selection_ = kept;
  }
  filtered_ += static_cast<std::uint32_t>(kept.rows() - kept.count() - failed);
}

void Emitter::end() {
  if (input_ == nullptr) return flush_builder();
  if (row_ != no_row) {
    if (is_selecting_) {
      if (selection_.count() != 0) outlet_.send(*input_, selection_);
    } else {
      flush_builder();
    }
  } else if (is_selecting_ && selection_.count() != 0) {
    outlet_.send(*input_, selection_);
  } else {
    hold_rows();
    if (is_same_schema_ && held_.size() == 1 && input_->rows() != 0 && is_input(held_.front())) {
      outlet_.send(*input_, Selection(input_->rows(), [](std::size_t) { return true; }));
      held_.clear();
    } else if (holds_oversized()) {
      fail_oversized();
    } else {
      send_held();
    }
  }
  row_ = no_row;
  input_ = nullptr;
  is_selecting_ = false;
}

void Emitter::flush_builder() {
  if (builder_.rows() == 0) return;
  const Batch batch = builder_.view();
  const std::vector<std::uint32_t> oversized = outlet_.oversized(batch);
  if (oversized.empty()) {
    outlet_.send(batch);
  } else if (row_ == no_row) {
    throw Fatal(
        "an event does not fit into the stage's segment; a larger one is set in the pipeline's `limits`");
  } else {
    drop_oversized(batch, oversized);
  }
  builder_.truncate(0);
  origins_.clear();
  mark_ = 0;
}

void Emitter::drop_oversized(const Batch& batch, std::span<const std::uint32_t> rows) {
  Selection fitting(batch.rows(), [](std::size_t) { return true; });
  for (const std::uint32_t row : rows) {
    fitting.words()[row / 64] &= ~(std::uint64_t{1} << (row % 64));
    Failure failure;
    failure.code = "EventTooLarge";
    failure.message = "the event does not fit into the stage's segment";
    failure.rows = {origins_[row]};
    // Several results of one event are one failure.
    if (failures_.empty() || failures_.back().code != failure.code || failures_.back().rows != failure.rows) {
      failures_.push_back(std::move(failure));
    }
  }
  const Batch rest = batch.take(fitting);
  if (rest.rows() != 0) outlet_.send(rest);
}

// A batch handler's results are too large. Where they are one row for each row of the input, that row has
// failed.
void Emitter::fail_oversized() {
  if (held_.size() == 1 && held_.front().rows() == input_->rows()) {
    origins_.resize(input_->rows());
    std::iota(origins_.begin(), origins_.end(), 0);
    const Batch batch = std::move(held_.front());
    drop_oversized(batch, outlet_.oversized(batch));
    held_.clear();
    origins_.clear();
    return;
  }
  try {
    throw std::length_error("an event that the batch became does not fit into the stage's segment");
  } catch (const std::length_error&) {
    fail_batch();
  }
}

// Events that were emitted before a batch go on before it.
void Emitter::hold_rows() {
  if (builder_.rows() == 0) return;
  held_.push_back(builder_.finish());
  origins_.clear();
}

bool Emitter::holds_oversized() {
  return std::any_of(held_.begin(), held_.end(),
                     [&](const Batch& batch) { return !outlet_.oversized(batch).empty(); });
}

void Emitter::send_held() {
  if (input_ == nullptr && holds_oversized()) {
    throw Fatal(
        "an event does not fit into the stage's segment; a larger one is set in the pipeline's `limits`");
  }
  for (const Batch& batch : held_) {
    if (batch.rows() != 0) outlet_.send(batch);
  }
  held_.clear();
}

// From here on, rows are built; those kept so far first.
void Emitter::stop_selecting() {
  is_selecting_ = false;
  for (std::size_t word = 0; word < selection_.words().size(); ++word) {
    for (std::uint64_t bits = selection_.words()[word]; bits != 0; bits &= bits - 1) {
      origins_.push_back(
          static_cast<std::uint32_t>(64 * word + static_cast<std::size_t>(std::countr_zero(bits))));
    }
  }
  builder_.append(*input_, origins_);
  mark_ =
      static_cast<std::size_t>(std::lower_bound(origins_.begin(), origins_.end(), row_) - origins_.begin());
}

bool Emitter::is_input(const Batch& batch) const noexcept {
  if (batch.rows() != input_->rows() || batch.owner() != input_->owner()) return false;
  for (std::size_t i = 0; i < batch.columns().size(); ++i) {
    const Column& ours = batch.columns()[i];
    const Column& theirs = input_->columns()[i];
    if (ours.values != theirs.values || ours.offsets != theirs.offsets || ours.bytes != theirs.bytes ||
        ours.validity != theirs.validity) {
      return false;
    }
  }
  return true;
}

std::vector<Failure> Emitter::failures() const {
  std::vector<Failure> grouped;
  std::unordered_map<std::string, std::size_t> places;
  for (const Failure& failure : failures_) {
    const bool is_line = failure.text_length != 0 || failure.text_offset != 0 || !failure.event.empty();
    const std::string words = failure.code + '\0' + failure.message + '\0' + failure.detail;
    const auto [place, is_new] =
        is_line ? std::pair(places.end(), true) : places.emplace(words, grouped.size());
    if (is_new) {
      grouped.push_back(failure);
    } else {
      std::vector<std::uint32_t>& rows = grouped[place->second].rows;
      rows.insert(rows.end(), failure.rows.begin(), failure.rows.end());
    }
  }
  return grouped;
}

}  // namespace modular_runtime
