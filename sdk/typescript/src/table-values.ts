/**
 * What the protocol asks of the values in a table: counts of nulls, codes, string offsets, UTF-8.
 *
 * These are loops over all rows of each batch, so they are written without branches, or look at four codes at once, and
 * leave finding the exact row to nobody: a table that is wrong ends the stage. Neighbour: `table` has checked before that
 * the buffers lie inside the payload.
 */
import { isAscii, isUtf8 } from "node:buffer";
import { Type } from "./schema.js";
import type { Memory } from "./segment.js";
import type { Layout } from "./table.js";

/** What is wrong with a column's values; null if nothing is. */
export function findBadValue(layout: Layout, memory: Memory, rows: number): string | null {
  if (layout.nulls > 0 && rows - countBits(memory.bytes, layout.validity, rows) !== layout.nulls) {
    return `has another number of nulls than \`${layout.nulls}\``;
  }
  if (layout.type !== Type.String && layout.type !== Type.Binary) return null;
  const count = layout.dictionary ? layout.words : rows;
  const fault = findBadText(layout, memory, count);
  if (fault !== null || !layout.dictionary) return fault;
  return codesFit(layout, memory, rows) ? null : `has codes beyond its \`${layout.words}\` dictionary values`;
}

function findBadText(layout: Layout, memory: Memory, count: number): string | null {
  const { int32, bytes } = memory;
  const at = layout.offsets / 4;
  let fell = 0;
  for (let index = at; index < at + count; index++) {
    const next = int32[index + 1] as number;
    fell |= next | (next - (int32[index] as number));
  }
  if (int32[at] !== 0 || fell < 0 || int32[at + count] !== layout.textLength) return "has odd string offsets";
  if (layout.type === Type.Binary || layout.textLength === 0) return null;
  const text = bytes.subarray(layout.text, layout.text + layout.textLength);
  if (isAscii(text)) return null;
  if (!isUtf8(text)) return "has a string that is not UTF-8";
  for (let index = at + 1; index < at + count; index++) {
    const begin = int32[index] as number;
    if (begin < text.length && ((text[begin] as number) & 0xc0) === 0x80) {
      return "has a string that begins inside a character";
    }
  }
  return null;
}

/** Whether the codes of all valid rows are less than the number of words. */
function codesFit(layout: Layout, memory: Memory, rows: number): boolean {
  const { words, values } = layout;
  if (words === 256) return true;
  const whole = rows >> 2;
  let beyond = words > 128 ? 1 : 0;
  if (words <= 128) {
    // Adding 128 - words sets a byte's highest bit if its code is too large; a carry leaves only such a byte.
    const lift = (0x80 - words) * 0x01010101;
    for (let index = values / 4; index < values / 4 + whole; index++) {
      const codes = memory.int32[index] as number;
      beyond |= (codes | (codes + lift)) & 0x80808080;
    }
  }
  for (let row = beyond === 0 ? 4 * whole : 0; row < rows; row++) {
    if ((memory.bytes[values + row] as number) >= words) {
      if (layout.nulls === 0 || bit(memory.bytes, layout.validity, row)) return false;
    }
  }
  return true;
}

/** Whether bit `index` of the bitmap that begins at byte `at` is set. */
export function bit(bytes: Uint8Array, at: number, index: number): boolean {
  return (((bytes[at + (index >> 3)] as number) >> (index & 7)) & 1) === 1;
}

/** How many of the first `count` bits of the bitmap that begins at byte `at` are set. */
export function countBits(bytes: Uint8Array, at: number, count: number): number {
  let ones = 0;
  const whole = count >> 3;
  for (let index = at; index < at + whole; index++) ones += ONES[bytes[index] as number] as number;
  return count % 8 === 0
    ? ones
    : ones + (ONES[(bytes[at + whole] as number) & ((1 << (count & 7)) - 1)] as number);
}

/** Clears the bits of a bitmap behind the last one that is used. */
export function clearUnused(bitmap: Uint8Array, count: number): void {
  if (count % 8 !== 0) bitmap[count >> 3]! &= (1 << (count & 7)) - 1;
}

const ONES = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);
