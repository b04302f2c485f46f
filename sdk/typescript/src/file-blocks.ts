/**
 * Files in blocks of whole lines, for sources of raw text.
 *
 * ```text
 *   file ──positioned read──▶ one buffer, used again ──up to the last newline──▶ TextBlock ──▶ segment, without a copy
 *     └───────────────────────▶ a slot of the segment, where that can be mapped ──▶ TextBlock
 * ```
 *
 * The next read begins right behind the last whole line, so nothing is moved in memory. Where the link wants N lines a
 * batch, a block has N lines. A last line without a newline is a line; a line longer than the buffer makes it grow. A
 * byte order mark is skipped. What is no regular file, such as a pipe, is read as it comes. Refuses a missing file when
 * it opens, before anything is read. Neighbours: `source` emits blocks, `raw` writes them.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const NEWLINE = 10;
const BLOCK_BYTES = 2 << 20;
const BLOCK_BYTES_MAX = 1 << 30;

/** Raw text: one line, or a block of whole lines. */
export class TextBlock {
  constructor(
    /** Where the text comes from, such as a file's name. */
    readonly source: string,
    /** Where in it the text begins, in bytes. */
    readonly offset: number,
    /** Valid until the next block is asked for. */
    readonly text: Uint8Array,
    /** The number of its first line, from 1; null if nobody has counted. */
    readonly line: number | null = null,
  ) {}
}

interface File {
  readonly name: string;
  readonly descriptor: number;
  readonly regular: boolean;
}

/** Iterates over the blocks of files. */
export class FileBlocks implements Iterable<TextBlock> {
  /** How many lines a block has; 0: as many as fit. `run` sets it to what the link wants. */
  lines = 0;
  bytesRead = 0;
  readonly bytesTotal: number;
  private buffer: Buffer;
  private readonly files: File[];
  /** Where `buffer` begins in the current file. */
  private position = 0;
  /** What of the buffer was read and not handed over. */
  private start = 0;
  private end = 0;
  private ended = false;

  constructor(paths: readonly string[], blockBytes: number) {
    this.buffer = Buffer.allocUnsafeSlow(blockBytes);
    let total = 0;
    this.files = paths.map((name) => {
      const descriptor = openSync(name, "r");
      const stat = fstatSync(descriptor);
      if (stat.isDirectory()) throw new Error(`\`${name}\` is a folder; name the files in it`);
      total += stat.isFile() ? stat.size : NaN;
      return { name, descriptor, regular: stat.isFile() };
    });
    this.bytesTotal = Number.isNaN(total) ? 0 : total;
  }

  /** The next block, or null at the end of the last file. */
  next(): TextBlock | null {
    for (let file = this.files[0]; file !== undefined; file = this.files[0]) {
      const cut = this.cut();
      if (cut > this.start) return this.handOver(file, cut);
      if (this.ended) this.close(file);
      else this.read(file);
    }
    return null;
  }

  /** Bytes of a block at most. */
  get blockBytes(): number {
    return this.buffer.length;
  }

  /** The file that the next block comes from; null at the end of the last one. */
  get source(): string | null {
    return this.files[0]?.name ?? null;
  }

  /** Whether the next block can be read into memory of somebody else's. */
  get isDirect(): boolean {
    return this.lines === 0 && this.files[0]?.regular === true;
  }

  /**
   * Reads the next block of the current file into `room`; null where that takes another way: at the end of the file, or
   * where a line is longer. `next` finds out.
   */
  nextInto(room: Buffer): TextBlock | null {
    const file = this.files[0];
    if (file === undefined) return null;
    // What was read and not handed over is read again.
    this.bytesRead -= this.end - this.start;
    this.position += this.start;
    this.start = this.end = 0;
    if (
      this.position === 0 &&
      fill(file.descriptor, room, 3, 0) === 3 &&
      room.readUIntBE(0, 3) === 0xefbbbf
    ) {
      this.position = this.bytesRead = 3;
    }
    const end = fill(file.descriptor, room, room.length, this.position);
    const cut = end < room.length ? end : room.lastIndexOf(NEWLINE) + 1;
    if (cut === 0) return null;
    const block = new TextBlock(file.name, this.position, room.subarray(0, cut));
    this.position += cut;
    this.bytesRead += cut;
    return block;
  }

  *[Symbol.iterator](): Iterator<TextBlock> {
    for (let block = this.next(); block !== null; block = this.next()) yield block;
  }

  /** The end of the next block in the buffer; its beginning if more has to be read first. */
  private cut(): number {
    const { buffer, start, end } = this;
    if (this.lines === 0) {
      if (this.ended || end === start) return end;
      return Math.max(start, buffer.lastIndexOf(NEWLINE, end - 1) + 1);
    }
    let cut = start;
    for (let line = 0; line < this.lines; line++) {
      const newline = cut < end ? buffer.indexOf(NEWLINE, cut) : -1;
      if (newline < 0 || newline >= end) return this.ended ? end : start;
      cut = newline + 1;
    }
    return cut;
  }

  private handOver(file: File, cut: number): TextBlock {
    let from = this.start;
    const first = this.position + from === 0;
    if (first && cut >= 3 && this.buffer.readUIntBE(0, 3) === 0xefbbbf) from = 3;
    this.start = cut;
    return new TextBlock(file.name, this.position + from, this.buffer.subarray(from, cut));
  }

  /** Fills the buffer, from the first byte on that was not handed over. */
  private read(file: File): void {
    const held = this.end - this.start;
    if (held === this.buffer.length) this.grow(file);
    else if (!file.regular) this.buffer.copyWithin(0, this.start, this.end);
    this.position += this.start;
    this.start = 0;
    // Reading a few bytes again costs less than moving them.
    this.end = file.regular ? 0 : held;
    let bytes: number;
    do {
      const from = file.regular ? this.position + this.end : null;
      bytes = readSync(file.descriptor, this.buffer, this.end, this.buffer.length - this.end, from);
      this.end += bytes;
    } while (bytes > 0 && this.end < this.buffer.length && file.regular);
    this.bytesRead += this.end - held;
    this.ended = bytes === 0;
  }

  private grow(file: File): void {
    const length = 2 * this.buffer.length;
    if (length > BLOCK_BYTES_MAX) {
      throw new RangeError(`\`${file.name}\` has lines beyond 1 GiB at \`${this.position}\``);
    }
    const grown = Buffer.allocUnsafeSlow(length);
    if (!file.regular) this.buffer.copy(grown, 0, this.start, this.end);
    this.buffer = grown;
  }

  private close(file: File): void {
    closeSync(file.descriptor);
    this.files.shift();
    this.position = this.start = this.end = 0;
    this.ended = false;
  }
}

/** Reads `length` bytes at a position of a regular file, or all that there are. */
function fill(descriptor: number, into: Buffer, length: number, position: number): number {
  let end = 0;
  for (let bytes = -1; bytes !== 0 && end < length; end += bytes) {
    bytes = readSync(descriptor, into, end, length - end, position + end);
  }
  return end;
}

/**
 * The files at `paths` in blocks of whole lines, `block` bytes each or less. For `source`:
 * `source(({ config }) => fileBlocks(config.path))`.
 */
export function fileBlocks(paths: string | readonly string[], options: { block?: number } = {}): FileBlocks {
  return new FileBlocks(
    typeof paths === "string" ? [paths] : paths,
    Math.max(16, options.block ?? BLOCK_BYTES),
  );
}
