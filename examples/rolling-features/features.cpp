// Adds numbers about the last values of each user to its events, one event at a time.
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <modular_runtime/run.hpp>
#include <stdexcept>
#include <string>
#include <unordered_map>

using namespace modular_runtime;

namespace {

constexpr std::int64_t kScale = 1000;
constexpr std::int64_t kFactor = 1'000'003;
constexpr std::int64_t kModulus = (std::int64_t{1} << 31) - 1;
constexpr std::int64_t kValueMax = 1'000'000'000;

// Divides by a positive number and rounds down.
std::int64_t floor_divide(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

class Features {
 public:
  explicit Features(const Opening& opening)
      : by_(opening.config.string("by")),
        value_(opening.config.string("value")),
        last_(static_cast<std::size_t>(opening.config.int64("last"))) {}

  void process(Event event, Emitter& out) {
    const std::int64_t value = *event.int64(value_);
    if (std::abs(value) > kValueMax) throw std::overflow_error("`" + value_ + "` is beyond 1000000000");
    std::deque<std::int64_t>& window = windows_[std::string(*event.string(by_))];
    if (window.size() == last_) window.pop_front();
    window.push_back(value);

    const auto count = static_cast<std::int64_t>(window.size());
    std::int64_t sum = 0;
    for (const std::int64_t each : window) sum += each;
    const std::int64_t mean = floor_divide(kScale * sum, count);
    std::int64_t distances = 0;
    for (const std::int64_t each : window) distances += std::abs(kScale * each - mean);
    const std::int64_t deviation = distances / count;
    std::int64_t score = 0;
    std::int64_t digest = 0;
    if (deviation > 0) {
      for (const std::int64_t each : window) {
        score = floor_divide(kScale * (kScale * each - mean), deviation);
        digest = (kFactor * digest + score) % kModulus;
        if (digest < 0) digest += kModulus;
      }
    }
    event.set("count", count);
    event.set("mean", mean);
    event.set("deviation", deviation);
    event.set("score", score);
    event.set("digest", digest);
    out.emit(event);
  }

 private:
  std::string by_;
  std::string value_;
  std::size_t last_;
  std::unordered_map<std::string, std::deque<std::int64_t>> windows_;
};

}  // namespace

int main() { return run(transform<Features>()); }
