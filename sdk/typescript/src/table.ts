/**
 * Tables: a batch's columns as they lie in a payload.
 *
 * ```text
 *   0   16            16 + 48 · columns
 *   ┌───┬──────────────┬───────────────────────────────────────────────┐
 *   │MRB│ column structs│ validity, values, string offsets, string bytes │   every buffer at a multiple of 8
 *   └───┴──────────────┴───────────────────────────────────────────────┘
 * ```
 *
 * `readTable` finds the columns of a payload in aligned memory; `TableWriter` puts columns one behind the other into
 * memory that grows. Refuses, with a `TableError`, what the protocol forbids. Neighbours: `table-values` checks what
 * depends on values, `column` shows columns, `events` and `builder` turn them into events and back.
 */
import { type Field, type Schema, Type } from "./schema.js";
import type { Memory, Pool } from "./segment.js";
import { findBadValue } from "./table-values.js";

/** A payload that is no table of the schema. */
export class TableError extends Error {
  override readonly name = "TableError";
}

const MAGIC = 0x3142524d;
const HEADER_BYTES = 16;
const STRUCT_BYTES = 48;
export const DICTIONARY_MAX = 256;

/** Where a column's buffers lie in the memory, in bytes; a length of 0 is no buffer. */
export interface Layout {
  readonly type: Type;
  readonly dictionary: boolean;
  readonly nulls: number;
  /** Number of dictionary values. */
  readonly words: number;
  readonly validity: number;
  readonly validityLength: number;
  readonly values: number;
  readonly valuesLength: number;
  readonly offsets: number;
  readonly offsetsLength: number;
  readonly text: number;
  readonly textLength: number;
}

/** Finds the columns of the table in the first `length` bytes of the memory, and checks all that the protocol asks. */
export function readTable(memory: Memory, length: number, schema: Schema, rows: number): Layout[] {
  const words = memory.uint32;
  const { fields } = schema;
  const head = HEADER_BYTES + STRUCT_BYTES * fields.length;
  if (length < head || words[0] !== MAGIC)
    throw new TableError(`a payload of \`${length}\` bytes is no table`);
  if (words[1] !== rows || words[2] !== fields.length || words[3] !== 0) {
    throw new TableError(
      `a table has \`${words[1]}\` rows and \`${words[2]}\` columns instead of \`${rows}\` and \`${fields.length}\``,
    );
  }
  return fields.map((field, index) => {
    const at = (HEADER_BYTES + STRUCT_BYTES * index) / 4;
    const layout = readLayout(words, at);
    const word = (words[at] as number) >>> 0;
    const reserved = word >>> 9 !== 0 || words[at + 3] !== 0;
    const fault = reserved
      ? "has bits set that mean nothing"
      : (findFault(layout, field, head, length, rows) ?? findBadValue(layout, memory, rows));
    if (fault === null) return layout;
    throw new TableError(`column \`${field.name}\` of a table ${fault}`);
  });
}

function readLayout(words: Uint32Array, at: number): Layout {
  const word = words[at] as number;
  return {
    type: (word & 255) as Type,
    dictionary: ((word >>> 8) & 255) === 1,
    nulls: words[at + 1] as number,
    words: words[at + 2] as number,
    validity: words[at + 4] as number,
    validityLength: words[at + 5] as number,
    values: words[at + 6] as number,
    valuesLength: words[at + 7] as number,
    offsets: words[at + 8] as number,
    offsetsLength: words[at + 9] as number,
    text: words[at + 10] as number,
    textLength: words[at + 11] as number,
  };
}

/** What is wrong with a column's struct: its type, or where its buffers lie and how long they are. */
function findFault(layout: Layout, field: Field, head: number, length: number, rows: number): string | null {
  if (layout.type !== field.type) return `has the type \`${layout.type}\` instead of \`${field.type}\``;
  if (layout.dictionary && layout.type !== Type.String)
    return "has a dictionary, which only strings may have";
  if (layout.words > (layout.dictionary ? DICTIONARY_MAX : 0))
    return `has \`${layout.words}\` dictionary values`;
  const outside = (at: number, bytes: number): boolean =>
    at + bytes > length || (bytes > 0 && (at % 8 !== 0 || at < head));
  if (
    outside(layout.validity, layout.validityLength) ||
    outside(layout.values, layout.valuesLength) ||
    outside(layout.offsets, layout.offsetsLength) ||
    outside(layout.text, layout.textLength)
  ) {
    return "lies outside the payload, or at no multiple of 8";
  }
  const bitmap = layout.nulls === 0 ? 0 : Math.ceil(rows / 8);
  if (layout.nulls > (field.nullable ? rows : 0) || layout.validityLength !== bitmap) {
    return `has \`${layout.nulls}\` nulls and a bitmap of \`${layout.validityLength}\` bytes`;
  }
  const texts = layout.type === Type.String || layout.type === Type.Binary;
  const offsets = texts ? 4 * ((layout.dictionary ? layout.words : rows) + 1) : 0;
  if (
    layout.valuesLength !== valuesLength(layout.type, layout.dictionary, rows) ||
    layout.offsetsLength !== offsets ||
    (!texts && layout.textLength !== 0)
  ) {
    return `has \`${layout.valuesLength}\` bytes of values and \`${layout.offsetsLength}\` of offsets for \`${rows}\` rows`;
  }
  return null;
}

/** Bytes of the buffer `values`. */
export function valuesLength(type: Type, dictionary: boolean, rows: number): number {
  if (type === Type.Bool) return Math.ceil(rows / 8);
  if (type === Type.String || type === Type.Binary) return dictionary ? rows : 0;
  return 8 * rows;
}

/** Puts a table together: `begin`, the buffers of each column, `column`, `finish`. */
export class TableWriter {
  memory: Memory;
  /** Where the next buffer begins if it needs no alignment beyond 8. */
  length = 0;
  private columns = 0;

  constructor(private readonly pool: Pool) {
    this.memory = pool.take(0);
  }

  begin(rows: number, columns: number): void {
    const head = HEADER_BYTES + STRUCT_BYTES * columns;
    this.length = 0;
    this.columns = 0;
    this.reserve(head);
    this.length = head;
    this.memory.bytes.fill(0, 0, head);
    this.memory.uint32[0] = MAGIC;
    this.memory.uint32[1] = rows;
    this.memory.uint32[2] = columns;
  }

  /** Makes room for so many bytes behind what is there, and gives their offset. The memory may move. */
  reserve(bytes: number): number {
    const end = this.length + bytes + 8;
    if (end > this.memory.capacity) {
      const grown = this.pool.take(end);
      grown.bytes.set(this.memory.bytes.subarray(0, this.length));
      this.pool.give(this.memory);
      this.memory = grown;
    }
    return this.length;
  }

  /** The reserved bytes up to `end` are a buffer; the next begins at a multiple of 8. */
  commit(end: number): void {
    const aligned = (end + 7) & ~7;
    for (let at = end; at < aligned; at++) this.memory.bytes[at] = 0;
    this.length = aligned;
  }

  /** Copies a buffer, and gives its offset. */
  copy(bytes: Uint8Array): number {
    const at = this.reserve(bytes.length);
    this.memory.bytes.set(bytes, at);
    this.commit(at + bytes.length);
    return at;
  }

  /** Describes the next column. */
  column(layout: Layout): void {
    const at = (HEADER_BYTES + STRUCT_BYTES * this.columns++) / 4;
    const words = this.memory.uint32;
    words[at] = layout.type | (layout.dictionary ? 256 : 0);
    words[at + 1] = layout.nulls;
    words[at + 2] = layout.words;
    words[at + 4] = layout.validity;
    words[at + 5] = layout.validityLength;
    words[at + 6] = layout.values;
    words[at + 7] = layout.valuesLength;
    words[at + 8] = layout.offsets;
    words[at + 9] = layout.offsetsLength;
    words[at + 10] = layout.text;
    words[at + 11] = layout.textLength;
  }

  /** The table; valid until the next `begin`. */
  finish(): Uint8Array {
    return this.memory.bytes.subarray(0, this.length);
  }

  /** Hands the memory over to its caller; the writer goes on in another. */
  detach(): Memory {
    const memory = this.memory;
    this.memory = this.pool.take(memory.capacity);
    return memory;
  }
}

export const EMPTY: Layout = {
  type: Type.Int64,
  dictionary: false,
  nulls: 0,
  words: 0,
  validity: 0,
  validityLength: 0,
  values: 0,
  valuesLength: 0,
  offsets: 0,
  offsetsLength: 0,
  text: 0,
  textLength: 0,
};
