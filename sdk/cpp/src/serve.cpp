#include "serve.hpp"

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "raw.hpp"
#include "source_loop.hpp"

namespace modular_runtime {

namespace {

// The way of a stage that takes batches in.
class Loop {
 public:
  Loop(Connection& connection, const Opening& opening)
      : connection_(connection),
        input_(std::make_shared<const Schema>(opening.input)),
        reader_(input_),
        is_raw_(is_raw(*input_)) {}

  // Takes batches in until `End`. `take(batch)` gives the credit's events that were filtered; `snapshot()`
  // the state.
  template <class Take, class Snapshot>
  void run(Take take, Snapshot snapshot) {
    for (;;) {
      const auto incoming = connection_.next(Connection::Wait::yes);
      if (const auto* head = std::get_if<message::Batch>(&incoming->message)) {
        const message::Batch batch = *head;
        read(batch, incoming->payload, take);
      } else if (const auto* barrier = std::get_if<message::Barrier>(&incoming->message)) {
        connection_.ledger().enter(Activity::process);
        connection_.send_state(barrier->epoch, snapshot());
        connection_.ledger().enter(Activity::receive);
      } else if (std::holds_alternative<message::End>(incoming->message)) {
        return;
      } else {
        throw FormatError("a stage that takes batches in gets no such message here");
      }
    }
  }

  const std::shared_ptr<const Schema>& input() const { return input_; }

 private:
  template <class Take>
  void read(const message::Batch& head, std::span<const std::byte> inline_payload, Take& take) {
    Ledger& ledger = connection_.ledger();
    ledger.enter(Activity::decode);
    const Batch& batch = reader_.read(connection_.payload(head, inline_payload));
    if (batch.rows() != head.rows) throw FormatError("a table has another number of rows than its batch");
    ledger.enter(Activity::process);
    connection_.cause(head.seq);
    const std::uint32_t filtered = take(batch);
    const auto events = is_raw_ ? events_in(batch) : static_cast<std::uint32_t>(batch.rows());
    connection_.send_credit({head.seq, events, filtered});
    connection_.cause(message::no_input);
    ledger.enter(Activity::receive);
    connection_.flush_if_due();
    if (ledger.is_due()) connection_.send_activity();
  }

  Connection& connection_;
  std::shared_ptr<const Schema> input_;
  TableReader reader_;
  bool is_raw_;
};

// Every stage's last words but the wait for the end.
void send_done(Connection& connection, const Prepared& prepared) {
  connection.send_activity();
  connection.send_message(message::done(prepared));
  connection.flush();
}

class Serving {
 public:
  explicit Serving(Connection& connection) : connection_(connection) {}

  void run(const Stage& stage) {
    Opening opening = receive_opening(stage);
    std::visit([&](const auto& open) { run_open(stage, *open(opening), opening); }, stage.open());
  }
  // Whether the runtime may close the socket.
  bool is_finished() const { return is_finished_; }

 private:
  Opening receive_opening(const Stage& stage) {
    Opening opening;
    const message::Open open = connection_.open(opening.state);
    if (open.protocol != message::protocol) {
      throw Fatal(
          "the runtime speaks version " + std::to_string(open.protocol) + " of the protocol, this stage 1",
          Kind::invalid);
    }
    const Role role = stage.role();
    if (open.input.has_value() != (role != Role::source) || open.output.has_value() != (role != Role::sink)) {
      constexpr const char* roles[] = {"source", "transform", "sink"};
      throw Fatal("the program is a " + std::string(roles[static_cast<std::size_t>(role) - 1]) +
                      ", its place in the pipeline is another's",
                  Kind::invalid);
    }
    opening.stage = open.stage;
    opening.config = open.config.empty() ? Config() : Config::parse(open.config);
    opening.input = open.input.value_or(Schema());
    opening.output = stage.declared_output().value_or(open.output.value_or(Schema()));
    opening.policy = open.policy;
    opening.generation = open.generation;
    opening.replica = open.replica;
    opening.replicas = open.replicas;
    output_ = std::make_shared<const Schema>(opening.output);
    return opening;
  }

  void send_ready(const Stage& stage) {
    connection_.send_message(message::ready(stage.role(), stage.concurrency(), stage.declared_output()));
    connection_.begin();
    connection_.flush();
  }

  void run_open(const Stage& stage, OpenTransform& transform, const Opening& opening) {
    send_ready(stage);
    Loop loop(connection_, opening);
    Emitter out(loop.input(), output_, connection_);
    loop.run(
        [&](const Batch& batch) -> std::uint32_t {
          transform.process(batch, out);
          for (const Failure& failure : out.failures()) connection_.send_failure(failure);
          return transform.filters() ? out.filtered() : 0;
        },
        [&] { return transform.snapshot(); });
    connection_.ledger().enter(Activity::process);
    if (opening.policy.rows != 0) out.rows_max(opening.policy.rows);
    transform.finish(out);
    out.end();
    send_done(connection_, {});
    is_finished_ = true;
    wait_for_end();
  }

  void run_open(const Stage& stage, OpenSource& source, const Opening& opening) {
    send_ready(stage);
    run_source(connection_, source, output_, opening.policy);
    is_finished_ = true;
    wait_for_end();
  }

  void run_open(const Stage& stage, OpenSink& sink, const Opening& opening) {
    send_ready(stage);
    Loop(connection_, opening)
        .run(
            [&](const Batch& batch) -> std::uint32_t {
              sink.write(batch);
              return 0;
            },
            [&] { return sink.snapshot(); });
    connection_.ledger().enter(Activity::process);
    send_done(connection_, sink.prepare());
    for (;;) {
      const auto incoming = connection_.next(Connection::Wait::yes);
      if (!std::holds_alternative<message::Commit>(incoming->message)) continue;
      sink.commit();
      connection_.send_message(message::committed());
      connection_.flush();
      is_finished_ = true;
    }
  }

  // Only credit comes now, until the socket is closed.
  [[noreturn]] void wait_for_end() {
    for (;;) connection_.next(Connection::Wait::yes);
  }

  Connection& connection_;
  std::shared_ptr<const Schema> output_;
  bool is_finished_ = false;
};

void send_last_words(Connection& connection, const Failure& failure) {
  try {
    connection.cause(message::no_input);
    connection.send_failure(failure);
    connection.flush();
  } catch (const std::exception&) {
    // The runtime is gone; the exit code is all that is left to say it with.
  }
}

}  // namespace

int serve(const Stage& stage, const Descriptors& descriptors) {
  Connection connection(descriptors);
  Serving serving(connection);
  try {
    serving.run(stage);
  } catch (const Closed&) {
    return serving.is_finished() ? 0 : 1;
  } catch (const FormatError&) {
    Failure failure = current_failure();
    failure.kind = Kind::internal;
    send_last_words(connection, failure);
  } catch (...) {
    send_last_words(connection, current_failure());
  }
  return 1;
}

}  // namespace modular_runtime
