#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>

#include "stages.hpp"

namespace conformance {

namespace {

using namespace modular_runtime;

// Counts events by their text.
class Counts {
 public:
  explicit Counts(const Opening& opening) {
    if (opening.state) restore(*opening.state);
  }

  void add(std::optional<std::string_view> key) {
    if (!key) {
      ++nulls_;
    } else if (const auto known = counts_.find(*key); known != counts_.end()) {
      ++known->second;
    } else {
      counts_.emplace(*key, 1);
    }
  }

  void finish(Emitter& out) const {
    if (nulls_ != 0) out.emit(Event{{"key", nullptr}, {"count", nulls_}});
    for (const auto& [key, count] : counts_) out.emit(Event{{"key", key}, {"count", count}});
  }

  // The count of null, then each key's count, length and bytes.
  std::string snapshot() const {
    std::string state;
    put(state, nulls_);
    for (const auto& [key, count] : counts_) {
      put(state, count);
      put(state, static_cast<std::int64_t>(key.size()));
      state += key;
    }
    return state;
  }

 private:
  static void put(std::string& state, std::int64_t number) {
    state.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  static std::int64_t take(std::string_view& state) {
    std::int64_t number;
    if (state.size() < sizeof number) throw Fatal("the state of the counts is cut off");
    std::memcpy(&number, state.data(), sizeof number);
    state.remove_prefix(sizeof number);
    return number;
  }
  void restore(std::string_view state) {
    nulls_ = take(state);
    while (!state.empty()) {
      const std::int64_t count = take(state);
      const auto length = static_cast<std::size_t>(take(state));
      counts_.emplace(state.substr(0, length), count);
      state.remove_prefix(length);
    }
  }

  std::int64_t nulls_ = 0;
  std::map<std::string, std::int64_t, std::less<>> counts_;
};

class CountEvents : public Counts {
 public:
  using Counts::Counts;
  void process(const Event& event, Emitter&) { add(event.string("s")); }
};

class CountBatches : public Counts {
 public:
  using Counts::Counts;
  void process(const Batch& batch, Emitter&) {
    const Strings keys = batch.string("s");
    const Bits valid = keys.valid();
    for (std::size_t row = 0; row < batch.rows(); ++row)
      add(valid[row] ? std::optional(keys[row]) : std::nullopt);
  }
};

// The running sum, told once a batch.
class Sum {
 public:
  explicit Sum(const Opening& opening) {
    if (opening.state) sum_ = std::stoll(*opening.state);
  }

  std::optional<Batch> process(const Batch& batch) {
    if (batch.rows() == 0) return std::nullopt;
    for (const std::int64_t n : batch.int64("n")) {
      if (__builtin_add_overflow(sum_, n, &sum_)) throw Fatal("the sum is beyond int64");
    }
    BatchBuilder out(Schema{{"sum", "int64"}});
    out.column("sum").int64(sum_);
    return out.finish();
  }
  std::string snapshot() const { return std::to_string(sum_); }

 private:
  std::int64_t sum_ = 0;
};

// Hands each batch on when the next one comes.
class Delay {
 public:
  void process(const Batch& batch, Emitter& out) {
    finish(out);
    held_ = batch.keep();
  }
  void finish(Emitter& out) {
    if (held_) out.emit(*held_);
    held_.reset();
  }

 private:
  std::optional<Batch> held_;
};

Stage count(Form form) { return form == Form::event ? transform<CountEvents>() : transform<CountBatches>(); }
Stage sum(Form) { return transform<Sum>(); }
Stage delay(Form) { return transform<Delay>(); }

}  // namespace

const Makers& stateful_stages() {
  static const Makers makers = {{"count", count}, {"sum", sum}, {"delay", delay}};
  return makers;
}

}  // namespace conformance
