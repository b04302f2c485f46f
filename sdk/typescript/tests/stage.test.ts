/** What users write, run by `check`: events and batches in, events out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect, isDeepStrictEqual } from "node:util";
import {
  type Batch,
  type Context,
  type Event,
  Fatal,
  filter,
  sink,
  source,
  type Stage,
  TextBlock,
  transform,
} from "../src/index.js";
import { check, type CheckOptions, outcome } from "../src/testing.js";

const EVENTS: Event[] = [
  { type: "buy", value: 12, note: null },
  { type: "view", value: 50, note: "ä" },
  { type: "buy", value: 3, note: "𝄞 and a text that is longer than what is copied byte by byte" },
  { type: "sell", value: -(2 ** 40), note: "" },
];
const wanted = (event: Event): boolean => event.type !== "view" && event.value >= 10;
const later = async <T>(value: T): Promise<T> => new Promise((resolve) => setImmediate(() => resolve(value)));

class Total {
  private sum = 0;

  process(event: Event): void {
    this.sum += event.value;
  }

  finish(): Event {
    return { sum: this.sum };
  }
}

class Held {
  private last: Batch | null = null;

  process(batch: Batch): Batch | null {
    const before = this.last;
    this.last = batch.keep();
    return before;
  }

  finish(): Batch | null {
    return this.last;
  }
}

interface Case {
  readonly name: string;
  readonly stage: Stage;
  readonly events?: Event[];
  readonly config?: unknown;
  readonly options?: CheckOptions;
  readonly expect: Event[];
}

const [BUY, VIEW, SMALL, SELL] = EVENTS as [Event, Event, Event, Event];

const CASES: Case[] = [
  { name: "an event as it is", stage: transform((event) => event), expect: EVENTS },
  { name: "a rule", stage: transform((event) => (wanted(event) ? event : null)), expect: [BUY] },
  { name: "a filter", stage: filter(wanted), expect: [BUY] },
  { name: "a filter that awaits", stage: filter((event) => later(wanted(event))), expect: [BUY] },
  {
    name: "a handler that awaits, in order",
    stage: transform(async (event) => {
      await new Promise((resolve) => setTimeout(resolve, event.value === 12 ? 5 : 0));
      return event;
    }),
    expect: EVENTS,
  },
  {
    name: "a handler that awaits some events",
    stage: transform((event) => (event.type === "view" ? later({ ...event, value: 1 }) : event)),
    expect: [BUY, { ...VIEW, value: 1 }, SMALL, SELL],
  },
  {
    name: "several of some events",
    stage: transform((event) => (event.type === "view" ? [] : event.value === 3 ? [event, event] : event)),
    expect: [BUY, SMALL, SMALL, SELL],
  },
  {
    name: "an event that was changed in place",
    stage: transform((event) => {
      if (event.type === "view") event.value = 51;
      return event;
    }),
    expect: [BUY, { ...VIEW, value: 51 }, SMALL, SELL],
  },
  {
    name: "other columns",
    stage: transform(({ type, value }) => ({ key: type, half: value / 2 }), {
      output: { key: "string", half: "float64" },
    }),
    events: [BUY, SMALL],
    expect: [
      { key: "buy", half: 6 },
      { key: "buy", half: 1.5 },
    ],
  },
  {
    name: "bigints",
    stage: transform((event) => ({ n: event.n + 1n }), { int64: "bigint" }),
    events: [{ n: 2n ** 60n }, { n: -1 }],
    expect: [{ n: 2n ** 60n + 1n }, { n: 0n }],
  },
  { name: "a state", stage: transform(Total, { output: { sum: "int64" } }), expect: [{ sum: 65 - 2 ** 40 }] },
  { name: "batches that are kept", stage: transform.batch(Held), options: { rows: 1 }, expect: EVENTS },
  { name: "a batch as it is", stage: transform.batch((batch) => batch), expect: EVENTS },
  {
    name: "a mask",
    stage: transform.batch((batch) => Uint8Array.from(batch.column("value").numbers(), (n) => Number(n > 5))),
    expect: [BUY, VIEW],
  },
  {
    name: "a selection",
    stage: transform.batch((batch) => batch.select((row) => batch.column("type").string(row) === "buy")),
    expect: [BUY, SMALL],
  },
  {
    name: "columns",
    stage: transform.batch((batch, context) => {
      const doubled = BigInt64Array.from(batch.column("value").int64s, (n) => 2n * n);
      return context.batch({ type: batch.column("type"), value: doubled, note: batch.column("note") });
    }),
    expect: EVENTS.map((event) => ({ ...event, value: 2 * event.value })),
  },
  {
    name: "codes and nulls",
    stage: transform.batch(
      (_, context) =>
        context.batch({
          word: { codes: Uint8Array.of(1, 0, 1), dictionary: ["a", "ö"], validity: Uint8Array.of(0b101) },
          x: { values: Float64Array.of(0.5, 1, 2), validity: Uint8Array.of(0b011) },
          flag: [true, null, false],
        }),
      { output: { word: "string?", x: "float64?", flag: "bool?" } },
    ),
    expect: [
      { word: "ö", x: 0.5, flag: true },
      { word: null, x: 1, flag: null },
      { word: "ö", x: null, flag: false },
    ],
  },
  {
    name: "a configuration",
    stage: transform<{ add: bigint }>((event, { config }) => ({ n: event.n + config.add }), {
      int64: "bigint",
    }),
    events: [{ n: 1 }],
    config: { add: 2n ** 62n },
    expect: [{ n: 2n ** 62n + 1n }],
  },
  {
    name: "a generator",
    stage: source(function* () {
      for (let n = 0; n < 5; n++) yield { n };
    }),
    options: { output: { n: "int64" } },
    expect: [0, 1, 2, 3, 4].map((n) => ({ n })),
  },
  {
    name: "an async generator that is told to stop",
    stage: source(async function* () {
      for (let n = 0; ; n++) yield later({ n });
    }),
    options: { output: { n: "int64" }, take: 3 },
    expect: [0, 1, 2].map((n) => ({ n })),
  },
  {
    name: "text in blocks of two lines",
    stage: source(() => [new TextBlock("t", 10, Buffer.from("a\nbc\nd\n"))]),
    options: {
      output: { source: "string", offset: "int64", line: "int64?", text: "binary" },
      policy: { rows: 2 },
    },
    expect: [
      { source: "t", offset: 10, line: null, text: Buffer.from("a\nbc\n") },
      { source: "t", offset: 15, line: null, text: Buffer.from("d\n") },
    ],
  },
  {
    name: "dates and bytes",
    stage: transform((event) => ({ at: event.at + 1, data: Buffer.from(event.data).reverse() })),
    events: [{ at: new Date(1000), data: Uint8Array.of(1, 2) }],
    expect: [{ at: 1_000_001, data: Buffer.of(2, 1) }],
  },
];

for (const { name, stage, events = EVENTS, config, options, expect } of CASES) {
  test(name, async () => {
    assert.deepEqual(await check(stage, stage.role === 1 ? [] : events, config, options), expect);
  });
}

const FAILURES: { name: string; stage: Stage; events?: Event[]; survive: number; message: RegExp }[] = [
  {
    name: "a handler that throws",
    stage: transform((event) => {
      if (event.value === 3) throw new RangeError("bad value: 3");
      return event;
    }),
    survive: 3,
    message: /^bad value: 3$/,
  },
  {
    name: "a handler that rejects",
    stage: filter(async (event) => {
      if (event.value === 3) throw new RangeError("bad value: 3");
      return true;
    }),
    survive: 3,
    message: /^bad value: 3$/,
  },
  {
    name: "a column that is not there",
    stage: filter((event) => event.value === 3 && event.valeu > 0),
    survive: 0,
    message: /`valeu`; the columns are `type`, `value`, `note`; `uses:`/,
  },
  {
    name: "a value that fits no column",
    stage: transform((event) => ({ ...event, value: event.value === 3 ? 0.5 : 1 })),
    survive: 3,
    message: /`0.5` is no value for column `value`, which is `int64`/,
  },
  {
    name: "one of several that fits no column",
    stage: transform((event) => [{ ...event }, { ...event, value: event.value === 3 ? null : 1 }]),
    survive: 6,
    message: /`null` is no value for column `value`/,
  },
  {
    name: "a boolean where an event is due",
    stage: transform((event) => (event.value === 3 ? (true as unknown as Event) : event)),
    survive: 3,
    message: /for a predicate use `filter`/,
  },
  {
    name: "a whole number beyond 2^53",
    stage: transform((event) => event),
    events: [{ n: 1 }, { n: 2n ** 53n }],
    survive: 1,
    message: /`n` has a whole number beyond 2\^53/,
  },
  {
    name: "a row of a batch",
    stage: transform.batch((batch) => {
      batch.fail(2, new Error("odd"));
      return Uint8Array.of(1, 1, 0, 1);
    }),
    survive: 3,
    message: /^odd$/,
  },
];

for (const { name, stage, events = EVENTS, survive, message } of FAILURES) {
  test(`the failure of ${name}`, async () => {
    const { events: made, failures } = await outcome(stage, events);
    assert.equal(made.length, survive);
    assert.notEqual(failures.length, 0);
    assert.match(failures.at(-1)?.message ?? "", message);
    await assert.rejects(check(stage, events), /has failed/);
  });
}

const FATAL: { name: string; stage: Stage; message: RegExp }[] = [
  {
    name: "Fatal",
    stage: transform(() => {
      throw new Fatal("enough");
    }),
    message: /enough/,
  },
  {
    name: "a sink",
    stage: sink(() => {
      throw new Error("disk on fire");
    }),
    message: /disk on fire/,
  },
  {
    name: "opening",
    stage: transform(
      class {
        constructor({ config }: Context<{ path?: string }>) {
          if (config.path === undefined) throw new Error("no luck");
        }

        process(event: Event): Event {
          return event;
        }
      },
    ),
    message: /no luck/,
  },
];

for (const { name, stage, message } of FATAL) {
  test(`the end of the stage by ${name}`, async () => {
    await assert.rejects(check(stage, EVENTS), message);
  });
}

test("memory of a batch that was not kept is overwritten", async () => {
  const seen: bigint[] = [];
  let view: BigInt64Array | null = null;
  const stage = sink.batch((batch) => {
    if (view !== null) seen.push(view[0] as bigint);
    view = batch.column("n").int64s;
  });
  await check(stage, [{ n: 1 }, { n: 2 }], {}, { rows: 1 });
  assert.notEqual(seen[0], 1n);
});

test("a state is what a snapshot has returned", async () => {
  const states: unknown[] = [];
  class Remember {
    constructor({ state }: Context) {
      states.push(state);
    }

    process(event: Event): Event {
      return event;
    }
  }
  await check(transform(Remember), EVENTS);
  assert.deepEqual(states, [undefined]);
});

test("an event can be shown, copied and compared", async () => {
  const seen: unknown[] = [];
  const show = filter((event) => {
    assert.equal(isDeepStrictEqual({ ...event }, { n: 1, s: "a" }), true);
    seen.push(
      inspect(event),
      JSON.stringify(event),
      Object.keys(event),
      { ...event },
      structuredClone(event),
      "x" in event,
    );
    return true;
  });
  await check(show, [{ n: 1, s: "a" }]);
  const plain = { n: 1, s: "a" };
  assert.deepEqual(seen, ["Event { n: 1, s: 'a' }", JSON.stringify(plain), ["n", "s"], plain, plain, false]);
});
