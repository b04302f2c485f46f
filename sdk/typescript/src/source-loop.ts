/**
 * The loop of sources: asks for events, puts them into batches as the link wants them, sends them as there is credit.
 *
 * ```text
 *   rows: N    a batch has N rows, but the last one; a smaller one leaves after `linger`
 *   adaptive   small batches while the receiver is idle, larger ones while it is busy, up to 32 k rows or 2 MiB
 * ```
 *
 * Files in blocks go without the event loop: their reads do not wait. All other sources run evented, so that the end is
 * heard, and events leave, while the source itself waits. Clocks are read once in a stride of events that adapts to how
 * fast they come. Neighbours: `emitter` sends events, `raw` makes tables of text, `run` opens.
 */
import { Doing } from "./activity.js";
import { Batch } from "./batch.js";
import { type Routine, settled } from "./channel.js";
import { type Emitter, emitted, ROWS_MAX } from "./emitter.js";
import { FileBlocks, TextBlock } from "./file-blocks.js";
import { NONE } from "./frame.js";
import { Gone, type Link } from "./link.js";
import type { BatchPolicy } from "./message.js";
import { snapshot } from "./process-loop.js";
import { isRaw, RawWriter } from "./raw.js";
import type { Event } from "./schema.js";
import { Fatal, type Instance } from "./stage.js";

const ROWS_MIN = 64;
const BATCH_BYTES_MAX = 2 << 20;
const LINGER_MILLIS = 10;
const POLL_MILLIS = 2;
const STRIDE_MAX = 1024;
const NEWLINE = 10;

export class SourceLoop {
  private events: Event[] = [];
  /** How many events a batch is to have now. */
  private target: number;
  /** At how many events the clock is read next, how far apart that is, and when it was last. */
  private due = 1;
  private stride = 1;
  private checked = 0;
  private polled = 0;
  /** How long the oldest event has waited, about. */
  private waited = 0;
  private readonly lingerMillis: number;
  private readonly raw = new RawWriter();
  private stopped = false;

  constructor(
    private readonly instance: Instance,
    private readonly link: Link,
    private readonly emitter: Emitter,
    private readonly policy: BatchPolicy,
  ) {
    this.target = policy.rows || ROWS_MIN;
    const linger = policy.linger_us / 1000;
    this.lingerMillis = policy.rows === 0 ? linger || LINGER_MILLIS : linger || Infinity;
  }

  /** Runs until the source has no more, or is told to stop. */
  *run(): Routine<void> {
    const { link, instance } = this;
    link.ledger.enter(Doing.Process);
    const produced = instance.emit?.() ?? [];
    if (produced instanceof FileBlocks) yield* this.blocks(produced);
    else if (Symbol.asyncIterator in produced) yield* this.asynchronous(produced[Symbol.asyncIterator]());
    else if (Symbol.iterator in produced) yield* this.synchronous(produced[Symbol.iterator]());
    else
      throw new Fatal(
        "the source gave nothing to iterate over; it is a generator, or returns a list or an iterator",
      );
    yield* this.send();
    yield* link.flush();
    link.tell();
    link.send({ done: { artifact: "", rows: 0 } });
  }

  private *blocks(blocks: FileBlocks): Routine<void> {
    const { progress, ledger } = this.link;
    blocks.lines = this.policy.rows;
    progress.bytesTotal = blocks.bytesTotal;
    for (;;) {
      yield* this.room();
      if (this.stopped) return;
      if (!(yield* this.leased(blocks))) {
        ledger.enter(Doing.Process);
        const block = blocks.next();
        if (block === null) return;
        yield* this.text(block, block.text, block.offset);
      }
      progress.bytesRead = blocks.bytesRead;
      yield* this.link.settle();
    }
  }

  /** Sends the next block from where the file was read to, in the segment; false where that takes another way. */
  private *leased(blocks: FileBlocks): Routine<boolean> {
    const { link, raw } = this;
    const { source } = blocks;
    if (source === null || !blocks.isDirect || !isRaw(this.emitter.schema) || !link.leases) return false;
    const head = raw.headLength(source);
    const length = Math.min(head + blocks.blockBytes, link.payloadMax);
    if (length <= head) return false;
    const lease = yield* link.lease(length);
    link.ledger.enter(Doing.Process);
    const block = blocks.nextInto(lease.bytes.subarray(head));
    if (block === null) {
      link.release(lease);
      return false;
    }
    link.ledger.enter(Doing.Encode);
    lease.bytes.set(raw.parts(block)[0] as Uint8Array);
    yield* link.emitLease(lease, head + block.text.length, 1);
    return true;
  }

  private *synchronous(iterator: Iterator<Event>): Routine<void> {
    yield* this.evented();
    yield* this.room();
    while (!this.stopped) {
      const step = iterator.next();
      if (step.done) return;
      yield* this.took(step.value);
    }
    iterator.return?.();
  }

  private *asynchronous(iterator: AsyncIterator<Event>): Routine<void> {
    yield* this.evented();
    while (!this.stopped) {
      if (this.events.length === 0) {
        yield* this.room();
        yield* this.away();
      }
      const pull = new Pull(iterator.next(), this.link);
      while (!pull.done) {
        yield pull.wait(this.events.length > 0 ? this.lingerMillis : Infinity);
        if (pull.done) break;
        yield* this.send();
        yield* this.heed();
        if (this.stopped) {
          // The generator may be waiting for something that never comes; nobody waits for it.
          iterator.return?.()?.then(undefined, () => {});
          return;
        }
        yield* this.away();
      }
      const step = pull.result();
      if (step.done) return;
      yield* this.took(step.value);
    }
    yield* settled(iterator.return?.());
  }

  /** From here on the event loop runs and the socket can be read without waiting. */
  private *evented(): Routine<void> {
    yield Promise.resolve();
    this.checked = this.polled = performance.now();
  }

  /** Takes what the source has emitted. */
  private *took(item: Event): Routine<void> {
    if (item instanceof Batch) {
      yield* this.send();
      for (const batch of emitted(item, null, this.emitter.schema)) {
        const failure = (yield* this.emitter.batch(batch as Batch, NONE))[0];
        if (failure !== undefined) throw failure.error;
        this.emitter.sent(batch as Batch);
      }
      yield* this.sentOne();
    } else if (item instanceof TextBlock) {
      yield* this.send();
      yield* this.text(item, item.text, item.offset);
      yield* this.sentOne();
    } else {
      this.events.push(item);
      if (this.events.length >= this.due) yield* this.check();
    }
  }

  /** Looks at the clock: whether the batch has to leave, or something has come in. */
  private *check(): Routine<void> {
    const now = performance.now();
    const passed = now - this.checked;
    this.checked = now;
    if (passed < 1) this.stride = Math.min(2 * this.stride, STRIDE_MAX);
    else if (passed > 4) this.stride = Math.max(1, this.stride >> 2);
    this.waited += passed;
    if (this.events.length >= this.target || this.waited > this.lingerMillis) {
      yield* this.send();
      yield* this.sentOne();
    }
    if (now - this.polled > POLL_MILLIS) {
      this.polled = now;
      this.link.channel.poll();
      yield* this.heed();
    }
    this.due = Math.min(this.events.length + this.stride, this.target);
  }

  private *sentOne(): Routine<void> {
    yield* this.link.settle();
    yield* this.room();
    this.link.ledger.enter(Doing.Process);
  }

  /** Writes what was sent: nobody knows how long the source awaits its next event. */
  private *away(): Routine<void> {
    yield* this.link.flush();
    this.link.ledger.enter(Doing.Process);
  }

  /** Waits until a batch can leave before anything for it is taken, so that a state can be asked for meanwhile. */
  private *room(): Routine<void> {
    yield* this.heed();
    while (!this.link.hasRoom && !this.stopped) {
      yield* this.link.wait(Doing.Backpressured);
      yield* this.heed();
    }
  }

  /** Sends the events that there are. */
  private *send(): Routine<void> {
    const { events, emitter } = this;
    this.waited = 0;
    if (events.length === 0) return;
    this.events = [];
    const busy = this.link.inFlight > 0;
    const failure = (yield* emitter.events(events, null, NONE))[0];
    if (failure !== undefined) throw failure.error;
    if (this.policy.rows > 0) return;
    const most = Math.max(1, Math.floor(BATCH_BYTES_MAX / (emitter.bytes / events.length)));
    this.target = Math.min(busy ? 2 * this.target : Math.max(ROWS_MIN, this.target >> 1), ROWS_MAX, most);
    yield* this.link.settle();
  }

  /** Does what the runtime has asked for meanwhile. */
  private *heed(): Routine<void> {
    for (let received = this.link.take(); received !== null; received = this.link.take()) {
      if (received.message === undefined) continue;
      if ("end" in received.message) this.stopped = true;
      else if ("barrier" in received.message) {
        yield* this.send();
        yield* snapshot(this.link, this.instance, received.message);
        yield* this.link.flush();
        this.link.ledger.enter(Doing.Process);
      }
    }
    if (this.link.channel.ended) throw new Gone();
  }

  /** Sends raw text: as it is, or N lines at a time, or as much as a payload may have. */
  private *text(block: TextBlock, text: Uint8Array, offset: number): Routine<void> {
    if (!isRaw(this.emitter.schema)) {
      throw new Fatal("a source of text blocks has the output `source`, `offset`, `line` and `text`", {
        kind: "invalid",
      });
    }
    const { link } = this;
    for (let from = 0; from < text.length;) {
      link.ledger.enter(Doing.Encode);
      const room = link.payloadMax - 512 - Buffer.byteLength(block.source);
      const to = cut(text, from, this.policy.rows, room);
      if (to === from)
        throw new Fatal(`a line of \`${block.source}\` at \`${offset + from}\` does not fit into a batch`);
      const part = from === 0 && to === text.length ? text : text.subarray(from, to);
      yield* link.emit(this.raw.parts(block, part, offset + from), 1, 0, NONE);
      from = to;
    }
  }
}

/** The end of the next part of a text: `lines` lines (0: all), at most `room` bytes. */
function cut(text: Uint8Array, from: number, lines: number, room: number): number {
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.length);
  let to = text.length;
  if (lines > 0) {
    let at = from;
    for (let line = 0; line < lines && at < text.length; line++) {
      const newline = bytes.indexOf(NEWLINE, at);
      at = newline < 0 ? text.length : newline + 1;
    }
    to = at;
  }
  return to - from <= room ? to : Math.max(from, bytes.lastIndexOf(NEWLINE, from + room - 1) + 1);
}

/** A promise of the next event that can be waited for until it settles, something comes in, or a time has passed. */
class Pull {
  done = false;
  private value: IteratorResult<Event> | null = null;
  private error: { readonly reason: unknown } | null = null;
  private wake = (): void => {};

  constructor(
    promise: PromiseLike<IteratorResult<Event>>,
    private readonly link: Link,
  ) {
    promise.then(
      (value) => this.settle(value, null),
      (reason: unknown) => this.settle(null, { reason }),
    );
  }

  async wait(millis: number): Promise<void> {
    const { channel } = this.link;
    const { arrival } = channel;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.wake = resolve;
      channel.arrival = resolve;
      if (millis !== Infinity) timer = setTimeout(resolve, millis);
    });
    clearTimeout(timer);
    channel.arrival = arrival;
  }

  result(): IteratorResult<Event> {
    if (this.error !== null) throw this.error.reason;
    return this.value as IteratorResult<Event>;
  }

  private settle(value: IteratorResult<Event> | null, error: { readonly reason: unknown } | null): void {
    this.done = true;
    this.value = value;
    this.error = error;
    this.wake();
  }
}
