// The sources `numbers` and `endless`: n from 0 up, and `"s" + n mod 10`.
#pragma once

#include <cstdint>
#include <limits>
#include <modular_runtime/run.hpp>
#include <optional>
#include <string>

namespace conformance {

class Numbers {
 public:
  explicit Numbers(const modular_runtime::Opening& opening)
      : count_(opening.config.int64("count", std::numeric_limits<std::int64_t>::max())) {
    if (opening.state) n_ = std::stoll(*opening.state);
  }
  std::string snapshot() const { return std::to_string(n_); }

 protected:
  bool is_more() const { return n_ < count_; }
  // The number and its text; goes on to the next.
  std::int64_t take() { return n_++; }
  static std::string text(std::int64_t n) { return "s" + std::to_string(n % 10); }

 private:
  std::int64_t count_;
  std::int64_t n_ = 0;
};

class NumberEvents : public Numbers {
 public:
  using Numbers::Numbers;
  std::optional<modular_runtime::Event> next() {
    if (!is_more()) return std::nullopt;
    const std::int64_t n = take();
    return modular_runtime::Event{{"n", n}, {"s", text(n)}};
  }
};

class NumberBatches : public Numbers {
 public:
  explicit NumberBatches(const modular_runtime::Opening& opening)
      : Numbers(opening),
        output_(opening.output),
        rows_(opening.policy.rows == 0 ? 1000 : opening.policy.rows) {}
  std::optional<modular_runtime::Batch> next() {
    modular_runtime::BatchBuilder out(output_);
    while (is_more() && out.rows() < rows_) {
      const std::int64_t n = take();
      out.column("n").int64(n);
      out.column("s").string(text(n));
    }
    return out.rows() == 0 ? std::nullopt : std::optional(out.finish());
  }

 private:
  modular_runtime::Schema output_;
  std::size_t rows_;
};

}  // namespace conformance
