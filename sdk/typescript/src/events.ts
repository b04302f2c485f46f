/**
 * Events out of a batch: one generated loop builds each row's event, calls the handler and notes what came back.
 *
 * ```text
 *   columns ──prepare──▶ strings, pairs, bits ──loop──▶ handler(event) ──▶ Outcomes: kept rows, other events, failures
 * ```
 *
 * A loop is generated for the schema and for which columns have nulls or a dictionary in this batch, so that an event
 * is a few loads and one allocation. Events are plain objects with the columns as members, in order; they may be held
 * on to. An event that a handler returns unchanged is noted as a bit. A handler that returns a promise stops the loop,
 * and its caller goes on with `one`. Neighbours: `run` calls, `builder` is the way back.
 */
import { unsafe } from "./column.js";
import type { Batch } from "./batch.js";
import { isPromise } from "./channel.js";
import { type Event, type Schema, Type, noColumn } from "./schema.js";
import { Fatal } from "./stage.js";

/** How whole numbers of 64 bits are shown. */
export type Int64 = "number" | "bigint";

/** What the handler's result means: an event or nothing, whether to keep the event, or nothing at all. */
export type Mode = "transform" | "filter" | "each";

export type EventHandler = (event: Event, context: unknown) => unknown;

/** What a handler made of a batch's events. */
export class Outcomes {
  /** The rows whose event is to go on as it was. */
  readonly bits: Uint8Array;
  kept = 0;
  filtered = 0;
  /** Events that are not those of the batch, or not any more; null while there is none. */
  events: Event[] | null = null;
  /** The row of each of `events`. */
  origins: number[] = [];
  readonly failures: { row: number; error: unknown }[] = [];
  /** The promise of the row at which a loop has stopped. */
  promise: PromiseLike<unknown> | null = null;
  /** The event of that row. */
  event: Event | null = null;

  constructor(
    rows: number,
    /** Whether the rows kept can be sent as a selection. */
    private readonly selects: boolean,
    /** Whether the first failure ends the stage. */
    private readonly strict: boolean,
    private readonly one: (row: number) => Event,
  ) {
    this.bits = new Uint8Array((rows + 7) >> 3);
  }

  /** The row's event goes on as it was. */
  keep(row: number): void {
    if (this.events === null && this.selects) {
      this.bits[row >> 3]! |= 1 << (row & 7);
      this.kept++;
    } else this.add(row, this.one(row));
  }

  /** The event has failed; throws what is not an error of an event. */
  fail(row: number, error: unknown): void {
    if (this.strict || error instanceof Fatal) throw error;
    this.failures.push({ row, error });
  }

  /** What a handler has returned that is not its own event unchanged. False if it is a promise. */
  other(row: number, result: unknown): boolean {
    if (result === null || result === undefined) this.filtered++;
    else if (typeof result !== "object") this.fail(row, unusable(result));
    else if (isPromise(result)) {
      this.promise = result;
      return false;
    } else if (!Array.isArray(result)) this.add(row, result);
    else if (result.length === 0) this.filtered++;
    else if (result.every((event) => typeof event === "object" && event !== null)) {
      for (const event of result as Event[]) this.add(row, event);
    } else this.fail(row, unusable(result.find((event) => typeof event !== "object" || event === null)));
    return true;
  }

  /** What a predicate has returned. False if it is a promise. */
  chosen(row: number, result: unknown): boolean {
    if (isPromise(result)) {
      this.promise = result;
      return false;
    }
    if (result) this.keep(row);
    else this.filtered++;
    return true;
  }

  private add(row: number, event: Event): void {
    if (this.events === null) {
      this.events = [];
      // From here on the batch is a table: what was kept so far becomes events too.
      for (let before = 0; before < row && this.kept > 0; before++) {
        if (((this.bits[before >> 3] as number) >> (before & 7)) & 1) {
          this.events.push(this.one(before));
          this.origins.push(before);
        }
      }
    }
    this.events.push(event);
    this.origins.push(row);
  }
}

function unusable(result: unknown): TypeError {
  return new TypeError(
    `the handler returned \`${String(result)}\`; it returns an event, a list of events, or null for none` +
      (typeof result === "boolean" ? "; for a predicate use `filter`" : ""),
  );
}

type Loop = (
  columns: readonly unknown[][],
  from: number,
  rows: number,
  handler: EventHandler,
  context: unknown,
  outcomes: Outcomes,
) => number;
type One = (columns: readonly unknown[][], row: number) => Event;

/** The rows of one batch, ready to become events. */
export interface Rows {
  /** Handles the rows from `from` on; gives the row at which the handler has returned a promise, or their number. */
  run(from: number, handler: EventHandler, context: unknown, outcomes: Outcomes): number;
  /** The event of one row; throws if a whole number is beyond 2^53. */
  one(row: number): Event;
  /** Whether an event that a handler has returned is the row's, unchanged. */
  unchanged(row: number, event: unknown, given: Event): boolean;
}

/** Makes the events of batches of one schema. */
export class EventReader {
  private readonly variants = new Map<string, { loop: Loop; one: One }>();
  private readonly make: unknown;

  constructor(
    private readonly schema: Schema,
    private readonly mode: Mode,
    private readonly int64: Int64,
  ) {
    this.make = eventClass(schema);
  }

  rows(batch: Batch): Rows {
    const columns: unknown[][] = [];
    let variant = "";
    for (let index = 0; index < this.schema.fields.length; index++) {
      const layout = batch.layout(index);
      variant += (layout.dictionary ? 2 : 0) + (layout.nulls > 0 ? 1 : 0);
      columns.push(this.prepare(batch, index));
    }
    let code = this.variants.get(variant);
    if (code === undefined) {
      code = this.generate(variant);
      this.variants.set(variant, code);
    }
    const { loop, one } = code;
    const names = this.schema.fields.map((field) => field.name);
    return {
      run: (from, handler, context, outcomes) => loop(columns, from, batch.rows, handler, context, outcomes),
      one: (row) => one(columns, row),
      unchanged: (row, event, given) => {
        if (event !== given) return false;
        const pristine = one(columns, row);
        return names.every((name) => Object.is(given[name], pristine[name]));
      },
    };
  }

  /** What the generated code reads: the values, then the validity. */
  private prepare(batch: Batch, index: number): unknown[] {
    const column = batch.columnAt(index);
    const validity = column.validity;
    switch (column.type) {
      case Type.Bool:
        return [column.bits, validity];
      case Type.Float64:
        return [column.float64s, validity];
      case Type.Int64:
      case Type.Timestamp:
        return [this.int64 === "bigint" ? column.int64s : column.pairs, validity];
      case Type.String:
        return [column.words(), validity, column.isDictionary ? column.codes : null];
      case Type.Binary:
        return [binaries(column.text, column.offsets, column.length), validity];
    }
  }

  private generate(variant: string): { loop: Loop; one: One } {
    const fields = this.schema.fields;
    const load = (beyond: (at: number) => string): string =>
      fields
        .map(({ type }, at) => loadColumn(type, at, Number(variant[at]), this.int64, beyond(at)))
        .join("\n");
    const event = `new E(${fields.map((_, at) => `v${at}`).join(", ")})`;
    const same = fields.map(({ name, type }, at) => {
      const member = `e[${JSON.stringify(name)}]`;
      return type === Type.Float64 ? ` && Object.is(${member}, v${at})` : ` && ${member} === v${at}`;
    });
    const setup = fields
      .map(
        (_, at) =>
          `const a${at} = columns[${at}][0], n${at} = columns[${at}][1], c${at} = columns[${at}][2];`,
      )
      .join("\n");
    const note = {
      transform: `if (r === e${same.join("")}) outcomes.keep(i); else if (!outcomes.other(i, r)) { outcomes.event = e; return i; }`,
      filter: `if (r === true) outcomes.keep(i);
        else if (r === false) outcomes.filtered++;
        else if (!outcomes.chosen(i, r)) { outcomes.event = e; return i; }`,
      each: "if (r !== undefined && isPromise(r)) { outcomes.promise = r; outcomes.event = e; return i; }",
    }[this.mode];
    const loop = this.compile(`return function loop(columns, from, rows, handler, context, outcomes) {
      ${setup}
      for (let i = from; i < rows; i++) {
        let r, e;
        ${load((at) => `{ outcomes.fail(i, unsafe(names[${at}])); continue; }`)}
        try {
          e = ${event};
          r = handler(e, context);
        } catch (error) {
          outcomes.fail(i, error);
          continue;
        }
        ${note}
      }
      return rows;
    };`);
    const one = this.compile(`return function one(columns, i) {
      ${setup}
      ${load((at) => `throw unsafe(names[${at}]);`)}
      return ${event};
    };`);
    return { loop: loop as Loop, one: one as One };
  }

  private compile(code: string): unknown {
    const names = this.schema.fields.map((field) => field.name);
    return new Function("E", "unsafe", "names", "isPromise", `"use strict";\n${code}`)(
      this.make,
      unsafe,
      names,
      isPromise,
    );
  }
}

/** Code that loads column number `at` of row `i` into `v…`; `form` is 1 with nulls, 2 with a dictionary, 3 with both. */
function loadColumn(type: Type, at: number, form: number, int64: Int64, beyond: string): string {
  const valid = (form & 1) === 1 ? `((n${at}[i >> 3] >> (i & 7)) & 1) === 1` : "true";
  const whole = type === Type.Int64 || type === Type.Timestamp;
  if (whole && int64 === "number") {
    // Small numbers take the way of integers, so that the engine stores them in the event and not beside it.
    return `let v${at} = null;
      if (${valid}) {
        const low = a${at}[2 * i], high = a${at}[2 * i + 1];
        if (high === low >> 31) v${at} = low;
        else {
          v${at} = high * 4294967296 + (low >>> 0);
          if (v${at} > ${Number.MAX_SAFE_INTEGER} || v${at} < ${-Number.MAX_SAFE_INTEGER}) ${beyond}
        }
      }`;
  }
  const value =
    type === Type.Bool
      ? `((a${at}[i >> 3] >> (i & 7)) & 1) === 1`
      : type === Type.String && form >= 2
        ? `a${at}[c${at}[i]]`
        : `a${at}[i]`;
  return `const v${at} = ${valid} ? ${value} : null;`;
}

/**
 * The class of the events of a schema. Its instances have the columns as members of their own; what is no column falls
 * through to a proxy, whose error names the columns. Declared fields keep the proxy out of the way of the constructor.
 */
function eventClass(schema: Schema): unknown {
  const fallback = new Proxy(Object.prototype, {
    get(target, name, receiver) {
      if (typeof name === "symbol" || name in target || PROBED.has(name))
        return Reflect.get(target, name, receiver);
      throw new RangeError(noColumn(name, schema));
    },
  });
  const names = schema.fields.map((field) => JSON.stringify(field.name));
  const made = new Function(`"use strict";
    return class Event {
      ${names.map((name) => `[${name}];`).join(" ")}
      constructor(${names.map((_, at) => `v${at}`).join(", ")}) {
        ${names.map((name, at) => `this[${name}] = v${at};`).join("\n")}
      }
    };`)();
  Object.setPrototypeOf(made.prototype, fallback);
  return made;
}

/** Members by which the language, Node and test libraries find out what an object is. */
const PROBED: ReadonlySet<string> = new Set(
  "then toJSON href length inspect asymmetricMatch nodeType tagName $$typeof toBSON @@__IMMUTABLE_ITERABLE__@@".split(
    " ",
  ),
);

/** Copies of binary values: an event may be held on to. */
function binaries(text: Uint8Array, offsets: Int32Array, rows: number): Uint8Array[] {
  const copy = Buffer.from(text);
  const values = new Array<Uint8Array>(rows);
  for (let row = 0; row < rows; row++) values[row] = copy.subarray(offsets[row], offsets[row + 1]);
  return values;
}
