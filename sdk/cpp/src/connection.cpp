#include "connection.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>
#include <utility>

namespace modular_runtime {

namespace {

constexpr std::uint64_t slot_alignment = 64;
constexpr std::chrono::microseconds gathering_max(50);
// A message of more rows could be longer than a frame's message may be.
constexpr std::size_t failed_rows_max = 100'000;
// Beside the window's batches, the runtime may send a few other messages without an answer.
constexpr std::size_t pending_messages_max = 64;

// The rows in pieces that fit, or the rows that do not even fit alone.
struct Pieces {
  std::vector<Rows> fitting;
  std::vector<std::uint32_t> oversized;
};

void split(const Batch& batch, Rows rows, std::uint64_t bytes_max, Pieces& pieces) {
  if (rows.begin == rows.end) return;
  if (table_bytes(batch, rows) <= bytes_max) {
    pieces.fitting.push_back(rows);
  } else if (rows.end - rows.begin == 1) {
    pieces.oversized.push_back(static_cast<std::uint32_t>(rows.begin));
  } else {
    const std::size_t middle = rows.begin + (rows.end - rows.begin) / 2;
    split(batch, {rows.begin, middle}, bytes_max, pieces);
    split(batch, {middle, rows.end}, bytes_max, pieces);
  }
}

}  // namespace

std::optional<Descriptors> parse_descriptors(std::string_view text) {
  const auto take = [&](std::string_view name, int& number) {
    if (!text.starts_with(name)) return false;
    text.remove_prefix(name.size());
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || number < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
  };
  Descriptors descriptors{};
  const bool is_right = take("socket=", descriptors.socket) && take(",input=", descriptors.input) &&
                        take(",output=", descriptors.output) && text.empty();
  return is_right ? std::optional(descriptors) : std::nullopt;
}

Connection::Connection(const Descriptors& descriptors)
    : socket_(descriptors.socket), descriptors_(descriptors), reader_(socket_), writer_(socket_) {}

message::Open Connection::open(std::optional<std::string>& state) {
  const auto first = next(Wait::yes);
  const auto* const open = std::get_if<message::Open>(&first->message);
  if (open == nullptr) throw FormatError("the first message is not `Open`");
  limits_ = *open;
  reader_.payload_max(static_cast<std::size_t>(limits_.inline_max));
  if (limits_.protocol != message::protocol) return limits_;
  for (std::uint32_t index = 0; index < limits_.state_chunks; ++index) {
    const auto chunk = next(Wait::yes);
    const auto* const head = std::get_if<message::State>(&chunk->message);
    if (head == nullptr || head->index != index) throw FormatError("a chunk of the state is missing");
    if (!state) state.emplace();
    state->append(reinterpret_cast<const char*>(chunk->payload.data()), chunk->payload.size());
  }
  input_segment_ = Segment(descriptors_.input, limits_.input_segment, Segment::Access::read);
  output_segment_ = Segment(descriptors_.output, limits_.output_segment, Segment::Access::write);
  slots_ = SlotAllocator(limits_.output_segment);
  return limits_;
}

std::optional<Connection::Incoming> Connection::next(Wait wait) {
  if (!pending_.empty()) {
    if (writer_.empty()) gathering_since_ = ledger_.since();
    current_ = std::move(pending_.front());
    pending_.pop_front();
    return Incoming{current_.message, current_.payload};
  }
  Incoming incoming;
  if (!read(incoming, wait, Activity::starved)) return std::nullopt;
  if (writer_.empty()) gathering_since_ = ledger_.since();
  return incoming;
}

std::optional<Connection::Incoming> Connection::next_or_credit() {
  if (!pending_.empty()) return next(Wait::no);
  const Activity before = ledger_.enter(Activity::receive);
  Incoming incoming;
  read(incoming, Wait::yes, Activity::backpressured);
  ledger_.enter(before);
  if (std::holds_alternative<message::Credit>(incoming.message)) return std::nullopt;
  return incoming;
}

// The most bytes that may follow the message.
std::size_t Connection::payload_max(const message::ToStage& message) const noexcept {
  if (std::holds_alternative<message::Batch>(message)) return static_cast<std::size_t>(limits_.inline_max);
  return std::holds_alternative<message::State>(message) ? state_payload_max : 0;
}

// Reads until there is a message other than credit, or any credit while waiting for that.
bool Connection::read(Incoming& incoming, Wait wait, Activity waiting) {
  for (;;) {
    Frame frame;
    while (reader_.buffered(frame)) {
      incoming = {message::read(frame.message), frame.payload};
      if (frame.payload.size() > payload_max(incoming.message)) {
        throw FormatError("a message has a larger payload than it may have");
      }
      const auto* const credit = std::get_if<message::Credit>(&incoming.message);
      if (credit == nullptr) return true;
      release(*credit);
      if (waiting == Activity::backpressured) return true;
    }
    FrameReader::Outcome outcome = reader_.fill(FrameReader::Wait::no);
    if (outcome == FrameReader::Outcome::nothing) {
      if (wait == Wait::no) return false;
      flush();
      ledger_.enter(waiting);
      outcome = reader_.fill(FrameReader::Wait::yes);
      ledger_.enter(Activity::receive);
    }
    if (outcome == FrameReader::Outcome::end) throw Closed("the runtime has closed its socket");
  }
}

std::span<const std::byte> Connection::payload(const message::Batch& batch,
                                               std::span<const std::byte> inline_payload) {
  if (batch.seq != received_) throw FormatError("batch " + std::to_string(batch.seq) + " is out of order");
  ++received_;
  if (batch.form != message::Form::table) throw FormatError("a stage takes tables only");
  if (batch.offset == message::inline_offset) {
    if (batch.length != inline_payload.size())
      throw FormatError("an inline payload has another length than its batch");
    aligned_.resize((inline_payload.size() + 7) / 8);
    if (!inline_payload.empty()) std::memcpy(aligned_.data(), inline_payload.data(), inline_payload.size());
    return {reinterpret_cast<const std::byte*>(aligned_.data()), inline_payload.size()};
  }
  const std::uint64_t size = input_segment_.size();
  if (!inline_payload.empty() || batch.offset % slot_alignment != 0 || batch.offset > size ||
      batch.length > size - batch.offset) {
    throw FormatError("a payload lies outside of its segment");
  }
  return {input_segment_.data() + batch.offset, batch.length};
}

void Connection::release(const message::Credit& credit) {
  const auto sent =
      std::find_if(sent_.begin(), sent_.end(), [&](const Sent& one) { return one.seq == credit.seq; });
  if (sent == sent_.end())
    throw FormatError("credit for batch " + std::to_string(credit.seq) + ", which has none to come");
  sent_bytes_ -= sent->bytes;
  if (sent->offset != message::inline_offset) slots_.release(sent->offset);
  sent_.erase(sent);
}

bool Connection::has_credit(std::uint64_t bytes) const noexcept {
  if (sent_.empty()) return true;
  if (sent_.size() >= limits_.window_batches || sent_bytes_ + bytes > limits_.window_bytes) return false;
  return bytes <= limits_.inline_max || output_segment_.size() == 0 || slots_.has_room(bytes);
}

// Takes in whatever comes until there is some credit.
void Connection::wait_for_credit() {
  const Activity before = ledger_.enter(Activity::receive);
  Incoming incoming;
  read(incoming, Wait::yes, Activity::backpressured);
  if (!std::holds_alternative<message::Credit>(incoming.message)) {
    if (pending_.size() >= limits_.window_batches + pending_messages_max) {
      throw FormatError("the runtime sends beyond its window");
    }
    pending_.push_back({incoming.message, {incoming.payload.begin(), incoming.payload.end()}});
  }
  ledger_.enter(before);
}

// The most bytes that a payload can have.
std::uint64_t Connection::largest() const noexcept {
  const std::uint64_t most = output_segment_.size() == 0
                                 ? limits_.inline_max
                                 : std::max<std::uint64_t>(output_segment_.size(), limits_.inline_max);
  return std::min<std::uint64_t>(most, 0xffff'ffff);
}

std::vector<std::uint32_t> Connection::oversized(const Batch& batch) {
  const Rows all{0, batch.rows()};
  if (table_bytes(batch, all) <= largest()) return {};
  Pieces pieces;
  split(batch, all, largest(), pieces);
  return std::move(pieces.oversized);
}

void Connection::send(const Batch& batch) {
  const Rows all{0, batch.rows()};
  if (table_bytes(batch, all) <= largest()) return send_rows(batch, all);
  Pieces pieces;
  split(batch, all, largest(), pieces);
  for (const Rows rows : pieces.fitting) send_rows(batch, rows);
}

void Connection::send_rows(const Batch& batch, Rows rows) {
  const Activity before = ledger_.enter(Activity::encode);
  const auto count = static_cast<std::uint32_t>(rows.end - rows.begin);
  write_table(batch, rows, place(table_bytes(batch, rows), count, message::Form::table));
  ledger_.enter(before);
}

void Connection::send(const Batch& input, const Selection& kept) {
  const std::size_t bytes = (input.rows() + 7) / 8;
  if (bytes > largest()) return send(input.take(kept));
  const Activity before = ledger_.enter(Activity::encode);
  const auto count = static_cast<std::uint32_t>(kept.count());
  std::memcpy(place(bytes, count, message::Form::selection), kept.words().data(), bytes);
  ledger_.enter(before);
}

std::byte* Connection::place(std::uint64_t bytes, std::uint32_t rows, message::Form form) {
  last_bytes_ = bytes;
  while (!has_credit(bytes)) wait_for_credit();
  const bool is_inline = bytes <= limits_.inline_max || output_segment_.size() == 0;
  const std::uint64_t offset = is_inline ? message::inline_offset : slots_.take(bytes);
  const auto length = static_cast<std::uint32_t>(bytes);
  sent_.push_back({next_seq_, offset, length});
  sent_bytes_ += bytes;
  std::byte* const at =
      writer_.add(message::batch({next_seq_++, offset, length, rows, form, cause_}), is_inline ? length : 0);
  return is_inline ? at : output_segment_.data() + offset;
}

void Connection::send_credit(const message::Credit& credit) { writer_.add(message::credit(credit), 0); }

void Connection::send_failure(const Failure& failure) {
  std::span<const std::uint32_t> rows = failure.rows;
  do {
    const std::size_t count = std::min(rows.size(), failed_rows_max);
    send_message(message::failed(failure, cause_, rows.first(count)));
    rows = rows.subspan(count);
  } while (!rows.empty());
}

void Connection::send_state(std::uint64_t epoch, std::string_view state) {
  std::uint32_t index = 0;
  for (; !state.empty(); ++index) {
    const std::string_view chunk = state.substr(0, state_payload_max);
    const std::string head = message::state(index);
    std::memcpy(writer_.add(std::as_bytes(std::span(head)), chunk.size()), chunk.data(), chunk.size());
    state.remove_prefix(chunk.size());
    if (writer_.is_much()) flush();
  }
  send_message(message::snapshot(epoch, index));
}

void Connection::send_activity(const Progress& progress) {
  message::Activity activity = ledger_.report();
  activity.bytes_read = progress.bytes_read;
  activity.bytes_total = progress.bytes_total;
  send_message(message::activity(activity));
}

void Connection::send_message(std::string_view bytes) {
  writer_.add(std::as_bytes(std::span(bytes)), 0);
  if (writer_.is_much()) flush();
}

void Connection::flush() {
  if (writer_.empty()) return;
  const Activity before = ledger_.enter(Activity::send);
  writer_.flush();
  ledger_.enter(before);
  gathering_since_ = ledger_.since();
}

bool Connection::flush_if_due() {
  if (writer_.empty()) return false;
  if (!writer_.is_much() && ledger_.since() - gathering_since_ < gathering_max) return false;
  flush();
  return true;
}

}  // namespace modular_runtime
