/**
 * Both links of a stage: what comes in, and what goes out within the window.
 *
 * ```text
 *   FrameReader ──┬─ credit ──▶ frees slots and the window
 *                 └─ batch, message ──▶ next()                 emit() ──▶ slot or inline ──▶ FrameWriter ──▶ flush()
 * ```
 *
 * Whoever waits for credit keeps reading; what comes meanwhile waits in the inbox, which the other side's window bounds.
 * Frames leave together: before the loop waits, and whenever the first of them is `FLUSH_MILLIS` old. Refuses what
 * breaks the protocol, with a `FrameError`. Neighbours: `channel` moves bytes, `process-loop` and `source-loop` use it.
 */
import { Doing, type Ledger } from "./activity.js";
import { type Channel, INPUT, OUTPUT, type Routine } from "./channel.js";
import { Frame, FrameError, type FrameReader, type FrameWriter, NONE, STATE_CHUNK_MAX } from "./frame.js";
import { type FromStage, type Open, type ToStage, readToStage, writeFromStage } from "./message.js";
import { type Memory, Slots, mapSegment, readSegment, writeSegment } from "./segment.js";

/** The other side has closed the socket. */
export class Gone extends Error {
  override readonly name = "Gone";
}

/** A batch that has come in. */
export interface Incoming {
  readonly seq: number;
  readonly offset: number;
  readonly length: number;
  readonly rows: number;
  /** The payload if it came inline; valid until the next frame is asked for. */
  readonly payload: Uint8Array | null;
}

/** A slot that is filled in place. */
export interface Lease {
  readonly offset: number;
  readonly bytes: Buffer;
}

/** What the runtime has sent. */
export type Received =
  | { readonly batch: Incoming; readonly message?: never }
  | { readonly message: ToStage; readonly payload: Uint8Array; readonly batch?: never };

const FLUSH_MILLIS = 0.1;
const FLUSH_BYTES = 48 << 10;
const ACTIVITY_MILLIS = 1000;

export class Link {
  /** How far a source has come. */
  readonly progress = { bytesRead: 0, bytesTotal: 0 };
  /** Batches without credit. */
  inFlight = 0;
  private readonly inbox: Received[] = [];
  private readonly sent = new Map<number, { readonly offset: number; readonly length: number }>();
  private slots = new Slots(0);
  /** The output segment, once somebody has asked whether it can be mapped. */
  private mapped: Buffer | null | undefined = undefined;
  private bytesInFlight = 0;
  private nextIn = 0;
  private nextOut = 0;
  private flushed = 0;
  private told = 0;
  private open: Pick<
    Open,
    "window_batches" | "window_bytes" | "inline_max" | "input_segment" | "output_segment"
  > = {
    window_batches: 1,
    window_bytes: 0,
    inline_max: 0,
    input_segment: 0,
    output_segment: 0,
  };

  constructor(
    readonly channel: Channel,
    private readonly reader: FrameReader,
    private readonly writer: FrameWriter,
    readonly ledger: Ledger,
    private readonly segments: { readonly input: number; readonly output: number },
  ) {}

  opened(open: Open): void {
    this.open = open;
    this.reader.payloadMax = open.inline_max;
    this.slots = new Slots(open.output_segment);
  }

  /** The most bytes that a payload of this stage may have. */
  get payloadMax(): number {
    return Math.max(this.open.inline_max, this.open.output_segment);
  }

  /** Whether the window has room for another batch, if it is small enough. */
  get hasRoom(): boolean {
    return (
      this.inFlight === 0 ||
      (this.inFlight < this.open.window_batches && this.bytesInFlight < this.open.window_bytes)
    );
  }

  /** What comes next, if it is there already; credit is taken in on the way. */
  take(): Received | null {
    return this.inbox.shift() ?? this.read();
  }

  /** Waits for what comes next. */
  *next(): Routine<Received> {
    for (;;) {
      const received = this.take();
      if (received !== null) return received;
      yield* this.wait(Doing.Starved);
    }
  }

  /** Waits for input, after everything was sent. */
  *wait(doing: Doing): Routine<void> {
    if (this.channel.ended) throw new Gone();
    yield* this.flush();
    this.ledger.enter(doing);
    yield INPUT;
    this.ledger.arrived();
  }

  /** Puts the payload of a batch into memory. */
  load(batch: Incoming, memory: Memory): void {
    if (batch.payload !== null) memory.bytes.set(batch.payload);
    else readSegment(this.segments.input, memory, batch.offset, batch.length);
  }

  /** Sends a batch once the window and the segment have room for it; the parts lie one behind the other. */
  *emit(parts: readonly Uint8Array[], rows: number, form: 0 | 1, input: number): Routine<void> {
    let length = 0;
    for (const part of parts) length += part.length;
    const inline = this.isInline(length);
    const offset = yield* this.place(length, inline);
    this.ledger.enter(Doing.Encode);
    if (!inline) writeSegment(this.segments.output, parts, offset);
    this.batch(offset, length, rows, form, input, parts);
  }

  /** Whether a slot can be filled in place. */
  get leases(): boolean {
    const { output_segment } = this.open;
    if (this.mapped === undefined) {
      this.mapped = output_segment > 0 ? mapSegment(this.segments.output, output_segment) : null;
    }
    return this.mapped !== null;
  }

  /** A slot of `length` bytes to be filled in place, once the window and the segment have room for it. */
  *lease(length: number): Routine<Lease> {
    const offset = yield* this.place(length, false);
    return { offset, bytes: (this.mapped as Buffer).subarray(offset, offset + length) };
  }

  /** Sends the first `length` bytes of a slot that was filled in place. */
  *emitLease({ offset, bytes }: Lease, length: number, rows: number): Routine<void> {
    if (this.isInline(length)) {
      const payload = Buffer.from(bytes.subarray(0, length));
      this.slots.give(offset);
      yield* this.emit([payload], rows, 0, NONE);
      return;
    }
    this.ledger.enter(Doing.Send);
    this.slots.shrink(offset, length);
    this.batch(offset, length, rows, 0, NONE, []);
  }

  /** Gives back a slot that was not filled. */
  release({ offset }: Lease): void {
    this.slots.give(offset);
  }

  private isInline(length: number): boolean {
    return length <= this.open.inline_max || this.open.output_segment === 0;
  }

  /** The offset of a slot, or `NONE` for a payload inline, once it may be sent. */
  private *place(length: number, inline: boolean): Routine<number> {
    let offset = NONE;
    while (!this.fits(length) || (!inline && (offset = this.slots.take(length)) < 0)) {
      const before = this.inFlight;
      for (let received = this.read(); received !== null; received = this.read())
        this.inbox.push(held(received));
      if (this.inFlight === before) yield* this.wait(Doing.Backpressured);
    }
    return offset;
  }

  private batch(
    offset: number,
    length: number,
    rows: number,
    form: 0 | 1,
    input: number,
    parts: readonly Uint8Array[],
  ): void {
    const seq = this.nextOut++;
    this.sent.set(seq, { offset, length });
    this.inFlight++;
    this.bytesInFlight += length;
    this.writer.batch({ seq, offset, length, rows, form, input }, parts);
  }

  credit(seq: number, events: number, filtered: number): void {
    this.writer.credit(seq, events, filtered);
  }

  send(message: FromStage, payload?: Uint8Array): void {
    this.writer.message(writeFromStage(message), payload);
  }

  /** Sends a state in chunks and gives their number. */
  *state(bytes: Uint8Array): Routine<number> {
    let index = 0;
    for (let at = 0; at < bytes.length; at += STATE_CHUNK_MAX) {
      this.send({ state: { index: index++ } }, bytes.subarray(at, at + STATE_CHUNK_MAX));
      yield* this.flush();
    }
    return index;
  }

  /** To be called after each batch: sends what has waited long enough, and now and then the ledger. */
  *settle(): Routine<void> {
    const { now } = this.ledger;
    if (now - this.told > ACTIVITY_MILLIS) this.tell();
    if (now - this.flushed > FLUSH_MILLIS || this.writer.pending > FLUSH_BYTES) yield* this.flush();
  }

  /** Sends the ledger. */
  tell(): void {
    this.send({ activity: this.ledger.account(this.progress.bytesRead, this.progress.bytesTotal) });
    this.told = this.ledger.now;
  }

  *flush(): Routine<void> {
    if (this.writer.pending > 0) {
      this.ledger.enter(Doing.Send);
      if (!this.channel.flush()) yield OUTPUT;
    }
    this.flushed = this.ledger.now;
  }

  private fits(length: number): boolean {
    return (
      this.inFlight === 0 ||
      (this.inFlight < this.open.window_batches && this.bytesInFlight + length <= this.open.window_bytes)
    );
  }

  /** The next frame that is there and is no credit. */
  private read(): Received | null {
    const { reader } = this;
    while (reader.next()) {
      if (reader.kind === Frame.Credit) this.credited(reader.seq);
      else if (reader.kind === Frame.Batch) return { batch: this.incoming() };
      else return { message: readToStage(reader.message), payload: reader.payload };
    }
    return null;
  }

  private incoming(): Incoming {
    const { seq, offset, length, rows, form } = this.reader;
    if (seq !== this.nextIn) throw new FrameError(`batch \`${seq}\` came where \`${this.nextIn}\` was due`);
    this.nextIn++;
    if (form !== 0) throw new FrameError(`batch \`${seq}\` has the form \`${form}\`, which no stage takes`);
    if (offset !== NONE && offset + length > this.open.input_segment) {
      throw new FrameError(
        `batch \`${seq}\` of \`${length}\` bytes at \`${offset}\` lies outside the segment`,
      );
    }
    return { seq, offset, length, rows, payload: offset === NONE ? this.reader.payload : null };
  }

  private credited(seq: number): void {
    const sent = this.sent.get(seq);
    if (sent === undefined) throw new FrameError(`a credit for batch \`${seq}\`, which is not in flight`);
    this.sent.delete(seq);
    if (sent.offset !== NONE) this.slots.give(sent.offset);
    this.inFlight--;
    this.bytesInFlight -= sent.length;
  }
}

/** What waits in the inbox must not lie in the reader's buffer. */
function held(received: Received): Received {
  if (received.batch === undefined) return { ...received, payload: Buffer.from(received.payload) };
  const { batch } = received;
  return batch.payload === null ? received : { batch: { ...batch, payload: Buffer.from(batch.payload) } };
}
