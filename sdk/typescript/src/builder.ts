/**
 * The way back: events, or columns in any of the forms that code has them in, into a table.
 *
 * ```text
 *   events ──one column at a time──▶ values ─┐
 *   arrays, typed arrays, columns ───────────┴─▶ TableWriter
 * ```
 *
 * Values are checked against the schema; a value that does not fit is the fault of its event, not of the batch. A member
 * that is missing is null, one that is no column is ignored. Neighbours: `column-writer` writes the values of a column,
 * `events` is the way there.
 */
import { Batch } from "./batch.js";
import { Column } from "./column.js";
import { ColumnWriter, type Fault } from "./column-writer.js";
import { type Event, type Field, type Schema, Type, typeName } from "./schema.js";
import type { Pool } from "./segment.js";
import { DICTIONARY_MAX, EMPTY, type Layout, TableWriter, valuesLength } from "./table.js";
import { clearUnused, countBits } from "./table-values.js";

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
