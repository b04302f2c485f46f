/**
 * What a stage emits, on its way to the link: events and batches are encoded, and split where they are too large.
 *
 * Neighbours: the loops give what user code returned, `link` sends.
 */
import { Doing } from "./activity.js";
import { Batch, type FailedEvent, Selection } from "./batch.js";
import { Encoder } from "./builder.js";
import type { Routine } from "./channel.js";
import { EventReader } from "./events.js";
import type { Link } from "./link.js";
import { type Event, type Schema, sameSchema } from "./schema.js";
import type { Pool } from "./segment.js";
import { TableWriter } from "./table.js";

/** A table has at most so many rows where the rows come one by one. */
export const ROWS_MAX = 32_768;

export class Emitter {
  readonly encoder: Encoder;
  private readonly writer: TableWriter;

  constructor(
    readonly schema: Schema,
    private readonly link: Link,
    private readonly pool: Pool,
  ) {
    this.encoder = new Encoder(schema);
    this.writer = new TableWriter(pool);
  }

  /**
   * Sends events as tables. Events that fit no column, or no payload, are left out and given back, with all others of
   * the same origin: `origins` has the row of each event, in order; without it every event is its own.
   */
  *events(
    events: readonly Event[],
    origins: readonly number[] | null,
    input: number,
  ): Routine<FailedEvent[]> {
    const failures: FailedEvent[] = [];
    for (let from = 0; from < events.length;) {
      const to = boundary(origins, from, Math.min(from + ROWS_MAX, events.length), events.length);
      const whole = to - from === events.length;
      const part = whole ? events : events.slice(from, to);
      const rows = origins === null || whole ? origins : origins.slice(from, to);
      for (const { row, error } of yield* this.part(part, rows, input)) {
        failures.push({ row: origins === null ? from + row : row, error });
      }
      from = to;
    }
    return failures;
  }

  /** Bytes of the last table of events. */
  get bytes(): number {
    return this.writer.length;
  }

  private *part(
    events: readonly Event[],
    origins: readonly number[] | null,
    input: number,
  ): Routine<FailedEvent[]> {
    this.link.ledger.enter(Doing.Encode);
    const faults = this.encoder.events(this.writer, events);
    if (faults.length > 0) return yield* this.sound(events, origins, input, faults);
    if (this.writer.length <= this.link.payloadMax) {
      yield* this.link.emit([this.writer.finish()], events.length, 0, input);
      return [];
    }
    if (events.length === 1) return [{ row: origins?.[0] ?? 0, error: this.tooLarge(this.writer.length) }];
    let half = boundary(origins, 0, events.length >> 1, events.length);
    if (half === events.length) half = events.length >> 1;
    const failures = yield* this.part(events.slice(0, half), origins?.slice(0, half) ?? null, input);
    for (const { row, error } of yield* this.part(events.slice(half), origins?.slice(half) ?? null, input)) {
      failures.push({ row: origins === null ? half + row : row, error });
    }
    return failures;
  }

  /** Sends the events whose origin has no fault. */
  private *sound(
    events: readonly Event[],
    origins: readonly number[] | null,
    input: number,
    faults: readonly FailedEvent[],
  ): Routine<FailedEvent[]> {
    const first = new Map<number, unknown>();
    for (const { row, error } of faults) {
      const origin = origins?.[row] ?? row;
      if (!first.has(origin)) first.set(origin, error);
    }
    const places = Array.from(events.keys(), (at) => origins?.[at] ?? at).filter(
      (origin) => !first.has(origin),
    );
    const failures = Array.from(first, ([row, error]) => ({ row, error }));
    if (places.length === 0) return failures;
    const rest = events.filter((_, at) => !first.has(origins?.[at] ?? at));
    for (const failure of yield* this.part(rest, places, input)) failures.push(failure);
    return failures;
  }

  /** Sends a batch; gives the rows that cannot be sent. */
  *batch(batch: Batch, input: number): Routine<FailedEvent[]> {
    const { memory, bytes, rows } = batch;
    if (bytes <= this.link.payloadMax) {
      yield* this.link.emit([memory.bytes.subarray(0, bytes)], rows, 0, input);
      return [];
    }
    const reader = new EventReader(batch.schema, "transform", "bigint").rows(batch);
    const events = Array.from({ length: rows }, (_, row) => reader.one(row));
    return yield* this.events(events, null, input);
  }

  *selection(bits: Uint8Array, kept: number, input: number): Routine<void> {
    if (kept > 0) yield* this.link.emit([bits], kept, 1, input);
  }

  tooLarge(bytes: number): RangeError {
    return new RangeError(
      `an event of \`${bytes}\` bytes does not fit into a batch, which has at most \`${this.link.payloadMax}\``,
    );
  }

  /** Takes back the memory of a batch that was sent. */
  sent(batch: Batch): void {
    if (batch.kept) return;
    const memory = batch.release();
    if (memory !== null) this.pool.give(memory);
  }
}

/** What code that handles batches has returned, as a list. Throws a `TypeError` if it cannot be sent. */
export function emitted(result: unknown, batch: Batch | null, output: Schema | null): (Batch | Selection)[] {
  const list: unknown[] =
    result === null || result === undefined ? [] : Array.isArray(result) ? result : [result];
  const selects = batch !== null && output !== null && sameSchema(batch.schema, output);
  return list.map((item) => {
    if (item instanceof Batch) {
      if (output !== null && sameSchema(item.schema, output)) return item;
      throw new TypeError("the batch has other columns than the output; make one with `context.batch`");
    }
    if (!(item instanceof Selection || item instanceof Uint8Array)) {
      throw new TypeError(
        `the handler returned \`${String(item)}\`; it returns a batch, a selection, a list of these, or null for none`,
      );
    }
    if (batch === null) throw new TypeError("there is no batch at the end that a selection could be of");
    if (!selects)
      throw new TypeError("a selection needs an output with the columns of the input; make a batch");
    if (item instanceof Uint8Array) return Selection.of(batch.rows, item);
    if (item.rows === batch.rows) return item;
    throw new RangeError(`the selection is of \`${item.rows}\` rows, the batch has \`${batch.rows}\``);
  });
}

/** Where a part may end, at `at` or behind it: not between events of one origin. */
function boundary(origins: readonly number[] | null, from: number, at: number, end: number): number {
  let to = Math.max(at, from + 1);
  if (origins !== null) while (to < end && origins[to] === origins[to - 1]) to++;
  return to;
}
