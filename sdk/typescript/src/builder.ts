/**
 * The way back: events, or columns in any of the forms that code has them in, into a table.
 *
 * ```text
 *   events ──one column at a time──▶ values ─┐
 *   arrays, typed arrays, columns ───────────┴─▶ TableWriter
 * ```
 *
 * Values are checked against the schema; a value that does not fit is the fault of its event, not of the batch. A member
 * that is missing is null, one that is no column is ignored. Strings with few different values become a dictionary.
 * Neighbours: `table` lays out, `events` reads.
 */
import { Batch } from "./batch.js";
import { Column } from "./column.js";
import { type Event, type Field, type Schema, Type, typeName } from "./schema.js";
import type { Pool } from "./segment.js";
import { DICTIONARY_MAX, EMPTY, type Layout, TableWriter, valuesLength } from "./table.js";
import { clearUnused, countBits } from "./table-values.js";

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
class ColumnWriter {
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

/** Makes tables of one schema. */
export class Encoder {
  private readonly columns: ColumnWriter[];

  constructor(readonly schema: Schema) {
    this.columns = schema.fields.map((field) => new ColumnWriter(field));
  }

  /** Writes events; with faults what was written is of no use. */
  events(writer: TableWriter, events: readonly Event[]): Fault[] {
    const faults: Fault[] = [];
    writer.begin(events.length, this.columns.length);
    for (const column of this.columns) column.events(writer, events, faults);
    return faults;
  }

  /** Writes columns by name; throws if one is missing, does not fit, or has another number of rows. */
  batch(writer: TableWriter, columns: Readonly<Record<string, ColumnInput>>, rows?: number): number {
    const { fields } = this.schema;
    const count = rows ?? (fields[0] === undefined ? 0 : rowsOf(columns[fields[0].name], fields[0]));
    writer.begin(count, fields.length);
    for (const [at, field] of fields.entries()) {
      const input = columns[field.name];
      const found = rowsOf(input, field);
      if (found !== count) {
        throw new RangeError(`column \`${field.name}\` has \`${found}\` rows where others have \`${count}\``);
      }
      this.input(writer, at, field, input as ColumnInput, count);
    }
    const stranger = Object.keys(columns).find((name) => !fields.some((field) => field.name === name));
    if (stranger !== undefined) {
      const names = fields.map((field) => `\`${field.name}\``).join(", ");
      throw new RangeError(`the output has no column \`${stranger}\`; its columns are ${names}`);
    }
    return count;
  }

  private input(writer: TableWriter, at: number, field: Field, input: ColumnInput, rows: number): void {
    if (input instanceof Column) {
      if (input.type !== field.type || (input.nulls > 0 && !field.nullable)) {
        throw new TypeError(
          `column \`${field.name}\` is \`${typeName(field.type)}${field.nullable ? "?" : ""}\`, what was given is \`${typeName(input.type)}\` with \`${input.nulls}\` nulls`,
        );
      }
      copyColumn(writer, input);
      return;
    }
    if ("codes" in input) {
      copyCodes(writer, field, input, rows);
      return;
    }
    const nested = "values" in input && !Array.isArray(input) && !ArrayBuffer.isView(input);
    const { values, validity = null } = nested ? (input as NullableValues) : { values: input as PlainValues };
    const plain = Array.isArray(values) ? values : null;
    if (plain === null && copyTyped(writer, field, values as TypedValues, validity, rows)) return;
    const list: unknown[] = plain ?? Array.from(values as ArrayLike<unknown>);
    const nulled = validity
      ? list.map((value, row) => (((validity[row >> 3] as number) >> (row & 7)) & 1 ? value : null))
      : list;
    const faults: Fault[] = [];
    this.columns[at]?.array(writer, nulled, rows, faults);
    if (faults[0] !== undefined) throw faults[0].error;
  }
}

export type TypedValues = BigInt64Array | Float64Array | Int32Array | Uint32Array | Uint8Array;

type PlainValues = readonly unknown[] | TypedValues;

interface NullableValues {
  readonly values: PlainValues;
  /** One bit for each row, 1 where there is a value. */
  readonly validity?: Uint8Array | null;
}

interface CodedValues {
  /** One code for each row: which of the words of `dictionary` it has. */
  readonly codes: Uint8Array;
  readonly dictionary: readonly string[];
  readonly validity?: Uint8Array | null;
}

/** A column's values in one of the forms that `context.batch` takes. */
export type ColumnInput = Column | PlainValues | NullableValues | CodedValues;

function rowsOf(input: ColumnInput | undefined, field: Field): number {
  if (input === undefined)
    throw new RangeError(`there are no values for the output's column \`${field.name}\``);
  if (input instanceof Column) return input.length;
  if ("codes" in input) return input.codes.length;
  return "values" in input && !Array.isArray(input) && !ArrayBuffer.isView(input)
    ? input.values.length
    : (input as ArrayLike<unknown>).length;
}

function copyColumn(writer: TableWriter, column: Column): void {
  const { layout, memory, length: rows } = column;
  const copy = (at: number, length: number): number =>
    length === 0 ? 0 : writer.copy(memory.bytes.subarray(at, at + length));
  const bitmap = (at: number, length: number): number => {
    const copied = copy(at, length);
    if (length > 0) clearUnused(writer.memory.bytes.subarray(copied, copied + length), rows);
    return copied;
  };
  writer.column({
    ...layout,
    validity: bitmap(layout.validity, layout.validityLength),
    values: (layout.type === Type.Bool ? bitmap : copy)(layout.values, layout.valuesLength),
    offsets: copy(layout.offsets, layout.offsetsLength),
    text: copy(layout.text, layout.textLength),
  });
}

/** Copies typed values as they are; false if they have to be looked at one by one. */
function copyTyped(
  writer: TableWriter,
  field: Field,
  values: TypedValues,
  validity: Uint8Array | null,
  rows: number,
): boolean {
  const whole = field.type === Type.Int64 || field.type === Type.Timestamp;
  const fits =
    (whole && values instanceof BigInt64Array) ||
    (field.type === Type.Float64 && values instanceof Float64Array);
  if (!fits) return false;
  const at = writer.copy(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  const layout = {
    ...EMPTY,
    type: field.type,
    values: at,
    valuesLength: valuesLength(field.type, false, rows),
  };
  writer.column(withBitmap(writer, field, layout, validity, rows));
  return true;
}

function copyCodes(writer: TableWriter, field: Field, input: CodedValues, rows: number): void {
  const { codes, dictionary } = input;
  if (field.type !== Type.String || dictionary.length > DICTIONARY_MAX) {
    throw new TypeError(
      `column \`${field.name}\` is \`${typeName(field.type)}\` and was given codes of \`${dictionary.length}\` strings; a dictionary is for strings and has at most \`${DICTIONARY_MAX}\``,
    );
  }
  const values = writer.copy(codes);
  const words = dictionary.map((word) => Buffer.from(word, "utf8"));
  const offsets = new Int32Array(words.length + 1);
  for (const [at, word] of words.entries()) offsets[at + 1] = (offsets[at] as number) + word.length;
  const offsetsAt = writer.copy(new Uint8Array(offsets.buffer));
  const text = Buffer.concat(words);
  const layout: Layout = {
    ...EMPTY,
    type: field.type,
    dictionary: true,
    words: words.length,
    values,
    valuesLength: rows,
    offsets: offsetsAt,
    offsetsLength: offsets.byteLength,
    text: writer.copy(text),
    textLength: text.length,
  };
  writer.column(withBitmap(writer, field, layout, input.validity ?? null, rows));
}

function withBitmap(
  writer: TableWriter,
  field: Field,
  layout: Layout,
  validity: Uint8Array | null,
  rows: number,
): Layout {
  if (validity === null) return layout;
  const nulls = rows - countBits(validity, 0, rows);
  if (nulls === 0) return layout;
  if (!field.nullable) throw new TypeError(`column \`${field.name}\` was given nulls, which it may not have`);
  const length = (rows + 7) >> 3;
  const bits = Uint8Array.from(validity.subarray(0, length));
  clearUnused(bits, rows);
  return { ...layout, nulls, validity: writer.copy(bits), validityLength: length };
}

/** Collects events into a batch. */
export class Builder {
  private events: Event[] = [];

  /** @internal */
  constructor(
    private readonly encoder: Encoder,
    private readonly pool: Pool,
  ) {}

  /** Number of events so far. */
  get rows(): number {
    return this.events.length;
  }

  append(event: Event): void {
    this.events.push(event);
  }

  /** The batch of all events since the last one; throws if a value does not fit its column. */
  finish(): Batch {
    const writer = new TableWriter(this.pool);
    const events = this.events;
    this.events = [];
    const fault = this.encoder.events(writer, events)[0];
    if (fault !== undefined) throw fault.error;
    return new Batch(this.encoder.schema, events.length, writer.memory, writer.length);
  }
}
