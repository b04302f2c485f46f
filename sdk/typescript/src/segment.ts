/**
 * Segments and the memory that their payloads are moved through.
 *
 * ```text
 *   input segment ──positioned read──▶ Memory ──▶ columns         columns ──▶ parts ──positioned write──▶ output segment
 * ```
 *
 * Node cannot map a memfd by itself, so payloads are read and written at their position, into and out of aligned memory
 * that is used again. Where the add-on is there (`native`), blocks of text are read right into the segment. Slots are found first fit at the lowest address, so that few pages stay hot. Refuses what lies outside the
 * segment. Neighbours: `table` reads and writes what is in a `Memory`, `run` frees slots by credit.
 */
import { readSync, writeSync, writevSync } from "node:fs";
import { createRequire } from "node:module";

/** Aligned bytes under all the types that columns have. */
export class Memory {
  readonly bytes: Buffer;
  readonly int32: Int32Array;
  readonly uint32: Uint32Array;
  readonly float64: Float64Array;
  readonly int64: BigInt64Array;

  constructor(readonly capacity: number) {
    const buffer = new ArrayBuffer(capacity);
    this.bytes = Buffer.from(buffer);
    this.int32 = new Int32Array(buffer);
    this.uint32 = new Uint32Array(buffer);
    this.float64 = new Float64Array(buffer);
    this.int64 = new BigInt64Array(buffer);
  }

  /** Memory for so many bytes; sizes are powers of two, so that what was used before fits again. */
  static of(bytes: number): Memory {
    return new Memory(Math.max(4096, 2 ** Math.ceil(Math.log2(Math.max(bytes, 1)))));
  }
}

const POOLED_MAX = 4;

/** Memory that was given back, to be used again. */
export class Pool {
  private readonly free: Memory[] = [];

  /** `poison` overwrites what is given back, so that a test sees who looks at it later. */
  constructor(private readonly poison = false) {}

  take(bytes: number): Memory {
    for (let at = this.free.length - 1; at >= 0; at--) {
      const memory = this.free[at] as Memory;
      if (memory.capacity >= bytes) {
        this.free.splice(at, 1);
        return memory;
      }
    }
    return Memory.of(bytes);
  }

  give(memory: Memory): void {
    if (this.poison) memory.bytes.fill(0xdb);
    if (this.free.length === POOLED_MAX) this.free.shift();
    this.free.push(memory);
  }
}

/** Reads `length` bytes at a position of a segment. */
export function readSegment(descriptor: number, into: Memory, position: number, length: number): void {
  for (let at = 0; at < length;) {
    const bytes = readSync(descriptor, into.bytes, at, length - at, position + at);
    if (bytes === 0) throw new RangeError(`the input segment ends at \`${position + at}\`, inside a batch`);
    at += bytes;
  }
}

/** Writes the parts one behind the other at a position of a segment. */
export function writeSegment(descriptor: number, parts: readonly Uint8Array[], position: number): void {
  let length = 0;
  for (const part of parts) length += part.length;
  const only = parts[0];
  if (only === undefined) return;
  const written =
    parts.length === 1
      ? writeSync(descriptor, only, 0, length, position)
      : writevSync(descriptor, parts as Uint8Array[], position);
  if (written === length) return;
  // A write of a regular file is short only where it meets a limit of the system; go on behind it.
  let skip = written;
  let at = position + written;
  for (const part of parts) {
    for (let from = Math.min(skip, part.length); from < part.length;) {
      const more = writeSync(descriptor, part, from, part.length - from, at);
      from += more;
      at += more;
    }
    skip = Math.max(0, skip - part.length);
  }
}

/** The output segment as memory of this process; null where the add-on is missing or may not be loaded. */
export function mapSegment(descriptor: number, bytes: number): Buffer | null {
  try {
    const native = createRequire(import.meta.url)("../native/segment.node") as {
      map(descriptor: number, bytes: number): ArrayBuffer;
    };
    return Buffer.from(native.map(descriptor, bytes));
  } catch {
    return null;
  }
}

const ALIGNMENT = 64;

/** Finds slots in the output segment. */
export class Slots {
  /** Where slots in use begin and end, in order, two numbers each. */
  private readonly used: number[] = [];

  constructor(private readonly size: number) {}

  /** The offset of a free slot at the lowest address, or -1. */
  take(length: number): number {
    const need = Math.ceil(Math.max(length, 1) / ALIGNMENT) * ALIGNMENT;
    let begin = 0;
    let at = 0;
    for (; at < this.used.length && (this.used[at] as number) - begin < need; at += 2) {
      begin = this.used[at + 1] as number;
    }
    // The last slot may end with the segment, whose size need not be a multiple of the alignment.
    if (at === this.used.length && begin + length > this.size) return -1;
    this.used.splice(at, 0, begin, begin + need);
    return begin;
  }

  /** Leaves only `length` bytes to the slot at an offset. */
  shrink(offset: number, length: number): void {
    const at = this.used.findIndex((begin, at) => at % 2 === 0 && begin === offset);
    if (at >= 0) this.used[at + 1] = offset + Math.ceil(Math.max(length, 1) / ALIGNMENT) * ALIGNMENT;
  }

  /** Frees the slot at an offset. */
  give(offset: number): void {
    for (let at = 0; at < this.used.length; at += 2) {
      if (this.used[at] === offset) {
        this.used.splice(at, 2);
        return;
      }
    }
  }
}
