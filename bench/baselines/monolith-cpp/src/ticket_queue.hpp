// A bounded queue without a lock, for any number of producers and consumers.
//
//   tickets  0 1 2 3 | 4 5 6 7 | ...      cell = ticket mod capacity
//   a cell's turn:  t      -> free for the producer holding ticket t
//                   t + 1  -> filled, for the consumer holding ticket t
//                   t + capacity -> free again
//
// One atomic add gives a side its next ticket; after that it touches only its own cell, and sleeps on that
// cell's word (a futex) when the turn is not there yet. The cells follow Dmitry Vyukov's bounded MPMC queue.
// Tickets wrap at 2^32, which a capacity that is a power of two divides.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "meter.hpp"

namespace monolith {

template <class T>
class TicketQueue {
 public:
  struct Shape {
    std::size_t capacity;  // rounded up to a power of two, at least 2
    std::size_t producers;
    std::size_t consumers;
  };

  explicit TicketQueue(Shape shape)
      : cells_(std::bit_ceil(std::max<std::size_t>(shape.capacity, 2))),
        consumers_(shape.consumers),
        producers_(shape.producers) {
    for (Ticket ticket = 0; ticket < cells_.size(); ++ticket) cells_[ticket].turn = ticket;
  }

  // Waits for room.
  void push(T item, Meter& meter) { put(std::move(item), meter); }

  // Waits for an item; nothing once every producer has closed and the queue is drained.
  std::optional<T> pop(Meter& meter) {
    const auto span = meter.span(Activity::pop);
    const Ticket ticket = next_pop_.fetch_add(1, std::memory_order_relaxed);
    Cell& cell = cell_of(ticket);
    await(cell, ticket + 1, Activity::pop_blocked, meter);
    std::optional<T> item = std::exchange(cell.item, std::nullopt);
    release(cell, ticket + static_cast<Ticket>(cells_.size()));
    return item;
  }

  // Called once by each producer; the last one leaves an end mark for every consumer.
  void close(Meter& meter) {
    if (producers_.fetch_sub(1) != 1) return;
    for (std::size_t i = 0; i < consumers_; ++i) put(std::nullopt, meter);
  }

 private:
  using Ticket = std::uint32_t;
  struct alignas(64) Cell {
    std::atomic<Ticket> turn;
    std::optional<T> item;
  };

  Cell& cell_of(Ticket ticket) { return cells_[ticket & (cells_.size() - 1)]; }

  void put(std::optional<T> item, Meter& meter) {
    const auto span = meter.span(Activity::push);
    const Ticket ticket = next_push_.fetch_add(1, std::memory_order_relaxed);
    Cell& cell = cell_of(ticket);
    await(cell, ticket, Activity::push_blocked, meter);
    cell.item = std::move(item);
    release(cell, ticket + 1);
  }

  static void await(Cell& cell, Ticket turn, Activity activity, Meter& meter) {
    Ticket seen = cell.turn.load(std::memory_order_acquire);
    if (seen == turn) return;
    const auto blocked = meter.blocked_span(activity);
    for (; seen != turn; seen = cell.turn.load(std::memory_order_acquire)) cell.turn.wait(seen);
  }

  static void release(Cell& cell, Ticket turn) {
    cell.turn.store(turn, std::memory_order_release);
    cell.turn.notify_all();
  }

  std::vector<Cell> cells_;
  const std::size_t consumers_;
  std::atomic<std::size_t> producers_;
  alignas(64) std::atomic<Ticket> next_push_ = 0;
  alignas(64) std::atomic<Ticket> next_pop_ = 0;
};

}  // namespace monolith
