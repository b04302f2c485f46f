#include "message.hpp"

#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "protobuf.hpp"
#include "table.hpp"
#include "text.hpp"

namespace modular_runtime::message {

namespace {

constexpr std::size_t batch_bytes = 42;
constexpr std::size_t credit_bytes = 19;

Field read_field(std::span<const std::byte> bytes) {
  std::string name;
  std::uint64_t type = 0;
  bool is_nullable = false;
  for (FieldReader fields(bytes); fields.next();) {
    switch (fields.number()) {
      case 1:
        name = fields.text();
        break;
      case 2:
        type = fields.whole();
        break;
      case 3:
        is_nullable = fields.whole() != 0;
        break;
      default:
        break;
    }
  }
  if (type < 1 || type > 6) {
    throw FormatError("column `" + name + "` has the unknown type " + std::to_string(type));
  }
  return {std::move(name), static_cast<Type>(type), is_nullable};
}

// A message that comes twice is one: its fields are added.
void read_schema(std::span<const std::byte> bytes, std::optional<Schema>& schema) {
  std::vector<Field> columns = schema ? schema->fields() : std::vector<Field>();
  for (FieldReader fields(bytes); fields.next();) {
    if (fields.number() == 1) columns.push_back(read_field(fields.bytes()));
  }
  schema = Schema(std::move(columns));
}

void read_policy(std::span<const std::byte> bytes, BatchPolicy& policy) {
  for (FieldReader fields(bytes); fields.next();) {
    if (fields.number() == 1) policy.rows = fields.whole32();
    if (fields.number() == 2) policy.linger_us = fields.whole();
  }
}

void read_open_field(const FieldReader& field, Open& open) {
  switch (field.number()) {
    case 1:
      open.protocol = field.whole32();
      break;
    case 2:
      open.generation = field.whole();
      break;
    case 3:
      open.stage = field.text();
      break;
    case 4:
      open.config = field.text();
      break;
    case 5:
      read_schema(field.bytes(), open.input);
      break;
    case 6:
      read_schema(field.bytes(), open.output);
      break;
    case 7:
      open.window_batches = field.whole32();
      break;
    case 8:
      open.window_bytes = field.whole();
      break;
    case 9:
      open.inline_max = field.whole();
      break;
    case 10:
      open.input_segment = field.whole();
      break;
    case 11:
      open.output_segment = field.whole();
      break;
    case 12:
      read_policy(field.bytes(), open.policy);
      break;
    case 13:
      open.state_chunks = field.whole32();
      break;
    case 14:
      open.replica = field.whole32();
      break;
    case 15:
      open.replicas = field.whole32();
      break;
    case 16:
      open.unmeasured = field.whole() != 0;
      break;
    default:
      break;
  }
}

Open read_open(std::span<const std::byte> bytes, Open open) {
  for (FieldReader fields(bytes); fields.next();) read_open_field(fields, open);
  return open;
}

// Reads the fixed fields of `Batch` and `Credit`: each a key of one byte and its value.
class FixedReader {
 public:
  explicit FixedReader(std::span<const std::byte> bytes) : at_(bytes.data()) {}
  template <class T>
  T take(std::uint8_t key) {
    is_right_ = is_right_ && static_cast<std::uint8_t>(*at_) == key;
    T value;
    std::memcpy(&value, at_ + 1, sizeof(T));
    at_ += 1 + sizeof(T);
    return value;
  }
  bool is_right() const { return is_right_; }

 private:
  const std::byte* at_;
  bool is_right_ = true;
};

class FixedWriter {
 public:
  explicit FixedWriter(std::byte* at) : at_(at) {}
  template <class T>
  void put(std::uint8_t key, T value) {
    *at_ = static_cast<std::byte>(key);
    std::memcpy(at_ + 1, &value, sizeof(T));
    at_ += 1 + sizeof(T);
  }

 private:
  std::byte* at_;
};

Batch read_batch(std::span<const std::byte> bytes) {
  if (bytes.size() == batch_bytes) {
    FixedReader reader(bytes);
    Batch batch{};
    batch.seq = reader.take<std::uint64_t>(0x09);
    batch.offset = reader.take<std::uint64_t>(0x11);
    batch.length = reader.take<std::uint32_t>(0x1d);
    batch.rows = reader.take<std::uint32_t>(0x25);
    batch.form = static_cast<Form>(reader.take<std::uint32_t>(0x2d));
    batch.input = reader.take<std::uint64_t>(0x31);
    if (reader.is_right()) return batch;
  }
  throw FormatError("a batch has other fields than the protocol's");
}

Credit read_credit(std::span<const std::byte> bytes) {
  if (bytes.size() == credit_bytes) {
    FixedReader reader(bytes);
    Credit credit{};
    credit.seq = reader.take<std::uint64_t>(0x09);
    credit.events = reader.take<std::uint32_t>(0x15);
    credit.filtered = reader.take<std::uint32_t>(0x1d);
    if (reader.is_right()) return credit;
  }
  throw FormatError("a credit has other fields than the protocol's");
}

std::uint64_t read_whole(std::span<const std::byte> bytes) {
  std::uint64_t value = 0;
  for (FieldReader fields(bytes); fields.next();) {
    if (fields.number() == 1) value = fields.whole();
  }
  return value;
}

std::string written_schema(const Schema& schema) {
  FieldWriter writer;
  for (const Field& field : schema.fields()) {
    FieldWriter column;
    column.text(1, field.name).whole(2, static_cast<std::uint64_t>(field.type));
    column.whole(3, field.is_nullable ? 1 : 0);
    writer.message(1, column.written());
  }
  return writer.written();
}

// That field of `FromStage`.
Bytes from_stage(std::uint32_t number, const FieldWriter& writer) {
  FieldWriter outer;
  return outer.message(number, writer.written()).written();
}

}  // namespace

ToStage read(std::span<const std::byte> bytes) {
  ToStage message;
  for (FieldReader fields(bytes); fields.next();) {
    switch (fields.number()) {
      case 1: {
        auto* const before = std::get_if<Open>(&message);
        message = read_open(fields.bytes(), before == nullptr ? Open() : std::move(*before));
        break;
      }
      case 2:
        message = read_batch(fields.bytes());
        break;
      case 3:
        message = read_credit(fields.bytes());
        break;
      case 4:
        message = State{static_cast<std::uint32_t>(read_whole(fields.bytes()))};
        break;
      case 5:
        message = Barrier{read_whole(fields.bytes())};
        break;
      case 6:
        read_whole(fields.bytes());
        message = End{};
        break;
      case 7:
        read_whole(fields.bytes());
        message = Commit{};
        break;
      default:
        break;
    }
  }
  if (std::holds_alternative<std::monostate>(message)) throw FormatError("a message is of no known kind");
  return message;
}

Bytes ready(Role role, Concurrency concurrency, const std::optional<Schema>& output) {
  FieldWriter writer;
  writer.whole(1, protocol).text(2, "cpp " MODULAR_RUNTIME_VERSION);
  writer.whole(3, static_cast<std::uint64_t>(role)).whole(4, static_cast<std::uint64_t>(concurrency));
  if (output) writer.message(5, written_schema(*output));
  return from_stage(1, writer);
}

std::array<std::byte, 44> batch(const Batch& batch) {
  std::array<std::byte, 2 + batch_bytes> bytes{std::byte{0x12}, std::byte{batch_bytes}};
  FixedWriter writer(bytes.data() + 2);
  writer.put(0x09, batch.seq);
  writer.put(0x11, batch.offset);
  writer.put(0x1d, batch.length);
  writer.put(0x25, batch.rows);
  writer.put(0x2d, static_cast<std::uint32_t>(batch.form));
  writer.put(0x31, batch.input);
  return bytes;
}

std::array<std::byte, 21> credit(const Credit& credit) {
  std::array<std::byte, 2 + credit_bytes> bytes{std::byte{0x1a}, std::byte{credit_bytes}};
  FixedWriter writer(bytes.data() + 2);
  writer.put(0x09, credit.seq);
  writer.put(0x15, credit.events);
  writer.put(0x1d, credit.filtered);
  return bytes;
}

Bytes state(std::uint32_t index) { return from_stage(4, FieldWriter().whole(1, index)); }

Bytes snapshot(std::uint64_t epoch, std::uint32_t chunks) {
  return from_stage(5, FieldWriter().whole(1, epoch).whole(2, chunks));
}

Bytes failed(const Failure& failure, std::uint64_t input, std::span<const std::uint32_t> rows) {
  FieldWriter packed;
  for (const std::uint32_t row : rows) packed.put(row);
  FieldWriter writer;
  writer.whole(1, static_cast<std::uint64_t>(failure.kind)).text(2, one_line(failure.code, code_max));
  writer.text(3, one_line(failure.message, reason_max)).text(4, tail(failure.detail, detail_max));
  if (!rows.empty()) writer.fixed64(5, input).text(6, packed.written());
  writer.whole(7, failure.text_offset).whole(8, failure.text_length).text(9, failure.event);
  return from_stage(6, writer);
}

Bytes activity(const Activity& activity) {
  FieldWriter writer;
  for (std::uint32_t i = 0; i < activity.nanoseconds.size(); ++i)
    writer.whole(i + 1, activity.nanoseconds[i]);
  writer.whole(8, activity.cpu).whole(9, activity.bytes_read).whole(10, activity.bytes_total);
  return from_stage(7, writer);
}

Bytes done(const Prepared& prepared) {
  return from_stage(8, FieldWriter().text(1, prepared.artifact).whole(2, prepared.rows));
}

Bytes committed() { return from_stage(9, FieldWriter()); }

}  // namespace modular_runtime::message
