/**
 * A column of a batch, as code that handles whole batches sees it: typed arrays over the batch's memory, no copies.
 *
 * All views are made when they are first asked for and are valid as long as the batch is. What has a null at a row has
 * any value there: ask `isNull` or look at `validity`. Neighbours: `batch` owns columns, `table` says where they lie.
 */
import { type Field, Type, type Value, typeName } from "./schema.js";
import type { Memory } from "./segment.js";
import type { Layout } from "./table.js";
import { bit } from "./table-values.js";
import { decodeStrings } from "./text.js";

/** The largest whole number up to which every one is a `number`. */
const SAFE = Number.MAX_SAFE_INTEGER;

/** One column's values and which of them are null. */
export class Column {
  readonly name: string;
  readonly type: Type;
  readonly nullable: boolean;
  /** Number of nulls. */
  readonly nulls: number;
  private cut: string[] | null = null;

  /** @internal */
  constructor(
    field: Field,
    /** Number of rows. */
    readonly length: number,
    /** @internal */
    readonly memory: Memory,
    /** @internal */
    readonly layout: Layout,
  ) {
    this.name = field.name;
    this.type = field.type;
    this.nullable = field.nullable;
    this.nulls = layout.nulls;
  }

  /** Whether the strings are `dictionary` words, one of the `codes` for each row. */
  get isDictionary(): boolean {
    return this.layout.dictionary;
  }

  /** One bit for each row, 1 where there is a value; null if there are no nulls. */
  get validity(): Uint8Array | null {
    const { validity, validityLength } = this.layout;
    return validityLength === 0 ? null : this.bytesAt(validity, validityLength);
  }

  isNull(row: number): boolean {
    const { validity, validityLength } = this.layout;
    return validityLength > 0 && !bit(this.memory.bytes, validity, row);
  }

  /** The values: of int64 and timestamp columns (microseconds) a BigInt64Array, of float64 a Float64Array. */
  get values(): BigInt64Array | Float64Array {
    return this.type === Type.Float64 ? this.float64s : this.int64s;
  }

  /** The values of an int64 or timestamp column; `pairs` and `numbers` are faster to loop over. */
  get int64s(): BigInt64Array {
    this.expect(Type.Int64, Type.Timestamp);
    return new BigInt64Array(this.memory.int64.buffer, this.layout.values, this.length);
  }

  /** The values of a float64 column. */
  get float64s(): Float64Array {
    this.expect(Type.Float64);
    return new Float64Array(this.memory.float64.buffer, this.layout.values, this.length);
  }

  /** The values of an int64 or timestamp column, two numbers each: the low half, then the high one with the sign. */
  get pairs(): Int32Array {
    this.expect(Type.Int64, Type.Timestamp);
    return new Int32Array(this.memory.int32.buffer, this.layout.values, 2 * this.length);
  }

  /** The bits of a bool column. */
  get bits(): Uint8Array {
    this.expect(Type.Bool);
    return this.bytesAt(this.layout.values, this.layout.valuesLength);
  }

  /** One code for each row: which of the `dictionary` words it has. */
  get codes(): Uint8Array {
    if (!this.layout.dictionary)
      throw new TypeError(`column \`${this.name}\` has no dictionary in this batch`);
    return this.bytesAt(this.layout.values, this.length);
  }

  /** The words that `codes` count. */
  get dictionary(): readonly string[] {
    if (!this.layout.dictionary)
      throw new TypeError(`column \`${this.name}\` has no dictionary in this batch`);
    return this.words();
  }

  /** Where each value of a plain string or binary column begins in `text`, and where the last one ends. */
  get offsets(): Int32Array {
    this.expect(Type.String, Type.Binary);
    return this.memory.int32.subarray(
      this.layout.offsets / 4,
      (this.layout.offsets + this.layout.offsetsLength) / 4,
    );
  }

  /** The bytes of all values of a string or binary column, one behind the other. */
  get text(): Uint8Array {
    this.expect(Type.String, Type.Binary);
    return this.bytesAt(this.layout.text, this.layout.textLength);
  }

  /** A numeric value as a number; throws a `RangeError` beyond 2^53. Of a null it is any number. */
  number(row: number): number {
    if (this.type === Type.Float64) return this.memory.float64[this.layout.values / 8 + row] as number;
    this.expect(Type.Int64, Type.Timestamp, Type.Float64);
    const at = this.layout.values / 4 + 2 * row;
    const value = (this.memory.int32[at + 1] as number) * 2 ** 32 + (this.memory.uint32[at] as number);
    if ((value > SAFE || value < -SAFE) && !this.isNull(row)) throw unsafe(this.name);
    return value;
  }

  /** All numeric values as numbers; throws a `RangeError` if one lies beyond 2^53. */
  numbers(): Float64Array {
    if (this.type === Type.Float64) return this.float64s;
    const pairs = this.pairs;
    const numbers = new Float64Array(this.length);
    let most = 0;
    for (let row = 0; row < numbers.length; row++) {
      const value = (pairs[2 * row + 1] as number) * 4294967296 + ((pairs[2 * row] as number) >>> 0);
      numbers[row] = value;
      if (value > most) most = value;
      else if (-value > most) most = -value;
    }
    if (most > SAFE) for (let row = 0; row < numbers.length; row++) this.number(row);
    return numbers;
  }

  /** A string; of a null it is any string. */
  string(row: number): string {
    this.expect(Type.String);
    const words = this.words();
    return (
      (this.layout.dictionary ? words[this.memory.bytes[this.layout.values + row] as number] : words[row]) ??
      ""
    );
  }

  /** The bytes of a value of a binary or plain string column. */
  binary(row: number): Uint8Array {
    this.expect(Type.Binary, Type.String);
    if (this.layout.dictionary) return Buffer.from(this.string(row), "utf8");
    const at = this.layout.offsets / 4 + row;
    const { int32, bytes } = this.memory;
    return bytes.subarray(
      this.layout.text + (int32[at] as number),
      this.layout.text + (int32[at + 1] as number),
    );
  }

  bool(row: number): boolean {
    this.expect(Type.Bool);
    return bit(this.memory.bytes, this.layout.values, row);
  }

  /** A value as in an event, or null. A whole number beyond 2^53 is a bigint; binary is a view, not a copy. */
  get(row: number): Value {
    if (this.isNull(row)) return null;
    switch (this.type) {
      case Type.Bool:
        return this.bool(row);
      case Type.Float64:
        return this.number(row);
      case Type.String:
        return this.string(row);
      case Type.Binary:
        return this.binary(row);
      case Type.Int64:
      case Type.Timestamp: {
        const value = this.memory.int64[this.layout.values / 8 + row] as bigint;
        return value > SAFE || value < -SAFE ? value : Number(value);
      }
    }
  }

  /** @internal The words of a dictionary, or the strings of all rows. */
  words(): string[] {
    const { layout, memory } = this;
    const count = layout.dictionary ? layout.words : this.length;
    this.cut ??= decodeStrings(memory.bytes, layout.text, memory.int32, layout.offsets / 4, count);
    return this.cut;
  }

  private bytesAt(at: number, length: number): Uint8Array {
    return new Uint8Array(this.memory.bytes.buffer, at, length);
  }

  private expect(...types: readonly Type[]): void {
    if (types.includes(this.type)) return;
    const wanted = types.map(typeName).join("` or `");
    throw new TypeError(
      `column \`${this.name}\` is of the type \`${typeName(this.type)}\`, not \`${wanted}\``,
    );
  }
}

/** What a whole number beyond 2^53 is where a `number` was asked for. */
export function unsafe(name: string): RangeError {
  return new RangeError(
    `column \`${name}\` has a whole number beyond 2^53, which a \`number\` cannot hold; ask for \`int64: "bigint"\``,
  );
}
