#include "message.hpp"

#include <cstring>
#include <string_view>

#include "table.hpp"
#include "text.hpp"

namespace modular_runtime::message {

namespace {

enum Wire : std::uint32_t { varint = 0, fixed64 = 1, delimited = 2, fixed32 = 5 };

// Reads protobuf fields one after the other.
class Fields {
 public:
  explicit Fields(std::span<const std::byte> bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool next() {
    if (at_ == end_) return false;
    const std::uint64_t key = read_varint();
    number_ = static_cast<std::uint32_t>(key >> 3);
    wire_ = static_cast<std::uint32_t>(key & 7);
    if (number_ == 0) throw FormatError("a message has a field with the number 0");
    switch (wire_) {
      case varint:
        value_ = read_varint();
        break;
      case fixed64:
        value_ = read_fixed<std::uint64_t>();
        break;
      case fixed32:
        value_ = read_fixed<std::uint32_t>();
        break;
      case delimited:
        bytes_ = take(read_varint());
        break;
      default:
        throw FormatError("a message has a field of an unknown kind");
    }
    return true;
  }
  // The field's number if it is written as its type is, otherwise 0: such a field is skipped.
  std::uint32_t number(Wire wire) const { return wire_ == wire ? number_ : 0; }
  std::uint32_t wire() const { return wire_; }
  std::uint32_t number() const { return number_; }
  std::uint64_t whole() const { return value_; }
  std::uint32_t whole32() const { return static_cast<std::uint32_t>(value_); }
  std::span<const std::byte> bytes() const { return bytes_; }
  std::string text() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }

 private:
  std::uint64_t read_varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<std::uint64_t>(take(1)[0]);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw FormatError("a message has a number beyond 64 bits");
  }
  template <class T>
  T read_fixed() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::span<const std::byte> take(std::uint64_t length) {
    if (length > static_cast<std::uint64_t>(end_ - at_)) throw FormatError("a message ends inside a field");
    const std::byte* const from = at_;
    at_ += length;
    return {from, static_cast<std::size_t>(length)};
  }

  const std::byte* at_;
  const std::byte* end_;
  std::uint32_t number_ = 0;
  std::uint32_t wire_ = 0;
  std::uint64_t value_ = 0;
  std::span<const std::byte> bytes_;
};

Field read_field(std::span<const std::byte> bytes) {
  std::string name;
  std::uint64_t type = 0;
  bool is_nullable = false;
  for (Fields fields(bytes); fields.next();) {
    if (fields.number(delimited) == 1) name = fields.text();
    if (fields.number(varint) == 2) type = fields.whole();
    if (fields.number(varint) == 3) is_nullable = fields.whole() != 0;
  }
  if (type < 1 || type > 6)
    throw FormatError("column `" + name + "` has the unknown type " + std::to_string(type));
  return {std::move(name), static_cast<Type>(type), is_nullable};
}

Schema read_schema(std::span<const std::byte> bytes) {
  std::vector<Field> columns;
  for (Fields fields(bytes); fields.next();) {
    if (fields.number(delimited) == 1) columns.push_back(read_field(fields.bytes()));
  }
  return Schema(std::move(columns));
}

BatchPolicy read_policy(std::span<const std::byte> bytes) {
  BatchPolicy policy;
  for (Fields fields(bytes); fields.next();) {
    if (fields.number(varint) == 1) policy.rows = fields.whole32();
    if (fields.number(varint) == 2) policy.linger_us = fields.whole();
  }
  return policy;
}

Open read_open(std::span<const std::byte> bytes) {
  Open open;
  for (Fields fields(bytes); fields.next();) {
    if (fields.wire() == delimited) {
      switch (fields.number()) {
        case 3:
          open.stage = fields.text();
          break;
        case 4:
          open.config = fields.text();
          break;
        case 5:
          open.input = read_schema(fields.bytes());
          break;
        case 6:
          open.output = read_schema(fields.bytes());
          break;
        case 12:
          open.policy = read_policy(fields.bytes());
          break;
        default:
          break;
      }
    } else if (fields.wire() == varint) {
      switch (fields.number()) {
        case 1:
          open.protocol = fields.whole32();
          break;
        case 2:
          open.generation = fields.whole();
          break;
        case 7:
          open.window_batches = fields.whole32();
          break;
        case 8:
          open.window_bytes = fields.whole();
          break;
        case 9:
          open.inline_max = fields.whole();
          break;
        case 10:
          open.input_segment = fields.whole();
          break;
        case 11:
          open.output_segment = fields.whole();
          break;
        case 13:
          open.state_chunks = fields.whole32();
          break;
        case 14:
          open.replica = fields.whole32();
          break;
        case 15:
          open.replicas = fields.whole32();
          break;
        default:
          break;
      }
    }
  }
  return open;
}

// Reads and writes the fixed fields of `Batch` and `Credit`: each a key of one byte and its value.
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

constexpr std::size_t batch_bytes = 42;
constexpr std::size_t credit_bytes = 19;

Batch read_batch(std::span<const std::byte> bytes) {
  FixedReader reader(bytes);
  if (bytes.size() == batch_bytes) {
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
  FixedReader reader(bytes);
  if (bytes.size() == credit_bytes) {
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
  for (Fields fields(bytes); fields.next();) {
    if (fields.number(varint) == 1) value = fields.whole();
  }
  return value;
}

// Writes protobuf fields; those that are 0 or empty are left out.
class Writer {
 public:
  Writer& whole(std::uint32_t number, std::uint64_t value) {
    if (value == 0) return *this;
    put(number << 3 | varint);
    put(value);
    return *this;
  }
  Writer& text(std::uint32_t number, std::string_view value) {
    return value.empty() ? *this : bytes(number, value);
  }
  Writer& bytes(std::uint32_t number, std::string_view value) {
    put(number << 3 | delimited);
    put(value.size());
    bytes_ += value;
    return *this;
  }
  Writer& fixed(std::uint32_t number, std::uint64_t value) {
    put(number << 3 | fixed64);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  void put(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  // The whole message: that field of `FromStage`.
  Bytes as(std::uint32_t number) const {
    Writer outer;
    outer.bytes(number, bytes_);
    return outer.bytes_;
  }
  const std::string& written() const { return bytes_; }

 private:
  std::string bytes_;
};

std::string written_schema(const Schema& schema) {
  Writer writer;
  for (const Field& field : schema.fields()) {
    Writer column;
    column.text(1, field.name)
        .whole(2, static_cast<std::uint64_t>(field.type))
        .whole(3, field.is_nullable ? 1 : 0);
    writer.bytes(1, column.written());
  }
  return writer.written();
}

}  // namespace

ToStage read(std::span<const std::byte> bytes) {
  Fields fields(bytes);
  ToStage message;
  while (fields.next()) {
    switch (fields.number(delimited)) {
      case 1:
        message = read_open(fields.bytes());
        break;
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
        message = End{};
        break;
      case 7:
        message = Commit{};
        break;
      default:
        break;
    }
  }
  return message;
}

Bytes ready(Role role, Concurrency concurrency, const std::optional<Schema>& output) {
  Writer writer;
  writer.whole(1, protocol).text(2, "cpp " MODULAR_RUNTIME_VERSION);
  writer.whole(3, static_cast<std::uint64_t>(role)).whole(4, static_cast<std::uint64_t>(concurrency));
  if (output) writer.bytes(5, written_schema(*output));
  return writer.as(1);
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

Bytes state(std::uint32_t index) { return Writer().whole(1, index).as(4); }

Bytes snapshot(std::uint64_t epoch, std::uint32_t chunks) {
  return Writer().whole(1, epoch).whole(2, chunks).as(5);
}

Bytes failed(const Failure& failure, std::uint64_t input, std::span<const std::uint32_t> rows) {
  Writer packed;
  for (const std::uint32_t row : rows) packed.put(row);
  Writer writer;
  writer.whole(1, static_cast<std::uint64_t>(failure.kind)).text(2, one_line(failure.code, code_max));
  writer.text(3, one_line(failure.message, reason_max))
      .text(4, tail(failure.detail, detail_max))
      .fixed(5, input);
  writer.text(6, packed.written()).whole(7, failure.text_offset).whole(8, failure.text_length);
  return writer.as(6);
}

Bytes activity(const Activity& activity) {
  Writer writer;
  for (std::uint32_t i = 0; i < activity.nanoseconds.size(); ++i)
    writer.whole(i + 1, activity.nanoseconds[i]);
  return writer.whole(8, activity.cpu).as(7);
}

Bytes done(const Prepared& prepared) {
  return Writer().text(1, prepared.artifact).whole(2, prepared.rows).as(8);
}

Bytes committed() { return Writer().as(9); }

}  // namespace modular_runtime::message
