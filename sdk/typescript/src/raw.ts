/**
 * Raw text as tables: one row of `source`, `offset`, `line` and `text`.
 *
 * The text stays where it is: a table is a head of a few hundred bytes, made once for each source and changed in
 * place, and the text behind it. Neighbours: `file-blocks` reads text, `run` writes both parts with one call.
 */
import type { TextBlock } from "./file-blocks.js";
import { RAW, type Schema, Type } from "./schema.js";
import { Memory, Pool } from "./segment.js";
import { EMPTY, TableWriter } from "./table.js";

/** Whether these are the columns of raw text. */
export function isRaw(schema: Schema): boolean {
  return (
    schema.fields.length === RAW.fields.length &&
    schema.fields.every(
      ({ name, type }, at) => name === RAW.fields[at]?.name && type === RAW.fields[at]?.type,
    )
  );
}

/** Makes the tables of blocks. */
export class RawWriter {
  private source: string | null = null;
  private memory = new Memory(4096);
  private length = 0;
  private offset = 0;
  private line = 0;

  /** The table of a block; its head is valid until the next one. */
  parts(block: TextBlock, text: Uint8Array = block.text, offset = block.offset): Uint8Array[] {
    if (block.source !== this.source) this.head(block.source);
    const { int32, int64, uint32 } = this.memory;
    int64[this.offset / 8] = BigInt(offset);
    // The line's struct, its nulls and validity; the text's struct has its length twice.
    const known = block.line !== null && text === block.text;
    uint32[(16 + 2 * 48) / 4 + 1] = known ? 0 : 1;
    uint32[(16 + 2 * 48) / 4 + 5] = known ? 0 : 1;
    int64[this.line / 8] = known ? BigInt(block.line) : 0n;
    int32[this.length / 4 - 1] = text.length;
    uint32[(16 + 3 * 48) / 4 + 11] = text.length;
    return [this.memory.bytes.subarray(0, this.length), text];
  }

  /** Bytes of the head of a table of `source`. */
  headLength(source: string): number {
    if (source !== this.source) this.head(source);
    return this.length;
  }

  private head(source: string): void {
    const writer = new TableWriter(new Pool());
    writer.begin(1, 4);
    const name = Buffer.from(source, "utf8");
    const nameOffsets = writer.copy(new Uint8Array(Int32Array.of(0, name.length).buffer));
    const nameText = writer.copy(name);
    this.offset = writer.copy(new Uint8Array(8));
    this.line = writer.copy(new Uint8Array(8));
    const validity = writer.copy(new Uint8Array(1));
    const offsets = writer.copy(new Uint8Array(8));
    this.length = writer.length;
    const string = { ...EMPTY, offsetsLength: 8 };
    writer.column({
      ...string,
      type: Type.String,
      offsets: nameOffsets,
      text: nameText,
      textLength: name.length,
    });
    writer.column({ ...EMPTY, type: Type.Int64, values: this.offset, valuesLength: 8 });
    writer.column({ ...EMPTY, type: Type.Int64, validity, values: this.line, valuesLength: 8 });
    writer.column({ ...string, type: Type.Binary, offsets, text: this.length });
    this.memory = writer.detach();
    this.source = source;
  }
}

/** Events in raw text: lines that are not blank. */
export function countLines(text: Uint8Array): number {
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.length);
  let lines = 0;
  for (let at = 0; at < bytes.length;) {
    const newline = bytes.indexOf(10, at);
    const end = newline < 0 ? bytes.length : newline;
    for (let byte = at; byte < end; byte++) {
      const value = bytes[byte] as number;
      if (value !== 32 && value !== 13 && value !== 9) {
        lines++;
        break;
      }
    }
    at = end + 1;
  }
  return lines;
}
