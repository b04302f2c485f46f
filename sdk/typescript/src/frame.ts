/**
 * Frames: `message_length: u32, payload_length: u32, message, payload`, and the two messages of the hot path.
 *
 * ```text
 *   descriptor ──▶ space() … filled(n) ──▶ next(): one frame at a time, as fields of the reader
 *   batch(), credit(), message() ──▶ take(): all frames since the last time, for one write
 * ```
 *
 * `Batch` and `Credit` are plain structs of 44 and 21 bytes, whose fields the reader shows as numbers, without an object
 * for each. Refuses, with a `FrameError`, frames that are longer than allowed and structs of another layout.
 * Neighbours: `message` knows all other messages, `channel` moves the bytes.
 */

/** A frame that breaks a rule of the protocol. */
export class FrameError extends Error {
  override readonly name = "FrameError";
}

export const MESSAGE_MAX = 1 << 20;
export const STATE_CHUNK_MAX = 1 << 20;

/** What `input` is for a batch that no single batch caused, and `offset` for an inline payload. */
export const NONE = -1;

/** Of a frame whose message has not begun to come. */
const UNKNOWN_TAG = -1;
const READ_BYTES = 64 << 10;
const BATCH_LENGTH = 44;
const CREDIT_LENGTH = 21;
const BATCH_TAG = 0x12;
const CREDIT_TAG = 0x1a;
const STATE_TAG = 0x22;
const WORD = 2 ** 32;

/** What a frame holds: `Message` is any but the two of the hot path. */
export const Frame = { Batch: 1, Credit: 2, Message: 3 } as const;
export type Frame = (typeof Frame)[keyof typeof Frame];

/** Takes bytes in as they come and shows one whole frame at a time. */
export class FrameReader {
  /** The longest inline payload of a batch; none may come before `Open` has said it. */
  payloadMax = 0;

  kind: Frame = Frame.Message;
  seq = 0;
  /** Of a batch: where the payload lies in the segment, or `NONE`. */
  offset = NONE;
  length = 0;
  rows = 0;
  form = 0;
  /** Of a batch: the batch that caused it, or `NONE`. */
  input = NONE;
  events = 0;
  filtered = 0;

  private buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  private start = 0;
  private end = 0;
  private messageStart = 0;
  private payloadStart = 0;
  private payloadEnd = 0;

  /** The message of the frame, valid until the next call. */
  get message(): Uint8Array {
    return this.buffer.subarray(this.messageStart, this.payloadStart);
  }

  /** The inline payload of the frame, valid until the next call. */
  get payload(): Uint8Array {
    return this.buffer.subarray(this.payloadStart, this.payloadEnd);
  }

  /** Room for bytes of the descriptor; at least the rest of the frame that has begun fits. */
  space(): Buffer {
    if (this.start === this.end) this.start = this.end = 0;
    const held = this.end - this.start;
    const needed = Math.max(held + 1, held > 8 ? this.frameLength() : 9);
    if (this.start + needed > this.buffer.length) {
      const room = needed > this.buffer.length ? Buffer.allocUnsafeSlow(2 * needed) : this.buffer;
      this.buffer.copy(room, 0, this.start, this.end);
      this.buffer = room;
      this.start = 0;
      this.end = held;
    }
    return this.end === 0 ? this.buffer : this.buffer.subarray(this.end);
  }

  /** So many bytes were written into the room. */
  filled(bytes: number): void {
    this.end += bytes;
  }

  /** Goes to the next frame; false if it is not there as a whole yet. */
  next(): boolean {
    if (this.end - this.start < 8) return false;
    const length = this.frameLength();
    if (this.end - this.start < length) return false;
    this.messageStart = this.start + 8;
    this.payloadStart = this.messageStart + this.buffer.readUInt32LE(this.start);
    this.payloadEnd = this.start + length;
    this.start = this.payloadEnd;
    const tag = this.payloadStart > this.messageStart ? this.buffer[this.messageStart] : 0;
    if (tag === BATCH_TAG) this.readBatch();
    else if (tag === CREDIT_TAG) this.readCredit();
    else this.kind = Frame.Message;
    return true;
  }

  /** Bytes of the frame that has begun; refuses one that is too long before it has come as a whole. */
  private frameLength(): number {
    const message = this.buffer.readUInt32LE(this.start);
    const payload = this.buffer.readUInt32LE(this.start + 4);
    const tag = message === 0 ? 0 : this.end - this.start > 8 ? this.buffer[this.start + 8] : UNKNOWN_TAG;
    const most = this.payloadLimit(tag);
    if (message > MESSAGE_MAX || payload > most) {
      throw new FrameError(
        `a frame announces \`${message}\` and \`${payload}\` bytes where at most \`${MESSAGE_MAX}\` and \`${most}\` may be`,
      );
    }
    return 8 + message + payload;
  }

  private payloadLimit(tag: number | undefined): number {
    if (tag === BATCH_TAG) return this.payloadMax;
    return tag === STATE_TAG ? STATE_CHUNK_MAX : tag === UNKNOWN_TAG ? Infinity : 0;
  }

  private readBatch(): void {
    const [bytes, at] = [this.buffer, this.messageStart];
    const whole =
      this.payloadStart - at === BATCH_LENGTH &&
      bytes[at + 1] === BATCH_LENGTH - 2 &&
      bytes[at + 2] === 0x09 &&
      bytes[at + 11] === 0x11 &&
      bytes[at + 20] === 0x1d &&
      bytes[at + 25] === 0x25 &&
      bytes[at + 30] === 0x2d &&
      bytes[at + 35] === 0x31;
    if (!whole) throw new FrameError("a `Batch` message has not the one layout that the protocol gives it");
    this.kind = Frame.Batch;
    this.seq = readU64(bytes, at + 3);
    this.offset = readU64(bytes, at + 12);
    this.length = bytes.readUInt32LE(at + 21);
    this.rows = bytes.readUInt32LE(at + 26);
    this.form = bytes.readUInt32LE(at + 31);
    this.input = readU64(bytes, at + 36);
    if (this.form > 1)
      throw new FrameError(`batch \`${this.seq}\` has the form \`${this.form}\`, which there is not`);
    if (this.offset !== NONE && this.offset % 64 !== 0) {
      throw new FrameError(`batch \`${this.seq}\` lies at \`${this.offset}\`, which is no multiple of 64`);
    }
    const inline = this.payloadEnd - this.payloadStart;
    if (inline !== (this.offset === NONE ? this.length : 0)) {
      throw new FrameError(
        `batch \`${this.seq}\` of \`${this.length}\` bytes has \`${inline}\` bytes inline`,
      );
    }
  }

  private readCredit(): void {
    const [bytes, at] = [this.buffer, this.messageStart];
    const whole =
      this.payloadStart - at === CREDIT_LENGTH &&
      bytes[at + 1] === CREDIT_LENGTH - 2 &&
      bytes[at + 2] === 0x09 &&
      bytes[at + 11] === 0x15 &&
      bytes[at + 16] === 0x1d;
    if (!whole) throw new FrameError("a `Credit` message has not the one layout that the protocol gives it");
    this.kind = Frame.Credit;
    this.seq = readU64(bytes, at + 3);
    this.events = bytes.readUInt32LE(at + 12);
    this.filtered = bytes.readUInt32LE(at + 17);
  }
}

/** A batch as its message describes it. */
export interface BatchHead {
  readonly seq: number;
  /** Where the payload lies in the segment, or `NONE` if it is inline. */
  readonly offset: number;
  readonly length: number;
  readonly rows: number;
  readonly form: number;
  readonly input: number;
}

/** Gathers frames, so that those that follow each other at once are one write. */
export class FrameWriter {
  private buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  private end = 0;

  /** Bytes that wait to be written. */
  get pending(): number {
    return this.end;
  }

  /** All frames since the last time, valid until the next frame is added. */
  take(): Uint8Array {
    const bytes = this.buffer.subarray(0, this.end);
    this.end = 0;
    return bytes;
  }

  /** Adds a batch; an inline payload is copied. */
  batch(head: BatchHead, payload: readonly Uint8Array[]): void {
    const inline = head.offset === NONE ? head.length : 0;
    const at = this.begin(BATCH_LENGTH, inline);
    const bytes = this.buffer;
    bytes[at] = BATCH_TAG;
    bytes[at + 1] = BATCH_LENGTH - 2;
    bytes[at + 2] = 0x09;
    writeU64(bytes, at + 3, head.seq);
    bytes[at + 11] = 0x11;
    writeU64(bytes, at + 12, head.offset);
    bytes[at + 20] = 0x1d;
    bytes.writeUInt32LE(head.length, at + 21);
    bytes[at + 25] = 0x25;
    bytes.writeUInt32LE(head.rows, at + 26);
    bytes[at + 30] = 0x2d;
    bytes.writeUInt32LE(head.form, at + 31);
    bytes[at + 35] = 0x31;
    writeU64(bytes, at + 36, head.input);
    if (inline > 0) this.append(at + BATCH_LENGTH, payload);
  }

  credit(seq: number, events: number, filtered: number): void {
    const at = this.begin(CREDIT_LENGTH, 0);
    const bytes = this.buffer;
    bytes[at] = CREDIT_TAG;
    bytes[at + 1] = CREDIT_LENGTH - 2;
    bytes[at + 2] = 0x09;
    writeU64(bytes, at + 3, seq);
    bytes[at + 11] = 0x15;
    bytes.writeUInt32LE(events, at + 12);
    bytes[at + 16] = 0x1d;
    bytes.writeUInt32LE(filtered, at + 17);
  }

  /** Adds any other message; a `State` has a payload. */
  message(message: Uint8Array, payload?: Uint8Array): void {
    const at = this.begin(message.length, payload?.length ?? 0);
    this.append(at, payload === undefined ? [message] : [message, payload]);
  }

  /** Writes a frame's lengths and gives the place of its message. */
  private begin(message: number, payload: number): number {
    const end = this.end + 8 + message + payload;
    if (end > this.buffer.length) {
      const room = Buffer.allocUnsafeSlow(Math.max(end, 2 * this.buffer.length));
      this.buffer.copy(room, 0, 0, this.end);
      this.buffer = room;
    }
    this.buffer.writeUInt32LE(message, this.end);
    this.buffer.writeUInt32LE(payload, this.end + 4);
    const at = this.end + 8;
    this.end = end;
    return at;
  }

  private append(at: number, parts: readonly Uint8Array[]): void {
    let end = at;
    for (const part of parts) {
      this.buffer.set(part, end);
      end += part.length;
    }
  }
}

/** 2^64 - 1 is `NONE`; no other number comes near 2^53. */
function readU64(bytes: Buffer, at: number): number {
  const low = bytes.readUInt32LE(at);
  const high = bytes.readUInt32LE(at + 4);
  return high === WORD - 1 && low === WORD - 1 ? NONE : high * WORD + low;
}

function writeU64(bytes: Buffer, at: number, value: number): void {
  bytes.writeUInt32LE(value === NONE ? WORD - 1 : value % WORD, at);
  bytes.writeUInt32LE(value === NONE ? WORD - 1 : Math.floor(value / WORD), at + 4);
}
