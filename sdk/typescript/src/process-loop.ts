/**
 * The loop of transforms and sinks: takes batches in, calls the handler, sends what comes of them, gives credit.
 *
 * Everything that a batch has caused is sent before its credit. An error of a handler costs its event, or its batch; in
 * a sink, or at the end, it is the stage's. Neighbours: `events` calls handlers of events, `emitter` sends, `run` opens.
 */
import { serialize } from "node:v8";
import { Doing } from "./activity.js";
import { Batch, type FailedEvent, Selection } from "./batch.js";
import { isPromise, type Routine, settled } from "./channel.js";
import { Emitter, emitted } from "./emitter.js";
import { EventReader, Outcomes, type Rows } from "./events.js";
import { rowFailures } from "./failure.js";
import { NONE } from "./frame.js";
import type { Incoming, Link } from "./link.js";
import { Concurrency, Role, type ToStage } from "./message.js";
import { countLines, isRaw } from "./raw.js";
import { type Event, type Schema, sameSchema } from "./schema.js";
import type { Pool } from "./segment.js";
import { type Context, Fatal, type Instance, type Stage } from "./stage.js";

type Handler = (input: unknown, context: unknown) => unknown;

export class ProcessLoop {
  private readonly handler: Handler;
  private readonly reader: EventReader;
  private readonly emitter: Emitter | null;
  /** Whether rows that go on as they are can be told by a bitmap. */
  private readonly selects: boolean;
  private readonly raw: boolean;

  constructor(
    private readonly stage: Stage,
    private readonly instance: Instance,
    private readonly context: Context,
    private readonly link: Link,
    private readonly pool: Pool,
    private readonly input: Schema,
    emitter: Emitter | null,
  ) {
    this.handler = instance.take as Handler;
    this.reader = new EventReader(input, stage.mode, stage.int64);
    this.emitter = emitter;
    this.selects = emitter !== null && sameSchema(input, emitter.schema);
    this.raw = isRaw(input);
  }

  /** Runs until the end of the input; gives what a sink has prepared. */
  *run(): Routine<void> {
    for (;;) {
      const received = yield* this.link.next();
      if (received.batch !== undefined) yield* this.batch(received.batch);
      else if ("barrier" in received.message) yield* snapshot(this.link, this.instance, received.message);
      else if ("end" in received.message) break;
    }
    yield* this.finish();
  }

  private *batch(incoming: Incoming): Routine<void> {
    const { link } = this;
    link.ledger.enter(Doing.Decode);
    const memory = this.pool.take(incoming.length);
    link.load(incoming, memory);
    const batch = new Batch(this.input, incoming.rows, memory, incoming.length);
    batch.check();
    const filtered = yield* this.stage.form === "batch"
      ? this.wholeBatch(batch, incoming.seq)
      : this.singleEvents(batch, incoming.seq);
    const events = batch.events ?? (this.raw ? linesOf(batch) : batch.rows);
    const counts = this.stage.concurrency === Concurrency.Stateless && !this.raw;
    if (!batch.kept) {
      batch.release();
      this.pool.give(memory);
    }
    link.ledger.enter(Doing.Send);
    link.credit(incoming.seq, events, counts ? filtered : 0);
    yield* link.settle();
  }

  /** Calls the handler with each event; gives how many events it has dropped. */
  private *singleEvents(batch: Batch, seq: number): Routine<number> {
    const { link } = this;
    const rows = this.reader.rows(batch);
    const outcomes = new Outcomes(batch.rows, this.selects, this.stage.role === Role.Sink, rows.one);
    link.ledger.enter(Doing.Process);
    const at = rows.run(0, this.handler, this.context, outcomes);
    if (at < batch.rows) yield this.rest(rows, at, batch.rows, outcomes);
    link.ledger.enter(Doing.Encode);
    if (this.emitter !== null) {
      if (outcomes.events === null) yield* this.emitter.selection(outcomes.bits, outcomes.kept, seq);
      else yield* this.events(outcomes.events, outcomes, seq);
    }
    this.failed(seq, outcomes.failures);
    return outcomes.filtered;
  }

  private *events(events: readonly Event[], outcomes: Outcomes, seq: number): Routine<void> {
    if (this.emitter === null) return;
    for (const { row, error } of yield* this.emitter.events(events, outcomes.origins, seq))
      outcomes.fail(row, error);
  }

  /** Goes on where the handler has returned a promise: several events under way, their results in order. */
  private async rest(rows: Rows, from: number, total: number, outcomes: Outcomes): Promise<void> {
    const results = new Array<unknown>(total);
    const given = new Array<Event>(total);
    const errors = new Map<number, unknown>();
    let next = from;
    const handle = async (row: number): Promise<void> => {
      try {
        if (row === from) {
          given[row] = outcomes.event as Event;
          results[row] = await outcomes.promise;
        } else {
          const event = (given[row] = rows.one(row));
          results[row] = await this.handler(event, this.context);
        }
      } catch (error) {
        errors.set(row, error);
      }
    };
    const lane = async (): Promise<void> => {
      while (next < total) await handle(next++);
    };
    await Promise.all(Array.from({ length: Math.min(this.stage.inFlight, total - from) }, lane));
    for (let row = from; row < total; row++) {
      if (errors.has(row)) outcomes.fail(row, errors.get(row));
      else if (this.stage.mode === "filter") outcomes.chosen(row, results[row]);
      else if (this.stage.mode === "transform") {
        if (rows.unchanged(row, results[row], given[row] as Event)) outcomes.keep(row);
        else outcomes.other(row, results[row]);
      }
    }
  }

  /** Calls the handler with the batch; gives how many of its rows were dropped. */
  private *wholeBatch(batch: Batch, seq: number): Routine<number> {
    const { link, emitter } = this;
    link.ledger.enter(Doing.Process);
    let outputs: (Batch | Selection)[];
    try {
      const result = this.handler(batch, this.context);
      outputs = emitted(isPromise(result) ? yield* settled(result) : result, batch, emitter?.schema ?? null);
    } catch (error) {
      if (this.stage.role === Role.Sink || error instanceof Fatal) throw error;
      this.failed(
        seq,
        Array.from({ length: batch.rows }, (_, row) => ({ row, error })),
      );
      return 0;
    }
    link.ledger.enter(Doing.Encode);
    this.failed(seq, batch.failures);
    if (emitter === null) return 0;
    return yield* this.outputs(outputs, batch, seq, emitter);
  }

  private *outputs(
    outputs: readonly (Batch | Selection)[],
    batch: Batch,
    seq: number,
    emitter: Emitter,
  ): Routine<number> {
    const failures = new Map<number, unknown>();
    let rows = 0;
    for (const output of outputs) {
      if (output instanceof Selection || (output === batch && this.selects)) {
        const { bits, kept } = output instanceof Selection ? output : Selection.all(batch.rows);
        rows += kept;
        yield* emitter.selection(bits, kept, seq);
        continue;
      }
      rows += output.rows;
      for (const { row, error } of yield* emitter.batch(output, seq)) failures.set(row, error);
      if (output !== batch) emitter.sent(output);
    }
    this.failed(
      seq,
      Array.from(failures, ([row, error]) => ({ row: Math.min(row, batch.rows - 1), error })),
    );
    // A batch says which rows were dropped only where it is a selection, or nothing at all.
    const told = rows === 0 || outputs.every((output) => output instanceof Selection);
    return told ? Math.max(0, batch.rows - rows - batch.failures.length) : 0;
  }

  private failed(seq: number, failures: readonly FailedEvent[]): void {
    if (failures.length === 0) return;
    for (const failed of rowFailures(seq, failures)) this.link.send({ failed });
  }

  /** Emits what was held back, and prepares what was written. */
  private *finish(): Routine<void> {
    const { link, instance, emitter } = this;
    link.ledger.enter(Doing.Process);
    const result = instance.finish === undefined ? null : yield* settled(instance.finish());
    if (emitter !== null && result !== null && result !== undefined) {
      if (this.stage.form === "batch")
        yield* this.lastBatches(emitted(result, null, emitter.schema), emitter);
      else {
        const events = (Array.isArray(result) ? result : [result]) as Event[];
        const failure = (yield* emitter.events(events, null, NONE))[0];
        if (failure !== undefined) throw failure.error;
      }
    }
    const prepared = instance.prepare === undefined ? null : yield* settled(instance.prepare());
    // Its account includes the sending of all that it has sent.
    yield* link.flush();
    link.tell();
    link.send({ done: { artifact: prepared?.artifact ?? "", rows: prepared?.rows ?? 0 } });
  }

  private *lastBatches(outputs: readonly (Batch | Selection)[], emitter: Emitter): Routine<void> {
    for (const output of outputs) {
      if (output instanceof Selection) continue;
      const failure = (yield* emitter.batch(output, NONE))[0];
      if (failure !== undefined) throw failure.error;
      emitter.sent(output);
    }
  }
}

/** Answers a `Barrier`. */
export function* snapshot(
  link: Link,
  instance: Instance,
  message: Extract<ToStage, { barrier: unknown }>,
): Routine<void> {
  link.ledger.enter(Doing.Process);
  const state = instance.snapshot === undefined ? undefined : yield* settled(instance.snapshot() as unknown);
  const chunks = state === undefined ? 0 : yield* link.state(serialize(state));
  link.send({ snapshot: { epoch: message.barrier.epoch, chunks } });
}

function linesOf(batch: Batch): number {
  const text = batch.column("text");
  let lines = 0;
  for (let row = 0; row < batch.rows; row++) lines += countLines(text.binary(row));
  return lines;
}
