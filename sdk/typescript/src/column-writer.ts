/**
 * Values of one column into the buffers of a table.
 *
 * Values are checked against the column's type; one that does not fit is the fault of its row. Strings with few different
 * values become a dictionary. Neighbours: `builder` has a writer for each column, `table` lays out.
 */
import { type Event, type Field, Type, typeName } from "./schema.js";
import { DICTIONARY_MAX, EMPTY, type Layout, type TableWriter } from "./table.js";
import { clearUnused } from "./table-values.js";

/** A value at a row that does not fit its column. */
export interface Fault {
  readonly row: number;
  readonly error: Error;
}

/** Below so many rows a dictionary costs more than it saves. */
const DICTIONARY_ROWS_MIN = 32;
/** After a batch whose strings are too many for a dictionary, so many batches are not tried. */
const DICTIONARY_PAUSE = 31;
/** Up to this length a string is copied here, beyond it by the engine, whose call has a price. */
const SHORT = 24;

/** Writes values of one column; keeps what it has learned about it. */
export class ColumnWriter {
  private readonly values: unknown[] = [];
  private readonly pluck: (events: readonly Event[], rows: number, values: unknown[]) => void;
  private validity = new Uint8Array(0);
  private nulls = 0;
  private pause = 0;
  private faults: Fault[] = [];

  constructor(private readonly field: Field) {
    const member = JSON.stringify(field.name);
    // One function for each name, so that the engine knows where in an event the member lies.
    this.pluck = new Function(
      "events",
      "rows",
      "values",
      `"use strict"; for (let i = 0; i < rows; i++) {
        try { values[i] = events[i][${member}]; } catch { values[i] = undefined; }
      }`,
    ) as typeof this.pluck;
  }

  /** Writes the column's member of each event. */
  events(writer: TableWriter, events: readonly Event[], faults: Fault[]): void {
    this.pluck(events, events.length, this.values);
    this.array(writer, this.values, events.length, faults);
    if (faults.length > 0) this.values.length = 0;
  }

  /** Writes values, one for each row. */
  array(writer: TableWriter, values: readonly unknown[], rows: number, faults: Fault[]): void {
    this.nulls = 0;
    this.faults = faults;
    const layout = this.buffers(writer, values, rows);
    writer.column(this.withValidity(writer, layout, rows));
  }

  private buffers(writer: TableWriter, values: readonly unknown[], rows: number): Layout {
    switch (this.field.type) {
      case Type.Bool:
        return this.bools(writer, values, rows);
      case Type.Int64:
      case Type.Timestamp:
        return this.int64s(writer, values, rows);
      case Type.Float64:
        return this.float64s(writer, values, rows);
      case Type.String:
        return this.dictionary(writer, values, rows) ?? this.strings(writer, values, rows);
      case Type.Binary:
        return this.binaries(writer, values, rows);
    }
  }

  private bools(writer: TableWriter, values: readonly unknown[], rows: number): Layout {
    const length = (rows + 7) >> 3;
    const at = writer.reserve(length);
    const bytes = writer.memory.bytes;
    bytes.fill(0, at, at + length);
    for (let row = 0; row < rows; row++) {
      const value = values[row];
      if (value === true) bytes[at + (row >> 3)]! |= 1 << (row & 7);
      else if (value !== false) this.odd(row, rows, value);
    }
    writer.commit(at + length);
    return { ...EMPTY, type: this.field.type, values: at, valuesLength: length };
  }

  private int64s(writer: TableWriter, values: readonly unknown[], rows: number): Layout {
    const at = writer.reserve(8 * rows);
    const { int32, int64 } = writer.memory;
    for (let row = 0, to = at / 4; row < rows; row++, to += 2) {
      const value = values[row];
      if (typeof value === "number") {
        if (value === (value | 0)) {
          int32[to] = value;
          int32[to + 1] = value >> 31;
        } else if (Number.isSafeInteger(value)) {
          int32[to] = value | 0;
          int32[to + 1] = Math.floor(value / 4294967296);
        } else this.odd(row, rows, value);
      } else if (typeof value === "bigint" && BigInt.asIntN(64, value) === value) {
        int64[to / 2] = value;
      } else {
        int32[to] = int32[to + 1] = 0;
        const micros =
          value instanceof Date && this.field.type === Type.Timestamp ? value.getTime() * 1000 : NaN;
        if (Number.isSafeInteger(micros)) int64[to / 2] = BigInt(micros);
        else this.odd(row, rows, value);
      }
    }
    writer.commit(at + 8 * rows);
    return { ...EMPTY, type: this.field.type, values: at, valuesLength: 8 * rows };
  }

  private float64s(writer: TableWriter, values: readonly unknown[], rows: number): Layout {
    const at = writer.reserve(8 * rows);
    const float64 = writer.memory.float64;
    for (let row = 0, to = at / 8; row < rows; row++, to++) {
      const value = values[row];
      if (typeof value === "number") float64[to] = value;
      else {
        float64[to] = 0;
        this.odd(row, rows, value);
      }
    }
    writer.commit(at + 8 * rows);
    return { ...EMPTY, type: this.field.type, values: at, valuesLength: 8 * rows };
  }

  /** Null if the values are too few or too many for a dictionary, or one of them is no string. */
  private dictionary(writer: TableWriter, values: readonly unknown[], rows: number): Layout | null {
    if (rows < DICTIONARY_ROWS_MIN || this.pause > 0) {
      this.pause = Math.max(0, this.pause - 1);
      return null;
    }
    const most = Math.min(DICTIONARY_MAX, rows >> 2);
    const at = writer.reserve(rows);
    const bytes = writer.memory.bytes;
    const codes = new Map<string, number>();
    for (let row = 0; row < rows; row++) {
      const value = values[row];
      if (typeof value === "string") {
        let code = codes.get(value);
        if (code === undefined) {
          code = codes.size;
          if (code === most) {
            this.pause = DICTIONARY_PAUSE;
            this.nulls = 0;
            return null;
          }
          codes.set(value, code);
        }
        bytes[at + row] = code;
      } else if ((value === null || value === undefined) && this.field.nullable) {
        bytes[at + row] = 0;
        this.odd(row, rows, value);
      } else {
        this.nulls = 0;
        return null;
      }
    }
    writer.commit(at + rows);
    const words = [...codes.keys()];
    const text = this.strings(writer, words, words.length);
    return { ...text, dictionary: true, words: words.length, values: at, valuesLength: rows };
  }

  private strings(writer: TableWriter, values: readonly unknown[], rows: number): Layout {
    let most = 0;
    for (let row = 0; row < rows; row++) {
      const value = values[row];
      if (typeof value === "string") most += value.length;
    }
    const offsets = writer.reserve(4 * (rows + 1));
    writer.commit(offsets + 4 * (rows + 1));
    const text = writer.reserve(3 * most);
    const { bytes, int32 } = writer.memory;
    let end = text;
    let to = offsets / 4;
    int32[to++] = 0;
    for (let row = 0; row < rows; row++) {
      const value = values[row];
      if (typeof value === "string") end = writeString(bytes, end, value);
      else this.odd(row, rows, value);
      int32[to++] = end - text;
    }
    writer.commit(end);
    return {
      ...EMPTY,
      type: this.field.type,
      offsets,
      offsetsLength: 4 * (rows + 1),
      text,
      textLength: end - text,
    };
  }

  private binaries(writer: TableWriter, values: readonly unknown[], rows: number): Layout {
    let most = 0;
    for (let row = 0; row < rows; row++) {
      const value = values[row];
      if (value instanceof Uint8Array) most += value.length;
    }
    const offsets = writer.reserve(4 * (rows + 1));
    writer.commit(offsets + 4 * (rows + 1));
    const text = writer.reserve(most);
    const { bytes, int32 } = writer.memory;
    let end = text;
    let to = offsets / 4;
    int32[to++] = 0;
    for (let row = 0; row < rows; row++) {
      const value = values[row];
      if (value instanceof Uint8Array) {
        bytes.set(value, end);
        end += value.length;
      } else this.odd(row, rows, value);
      int32[to++] = end - text;
    }
    writer.commit(end);
    return {
      ...EMPTY,
      type: this.field.type,
      offsets,
      offsetsLength: 4 * (rows + 1),
      text,
      textLength: end - text,
    };
  }

  /** A value that is none of the type: null where that is allowed, a fault otherwise. */
  private odd(row: number, rows: number, value: unknown): void {
    if ((value === null || value === undefined) && this.field.nullable) {
      if (this.nulls++ === 0) {
        const length = (rows + 7) >> 3;
        if (this.validity.length < length) this.validity = new Uint8Array(2 * length);
        this.validity.fill(255, 0, length);
        clearUnused(this.validity, rows);
      }
      this.validity[row >> 3]! &= ~(1 << (row & 7));
    } else this.faults.push({ row, error: misfit(this.field, value) });
  }

  private withValidity(writer: TableWriter, layout: Layout, rows: number): Layout {
    if (this.nulls === 0) return layout;
    const length = (rows + 7) >> 3;
    const validity = writer.copy(this.validity.subarray(0, length));
    return { ...layout, nulls: this.nulls, validity, validityLength: length };
  }
}

/** Writes a string as UTF-8 and gives where it ends. */
function writeString(bytes: Buffer, at: number, value: string): number {
  const length = value.length;
  if (length > SHORT) return at + bytes.write(value, at);
  for (let index = 0; index < length; index++) {
    const unit = value.charCodeAt(index);
    if (unit > 127) return at + bytes.write(value, at);
    bytes[at + index] = unit;
  }
  return at + length;
}

function misfit(field: Field, value: unknown): Error {
  const wanted = typeName(field.type) + (field.nullable ? "?" : "");
  if (value === undefined) {
    return new TypeError(`the event has no \`${field.name}\`, which the output has as \`${wanted}\``);
  }
  const text = typeof value === "string" ? JSON.stringify(value.slice(0, 80)) : String(value).slice(0, 80);
  const message = `\`${text}\` is no value for column \`${field.name}\`, which is \`${wanted}\``;
  if (typeof value === "number" && Number.isInteger(value) && field.type !== Type.String) {
    return new RangeError(`${message}; a whole number beyond 2^53 has to be a bigint`);
  }
  return new TypeError(message);
}
