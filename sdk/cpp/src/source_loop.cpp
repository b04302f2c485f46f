#include "source_loop.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <limits>
#include <mutex>
#include <numeric>
#include <thread>
#include <variant>
#include <vector>

#include "raw.hpp"

namespace modular_runtime {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t rows_least = 64;
constexpr std::size_t rows_most = 32768;
constexpr std::chrono::microseconds tick_most(5000);
constexpr std::chrono::microseconds tick_least(200);

class SourceLoop final : public Emitter {
 public:
  SourceLoop(Connection& connection, OpenSource& source, const std::shared_ptr<const Schema>& output,
             const BatchPolicy& policy)
      : Emitter(nullptr, output, connection),
        connection_(connection),
        source_(source),
        policy_(policy),
        is_raw_(is_raw(*output)),
        linger_(policy.rows == 0 ? tick_most : std::chrono::microseconds(policy.linger_us)) {
    rows_max(policy.rows == 0 ? rows_least : policy.rows);
    if (policy.rows != 0) bytes_max_ = std::numeric_limits<std::size_t>::max();
  }

  void run() {
    std::unique_lock lock(mutex_);
    std::thread watcher([this] { watch(); });
    // Whatever ends the loop, the watcher ends first.
    struct Join {
      ~Join() {
        if (!lock.owns_lock()) lock.lock();
        loop.is_over_ = true;
        loop.tick_.notify_all();
        lock.unlock();
        watcher.join();
      }
      SourceLoop& loop;
      std::unique_lock<std::mutex>& lock;
      std::thread& watcher;
    } join{*this, lock, watcher};
    lock_ = &lock;
    connection_.ledger().enter(Activity::process);
    while (goes_on() && ask()) {
    }
    finish();
  }

  // Of user code that emits by itself, without the lock.
  using Emitter::emit;
  bool emit(const Batch& batch) override {
    const std::lock_guard held(*lock_);
    return goes_on() && take(batch);
  }
  void flush() override {
    const std::lock_guard held(*lock_);
    send_rows();
    connection_.flush();
  }
  bool stopped() const noexcept override { return is_stopping_; }

 protected:
  bool emit_row(const Event& event) override {
    const std::lock_guard held(*lock_);
    return goes_on() && take(event);
  }

 private:
  // Asks the source for one thing, without the lock; false if there is no more.
  bool ask() {
    OpenSource::Next next;
    is_asking_ = true;
    lock_->unlock();
    try {
      next = source_.next(*this);
    } catch (...) {
      lock_->lock();
      throw;
    }
    lock_->lock();
    is_asking_ = false;
    if (const auto* event = std::get_if<Event>(&next)) return take(*event);
    if (const auto* batch = std::get_if<Batch>(&next)) return take(*batch);
    return false;
  }

  // What the source has given, even if it is to stop: its position is behind it already.
  bool take(const Event& event) {
    if (is_done_) return false;
    ++taken_;
    builder_.append(event);
    origins_.push_back(0);
    if (is_raw_) lines_ += lines_of(event);
    if (is_full() || lines_ >= rows_max_) send_rows();
    return true;
  }

  bool take(const Batch& batch) {
    if (is_done_) return false;
    ++taken_;
    if (is_raw_ || policy_.rows == 0) {
      send_rows();
      Emitter::emit(batch);
      sent();
      return true;
    }
    for (std::size_t at = 0; at < batch.rows();) {
      std::vector<std::uint32_t> rows(std::min(batch.rows() - at, rows_max_ - origins_.size()));
      std::iota(rows.begin(), rows.end(), static_cast<std::uint32_t>(at));
      builder_.append(batch, rows);
      origins_.resize(origins_.size() + rows.size());
      at += rows.size();
      if (is_full()) send_rows();
    }
    return true;
  }

  static std::size_t lines_of(const Event& event) {
    const auto text = event.binary("text");
    return text ? lines_in({reinterpret_cast<const char*>(text->data()), text->size()}) : 0;
  }

  // Sends what is in the builder.
  void send_rows() {
    if (builder_.rows() == 0) return;
    if (policy_.rows == 0) adapt();
    flush_builder();
    sent();
  }

  void adapt() {
    receive();
    rows_max_ =
        connection_.is_idle() ? std::max(rows_max_ / 2, rows_least) : std::min(rows_max_ * 2, rows_most);
  }

  void sent() {
    ++batches_;
    lines_ = 0;
    if (connection_.flush_if_due()) receive();
  }

  // Reads what is there. Credit is applied by the connection.
  void receive() {
    const Activity before = connection_.ledger().enter(Activity::receive);
    while (const auto incoming = connection_.next(Connection::Wait::no)) note(*incoming);
    connection_.ledger().enter(before);
  }

  void note(const Connection::Incoming& incoming) {
    if (std::holds_alternative<message::End>(incoming.message)) {
      is_stopping_ = true;
    } else if (const auto* barrier = std::get_if<message::Barrier>(&incoming.message)) {
      barriers_.push_back(barrier->epoch);
    } else {
      throw FormatError("a source gets no such message");
    }
  }

  void answer_barriers() {
    for (; !barriers_.empty(); barriers_.pop_front()) {
      send_rows();
      connection_.send_state(barriers_.front(), source_.snapshot());
      connection_.flush();
    }
  }

  // Between two events: answers barriers, and waits until there is credit for the batch that the next one
  // begins, so that the source's position is that of what was sent. False if nothing more is wanted.
  bool goes_on() {
    while (!is_done_) {
      if (connection_.ledger().is_due()) report();
      answer_barriers();
      if (is_stopping_) return false;
      if (builder_.rows() != 0 || connection_.has_credit()) return true;
      if (const auto incoming = connection_.next_or_credit()) note(*incoming);
    }
    return false;
  }

  // Not while the source is inside `next`.
  void report() {
    progress_ = source_.progress();
    connection_.send_activity(progress_);
  }

  void finish() {
    if (is_done_) return;
    receive();
    // The watcher finishes a source that is inside `next`, whose state nobody may look at.
    if (!is_asking_) answer_barriers();
    flush_builder();
    connection_.send_activity(is_asking_ ? progress_ : source_.progress());
    connection_.send_message(message::done({}));
    connection_.flush();
    is_done_ = true;
  }

  void watch() {
    const auto tick = std::clamp(linger_.count() == 0 ? tick_most : linger_ / 2, tick_least, tick_most);
    std::uint64_t taken_before = 0;
    std::uint64_t batches_before = 0;
    bool was_asking = false;
    Clock::time_point waiting_since = Clock::now();
    std::unique_lock lock(mutex_);
    while (!tick_.wait_for(lock, tick, [this] { return is_over_; })) {
      const Clock::time_point now = Clock::now();
      if (builder_.rows() == 0 || batches_ != batches_before) waiting_since = now;
      const bool is_stuck = is_asking_ && was_asking && taken_ == taken_before;
      try {
        look(is_stuck, now - waiting_since);
      } catch (...) {
        leave();
      }
      taken_before = taken_;
      batches_before = batches_;
      was_asking = is_asking_;
    }
  }

  void look(bool is_stuck, Clock::duration waited) {
    receive();
    if (is_stuck && is_stopping_ && !is_done_ && barriers_.empty()) {
      finish();
    } else if (!is_done_ && builder_.rows() != 0 && (policy_.rows == 0 || policy_.linger_us != 0) &&
               waited + tick_least >= linger_ && connection_.has_credit(builder_.bytes())) {
      send_rows();
    }
    connection_.flush();
    if (!is_done_ && connection_.ledger().is_due()) connection_.send_activity(progress_);
  }

  // The socket is at its end or the watcher cannot go on, while user code may be waiting for ever.
  [[noreturn]] void leave() {
    int code = 1;
    try {
      throw;
    } catch (const Closed&) {
      code = is_done_ ? 0 : 1;
    } catch (...) {
      try {
        connection_.send_failure(current_failure());
        connection_.flush();
      } catch (...) {
        // The runtime is gone; the exit code is all that is left to say it with.
      }
    }
    std::fflush(nullptr);
    ::_exit(code);
  }

  Connection& connection_;
  OpenSource& source_;
  BatchPolicy policy_;
  // Whether the policy's rows are lines of text, of which a row may hold many.
  bool is_raw_;
  std::size_t lines_ = 0;
  std::chrono::microseconds linger_;

  std::mutex mutex_;
  std::condition_variable tick_;
  // The user's thread's hold on the mutex.
  std::unique_lock<std::mutex>* lock_ = nullptr;
  bool is_over_ = false;
  bool is_asking_ = false;
  std::atomic<bool> is_stopping_ = false;
  bool is_done_ = false;
  std::uint64_t taken_ = 0;
  std::uint64_t batches_ = 0;
  std::deque<std::uint64_t> barriers_;
  // As the source has said it last.
  Progress progress_;
};

}  // namespace

void run_source(Connection& connection, OpenSource& source, const std::shared_ptr<const Schema>& output,
                const BatchPolicy& policy) {
  SourceLoop(connection, source, output, policy).run();
}

}  // namespace modular_runtime
