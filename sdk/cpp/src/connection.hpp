// One side of the protocol: the socket, both segments, the windows.
//
//   next() ◀── reader ◀── socket          credit that arrives is applied at once,
//   send() ──▶ slot or inline ──▶ writer    whoever is reading and for whatever reason
//
// Guarantees: batches are numbered; none is sent beyond the window; waiting for credit goes on reading, and
// what arrives meanwhile is handed out later, in order; what was gathered is written before anything is
// waited for. Refuses: frames that break the protocol, as `FormatError`. Neighbours: `frame`, `message`,
// `segment` and `table` do the parts; `run` and `source_loop` decide.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "activity.hpp"
#include "frame.hpp"
#include "message.hpp"
#include "modular_runtime/emitter.hpp"
#include "segment.hpp"
#include "table.hpp"

namespace modular_runtime {

// Inherited descriptors, as `MODRUN_STAGE` names them.
struct Descriptors {
  int socket;
  int input;
  int output;
};

// `socket=N,input=N,output=N`, or nothing if the text is something else.
std::optional<Descriptors> parse_descriptors(std::string_view text);

class Connection final : public Outlet {
 public:
  // A message that is not credit; its payload is valid until the next `next`.
  struct Incoming {
    message::ToStage message;
    std::span<const std::byte> payload;
  };
  enum class Wait { yes, no };

  explicit Connection(const Descriptors& descriptors);

  // The first message, with the state that follows it. Maps the segments. Throws `Closed` if nothing comes.
  message::Open open(std::optional<std::string>& state);
  // What results look like; before the first of them.
  void output(std::shared_ptr<const Schema> schema) { output_ = std::move(schema); }

  // The next message. Nothing if there is none yet, without waiting. Throws `Closed` at the end of the
  // socket.
  std::optional<Incoming> next(Wait wait);
  // The next message, or nothing once some credit has come. Waits for either.
  std::optional<Incoming> next_or_credit();
  // Where the rows of an incoming batch lie; checks its number and place.
  std::span<const std::byte> payload(const message::Batch& batch, std::span<const std::byte> inline_payload);

  // The batch that results are caused by from now on; `message::no_input`: none is.
  void cause(std::uint64_t input) noexcept { cause_ = input; }
  std::vector<std::uint32_t> oversized(const Batch& batch) override;
  void send(const Batch& batch) override;
  void send(const Batch& input, const Selection& kept) override;

  void send_credit(const message::Credit& credit);
  void send_failure(const Failure& failure);
  void send_state(std::uint64_t epoch, std::string_view state);
  void send_message(std::string_view bytes);
  void send_activity(const Progress& progress = {});
  // Writes what was gathered.
  void flush();
  // The same if the first of it has waited long enough. Called between batches; true if it was.
  bool flush_if_due();

  // Whether every batch sent so far has its credit.
  bool is_idle() const noexcept { return sent_.empty(); }
  // Whether a batch of so many bytes need not wait.
  bool has_credit(std::uint64_t bytes) const noexcept;
  // Whether another batch like the last one need not.
  bool has_credit() const noexcept { return has_credit(last_bytes_); }
  // The account of time begins.
  void begin() { ledger_ = Ledger(limits_.unmeasured); }
  Ledger& ledger() noexcept { return ledger_; }

 private:
  struct Sent {
    std::uint64_t seq;
    std::uint64_t offset;
    std::uint32_t bytes;
  };
  struct Pending {
    message::ToStage message;
    std::vector<std::byte> payload;
  };

  std::size_t payload_max(const message::ToStage& message) const noexcept;
  bool read(Incoming& incoming, Wait wait, Activity waiting);
  void release(const message::Credit& credit);
  std::uint64_t largest() const noexcept;
  void send_rows(const Batch& batch, Rows rows);
  // Room for a payload, in the segment or behind its message.
  std::byte* place(std::uint64_t bytes, std::uint32_t rows, message::Form form);
  void wait_for_credit();

  int socket_;
  Descriptors descriptors_;
  FrameReader reader_;
  FrameWriter writer_;
  Ledger ledger_;
  message::Open limits_;
  std::shared_ptr<const Schema> output_;
  Segment input_segment_;
  Segment output_segment_;
  SlotAllocator slots_{0};
  // Inline payloads, where columns find the alignment that they need.
  std::vector<std::uint64_t> aligned_;
  std::uint64_t cause_ = message::no_input;
  std::uint64_t received_ = 0;
  std::uint64_t next_seq_ = 0;
  // Without credit yet, and their bytes.
  std::vector<Sent> sent_;
  std::uint64_t sent_bytes_ = 0;
  std::uint64_t last_bytes_ = 0;
  // What was read while waiting for credit; the one handed out last stays in `current_`.
  std::deque<Pending> pending_;
  Pending current_;
  Ledger::Clock::time_point gathering_since_;
};

}  // namespace modular_runtime
