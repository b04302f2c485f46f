// The messages of the protocol, as a stage reads and writes them.
//
// `Batch` and `Credit` are fixed bytes; the others are read field by field, in any order, unknown ones
// skipped. Refuses: bytes that are no protobuf message, or another `Batch` or `Credit` than F3 lets be, as
// `FormatError`. Neighbours: `frame` carries them, `connection` acts on them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>

#include "modular_runtime/failure.hpp"
#include "modular_runtime/schema.hpp"
#include "modular_runtime/stage.hpp"

namespace modular_runtime::message {

constexpr std::uint32_t protocol = 1;
constexpr std::uint64_t inline_offset = ~std::uint64_t{0};
constexpr std::uint64_t no_input = ~std::uint64_t{0};

enum class Form : std::uint32_t { table, selection };

struct Open {
  std::uint32_t protocol = 0;
  std::uint64_t generation = 0;
  std::string stage;
  std::string config;
  std::optional<Schema> input;
  std::optional<Schema> output;
  std::uint32_t window_batches = 0;
  std::uint64_t window_bytes = 0;
  std::uint64_t inline_max = 0;
  std::uint64_t input_segment = 0;
  std::uint64_t output_segment = 0;
  BatchPolicy policy;
  std::uint32_t state_chunks = 0;
  std::uint32_t replica = 0;
  std::uint32_t replicas = 0;
  bool unmeasured = false;
};

struct Batch {
  std::uint64_t seq;
  std::uint64_t offset;
  std::uint32_t length;
  std::uint32_t rows;
  Form form;
  std::uint64_t input;
};

struct Credit {
  std::uint64_t seq;
  std::uint32_t events = 0;
  std::uint32_t filtered = 0;
};

struct State {
  std::uint32_t index;
};
struct Barrier {
  std::uint64_t epoch;
};
struct End {};
struct Commit {};

using ToStage = std::variant<std::monostate, Open, Batch, Credit, State, Barrier, End, Commit>;

// Reads a message: any but `std::monostate`.
ToStage read(std::span<const std::byte> bytes);

struct Activity {
  // In the order of the protocol: receive, decode, process, encode, send, starved, backpressured.
  std::array<std::uint64_t, 7> nanoseconds{};
  std::uint64_t cpu = 0;
  // By a source; the total is 0 where it is not known.
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_total = 0;
};

using Bytes = std::string;
Bytes ready(Role role, Concurrency concurrency, const std::optional<Schema>& output);
std::array<std::byte, 44> batch(const Batch& batch);
std::array<std::byte, 21> credit(const Credit& credit);
Bytes state(std::uint32_t index);
Bytes snapshot(std::uint64_t epoch, std::uint32_t chunks);
// `rows` of the failure that fit into one message.
Bytes failed(const Failure& failure, std::uint64_t input, std::span<const std::uint32_t> rows);
Bytes activity(const Activity& activity);
Bytes done(const Prepared& prepared);
Bytes committed();

}  // namespace modular_runtime::message
