/**
 * Batches and selections, as code that handles whole batches gets and returns them.
 *
 * A batch that a handler is given is valid until the handler returns, or its promise is settled: its memory is used
 * again. `keep()` lets it stay. A batch that `context.batch` or a builder has made is valid until it was sent.
 * Neighbours: `column` shows values, `builder` makes batches, `run` owns their memory.
 */
import { Column } from "./column.js";
import { type Schema, noColumn } from "./schema.js";
import type { Memory } from "./segment.js";
import { type Layout, readTable } from "./table.js";
import { clearUnused, countBits } from "./table-values.js";

/** An event of a batch that has failed: a row, or a line of a row's text. */
export interface FailedEvent {
  readonly row: number;
  readonly error: unknown;
  /** Where in the row's text the line begins, and its bytes without the newline. */
  readonly line?: { readonly offset: number; readonly length: number };
}

/** Rows of the same columns. */
export class Batch {
  /** @internal */
  readonly failures: FailedEvent[] = [];
  /** @internal The batch may stay after its handler has returned. */
  kept = false;
  /** How many events the batch holds, for the run's report; its rows, unless code that reads text knows better. */
  events: number | null = null;
  private readonly columns: (Column | undefined)[] = [];
  private layouts: Layout[] | null = null;
  private held: Memory | null;

  /** @internal */
  constructor(
    readonly schema: Schema,
    /** Number of rows. */
    readonly rows: number,
    memory: Memory,
    /** @internal Bytes of the payload. */
    readonly bytes: number,
  ) {
    this.held = memory;
  }

  /** @internal */
  get memory(): Memory {
    if (this.held !== null) return this.held;
    throw new Error(
      "this batch is gone: it was used after its handler returned, or after it was sent; `keep()` it",
    );
  }

  /** @internal Throws a `TableError` if the payload is no table of the schema. */
  check(): void {
    this.layouts ??= readTable(this.memory, this.bytes, this.schema, this.rows);
  }

  /** @internal */
  layout(index: number): Layout {
    this.check();
    return this.layouts?.[index] as Layout;
  }

  /** The column of that name; throws a `RangeError` that names those there are. */
  column(name: string): Column {
    for (let at = 0; at < this.schema.fields.length; at++) {
      if (this.schema.fields[at]?.name === name) return this.columnAt(at);
    }
    throw new RangeError(noColumn(name, this.schema));
  }

  /** The column at a place in the schema. */
  columnAt(index: number): Column {
    const column = this.columns[index];
    if (column !== undefined) return column;
    const field = this.schema.fields[index];
    if (field === undefined) throw new RangeError(`there is no column number \`${index}\``);
    const made = new Column(field, this.rows, this.memory, this.layout(index));
    this.columns[index] = made;
    return made;
  }

  /** A selection of the rows for which `predicate` is true. */
  select(predicate: (row: number) => boolean): Selection {
    const selection = new Selection(this.rows);
    for (let row = 0; row < this.rows; row++) if (predicate(row)) selection.keep(row);
    return selection;
  }

  /** The event of a row has failed, or one line of the row's text; all others go on. */
  fail(row: number, error: unknown, line?: FailedEvent["line"]): void {
    this.failures.push(line === undefined ? { row, error } : { row, error, line });
  }

  /** Lets the batch stay after the handler has returned. Gives the same batch. */
  keep(): this {
    this.kept = true;
    return this;
  }

  /** @internal Takes the memory away. */
  release(): Memory | null {
    const memory = this.held;
    this.held = null;
    this.columns.length = 0;
    return memory;
  }
}

/** Which rows of a batch are kept. */
export class Selection {
  /** Bit n mod 8 of byte n / 8 is row n. */
  readonly bits: Uint8Array;
  /** Number of rows kept. */
  kept = 0;

  constructor(readonly rows: number) {
    this.bits = new Uint8Array((rows + 7) >> 3);
  }

  /** A selection out of a bitmap, or a mask with a byte (0: not kept) for each row. */
  static of(rows: number, bytes: Uint8Array): Selection {
    const selection = new Selection(rows);
    if (bytes.length === rows && rows !== 1) {
      const bits = selection.bits;
      let kept = 0;
      for (let row = 0; row < rows; row++) {
        if (bytes[row] !== 0) {
          bits[row >> 3]! |= 1 << (row & 7);
          kept++;
        }
      }
      selection.kept = kept;
    } else if (bytes.length === selection.bits.length) {
      selection.bits.set(bytes);
      selection.count();
    } else {
      throw new RangeError(
        `a selection of \`${rows}\` rows is a mask of as many bytes or a bitmap of \`${selection.bits.length}\`, not \`${bytes.length}\` bytes`,
      );
    }
    return selection;
  }

  /** Every row. */
  static all(rows: number): Selection {
    const selection = new Selection(rows);
    selection.bits.fill(255);
    selection.count();
    return selection;
  }

  keep(row: number): void {
    if (this.has(row)) return;
    this.bits[row >> 3]! |= 1 << (row & 7);
    this.kept++;
  }

  has(row: number): boolean {
    return (((this.bits[row >> 3] as number) >> (row & 7)) & 1) === 1;
  }

  /** Clears the bits behind the last row and counts those that are set. */
  private count(): void {
    clearUnused(this.bits, this.rows);
    this.kept = countBits(this.bits, 0, this.rows);
  }
}
