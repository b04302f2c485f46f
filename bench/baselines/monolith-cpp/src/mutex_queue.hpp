// A bounded queue under one mutex, with a condition variable for each side: the classic.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "meter.hpp"

namespace monolith {

template <class T>
class MutexQueue {
 public:
  struct Shape {
    std::size_t capacity;
    std::size_t producers;
    std::size_t consumers;
  };

  explicit MutexQueue(Shape shape) : capacity_(shape.capacity), producers_(shape.producers) {}

  // Waits for room.
  void push(T item, Meter& meter) {
    const auto span = meter.span(Activity::push);
    {
      std::unique_lock lock(mutex_);
      const auto has_room = [this] { return items_.size() < capacity_; };
      if (!has_room()) {
        const auto blocked = meter.blocked_span(Activity::push_blocked);
        not_full_.wait(lock, has_room);
      }
      items_.push_back(std::move(item));
    }
    not_empty_.notify_one();
  }

  // Waits for an item; nothing once every producer has closed and the queue is drained.
  std::optional<T> pop(Meter& meter) {
    const auto span = meter.span(Activity::pop);
    std::optional<T> item;
    {
      std::unique_lock lock(mutex_);
      const auto is_ready = [this] { return !items_.empty() || producers_ == 0; };
      if (!is_ready()) {
        const auto blocked = meter.blocked_span(Activity::pop_blocked);
        not_empty_.wait(lock, is_ready);
      }
      if (items_.empty()) return std::nullopt;
      item = std::move(items_.front());
      items_.pop_front();
    }
    not_full_.notify_one();
    return item;
  }

  // Called once by each producer.
  void close(Meter&) {
    const std::lock_guard lock(mutex_);
    if (--producers_ == 0) not_empty_.notify_all();
  }

 private:
  const std::size_t capacity_;
  std::size_t producers_;
  std::mutex mutex_;
  std::condition_variable not_full_;
  std::condition_variable not_empty_;
  std::deque<T> items_;
};

}  // namespace monolith
