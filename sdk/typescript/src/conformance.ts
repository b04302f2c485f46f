/**
 * The stages under test (`conformance/STAGES.md`), run as `node conformance.js STAGE FORM`.
 *
 * They are written as a user would write them. Neighbour: the runner in `conformance/` starts this program.
 */
import {
  Batch,
  type Context,
  type Event,
  Fatal,
  filter,
  jsonLines,
  run,
  sink,
  source,
  type Stage,
  transform,
} from "modular-runtime";

const [, , name = "", form = "event"] = process.argv;

/** The stage in the form that was asked for. */
const either = (event: () => Stage, batch: () => Stage): Stage => (form === "batch" ? batch() : event());

/** All columns of a batch, for a new table. */
const columnsOf = (batch: Batch) =>
  Object.fromEntries(batch.schema.fields.map(({ name }) => [name, batch.column(name)]));

/** The rows of a batch as events, for batch forms that compute row by row. */
const rowsOf = (batch: Batch): Event[] =>
  Array.from({ length: batch.rows }, (_, row) =>
    Object.fromEntries(batch.schema.fields.map(({ name }) => [name, batch.column(name).get(row)])),
  );

/** The batch form of a function from an event to events. */
const perRow =
  <Config>(handle: (event: Event, context: Context<Config>) => Event[]) =>
  (batch: Batch, context: Context<Config>) => {
    const builder = context.builder();
    for (const event of rowsOf(batch)) for (const made of handle(event, context)) builder.append(made);
    return builder.finish();
  };

const isEven = ({ n }: Event): boolean => n !== null && BigInt(n) % 2n === 0n;
const bigints = { int64: "bigint" } as const;

const derived = ({ n, s, x, b, t, r }: Event): Event => ({
  n2: n === null || BigInt(n) === 2n ** 63n - 1n ? null : BigInt(n) + 1n,
  s2: s === null ? null : `${s}!`,
  x2: x === null ? null : x / 2,
  b2: b === null ? null : !b,
  t2: t === null ? null : BigInt(t) + 1_000_000n,
  r2: r === null ? null : Uint8Array.from(r as Uint8Array).reverse(),
});

type Texts = {
  text: string;
  number: number;
  whole: bigint;
  flag: boolean;
  list: number[];
  nested: { a: string };
};

const configured = ({ text, number, whole, flag, list, nested }: Texts): Event => {
  return { text, number, whole, flag, list: list.length, nested: nested.a };
};

class Count {
  private readonly counts: Map<string | null, number>;

  constructor({ state }: Context) {
    this.counts = (state as Map<string | null, number> | undefined) ?? new Map();
  }

  add(s: string | null): void {
    this.counts.set(s, (this.counts.get(s) ?? 0) + 1);
  }

  result(): Event[] {
    const bytes = (key: string | null): Buffer => Buffer.from(key ?? "", "utf8");
    return [...this.counts]
      .sort(([a], [b]) => Number(b === null) - Number(a === null) || Buffer.compare(bytes(a), bytes(b)))
      .map(([key, count]) => ({ key, count }));
  }

  snapshot(): unknown {
    return this.counts;
  }
}

class CountEvents extends Count {
  process({ s }: Event): void {
    this.add(s);
  }

  finish(): Event[] {
    return this.result();
  }
}

class CountBatches extends Count {
  constructor(private readonly context: Context) {
    super(context);
  }

  process(batch: Batch): void {
    const column = batch.column("s");
    for (let row = 0; row < batch.rows; row++) this.add(column.isNull(row) ? null : column.string(row));
  }

  finish(): Batch {
    const builder = this.context.builder();
    for (const event of this.result()) builder.append(event);
    return builder.finish();
  }
}

class Sum {
  private sum: bigint;

  constructor(private readonly context: Context) {
    this.sum = (context.state as bigint | undefined) ?? 0n;
  }

  process(batch: Batch): Batch | null {
    for (const value of batch.column("n").int64s) this.sum += value;
    if (BigInt.asIntN(64, this.sum) !== this.sum) throw new Fatal("the sum is beyond int64");
    return batch.rows === 0 ? null : this.context.batch({ sum: [this.sum] });
  }

  snapshot(): bigint {
    return this.sum;
  }
}

class Delay {
  private held: Batch | null = null;

  process(batch: Batch): Batch | null {
    const before = this.held;
    this.held = batch.keep();
    return before;
  }

  finish(): Batch | null {
    return this.held;
  }
}

type Numbering = { count?: number; fail?: number };

class Numbers {
  private readonly batchRows: number;
  private n: number;

  constructor(
    private readonly context: Context<Numbering>,
    batchRows: number | null = null,
  ) {
    this.n = (context.state as number | undefined) ?? 0;
    this.batchRows = batchRows ?? (context.policy.rows || 1000);
  }

  *emit(): Generator<Event | Batch> {
    const { count = Infinity, fail } = this.context.config;
    while (this.n < count) {
      if (this.n === fail) throw new Error("dry");
      if (form === "batch") yield this.batch(Math.min(count, fail ?? Infinity));
      else {
        const n = this.n++;
        yield { n, s: `s${n % 10}` };
      }
    }
  }

  snapshot(): number {
    return this.n;
  }

  private batch(end: number): Batch {
    const first = this.n;
    const length = Math.min(this.batchRows, end - first);
    this.n += length;
    const numbers = Array.from({ length }, (_, row) => first + row);
    return this.context.batch({ n: numbers, s: numbers.map((n) => `s${n % 10}`) });
  }
}

class FailFinish {
  process(event: Event): Event {
    return event;
  }

  finish(): void {
    throw new Error("too late");
  }
}

class FailOpen {
  open(): void {
    throw new Error("no luck");
  }

  process(event: Event): Event {
    return event;
  }
}

class Log {
  open(): void {
    console.error("an error");
    console.warn("a warning");
    console.info("an information");
    console.debug("a detail");
    console.log("printed");
  }

  process(event: Event): Event {
    return event;
  }
}

const failOn = (event: Event, { config }: Context<{ n: number }>): Event => {
  if (event.n === BigInt(config.n) || event.n === config.n) throw new Error(`bad n: ${config.n}`);
  return event;
};

const fatalOn = (event: Event, { config }: Context<{ n: number }>): Event => {
  if (event.n === BigInt(config.n) || event.n === config.n) throw new Fatal(`bad n: ${config.n}`);
  return event;
};

const failBatch = (batch: Batch, { config }: Context<{ n: number }>): Batch => {
  if (batch.column("n").int64s.includes(BigInt(config.n))) throw new Error(`bad n: ${config.n}`);
  return batch;
};

const sleep = (batch: Batch, { config }: Context<{ sleep_ms: number }>): Batch => {
  rest(config.sleep_ms);
  return batch;
};

/** Computes, and gives how many nanoseconds that took. */
const spun = (micros: number): number => {
  const begin = performance.now();
  for (const before = process.cpuUsage(); ;) {
    const { user, system } = process.cpuUsage(before);
    if (user + system >= micros) return Math.round((performance.now() - begin) * 1e6);
  }
};

type Spin = { micros: number };

const spin = ({ s }: Event, { config }: Context<Spin>): Event => ({ s, wall: spun(config.micros) });

const spinBatch = (batch: Batch, context: Context<Spin>): Batch => {
  const wall = spun(context.config.micros);
  const walls = Array.from({ length: batch.rows }, (_, row) => (row === 0 ? wall : 0));
  return context.batch({ s: batch.column("s"), wall: walls }, batch.rows);
};

const rest = (millis: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, millis);
};

class SlowEnd {
  private readonly millis: number;

  constructor({ config }: Context<{ sleep_ms: number }>) {
    this.millis = config.sleep_ms;
  }

  process<T>(events: T): T {
    return events;
  }

  snapshot(): undefined {
    rest(this.millis);
  }

  finish(): null {
    rest(this.millis);
    return null;
  }
}

class SlowSink {
  private readonly millis: number;

  constructor({ config }: Context<{ sleep_ms: number }>) {
    this.millis = config.sleep_ms;
  }

  write(): void {
    rest(this.millis);
  }

  prepare(): void {
    rest(this.millis);
  }
}

class SlowNumbers extends Numbers {
  private readonly millis: number;

  constructor(context: Context<Numbering & { sleep_ms: number }>) {
    super(context, 10);
    this.millis = context.config.sleep_ms;
  }

  override *emit(): Generator<Event | Batch> {
    for (const item of super.emit()) {
      if (item instanceof Batch || Number(item.n) % 10 === 0) rest(this.millis);
      yield item;
    }
  }

  override snapshot(): number {
    rest(this.millis);
    return super.snapshot();
  }
}

const pause = async (event: Event): Promise<Event> => {
  await new Promise((resolve) => setTimeout(resolve, Number(BigInt(event.n ?? 0) % 5n)));
  return event;
};

const repeat = (event: Event, { config }: Context<{ times: number }>): Event[] =>
  Array.from({ length: config.times }, () => event);

const stages: Record<string, () => Stage> = {
  echo: () =>
    either(
      () => transform((event) => event, bigints),
      () => transform.batch((batch, context) => context.batch(columnsOf(batch), batch.rows)),
    ),
  keep_even: () =>
    either(
      () => filter(isEven, bigints),
      () => transform.batch((batch) => batch.select((row) => isEven({ n: batch.column("n").get(row) }))),
    ),
  select: () =>
    either(
      () => transform((event) => (isEven(event) ? event : null), bigints),
      () => transform.batch((batch) => batch.select((row) => isEven({ n: batch.column("n").get(row) }))),
    ),
  duplicate: () =>
    either(
      () => transform(repeat, bigints),
      () => transform.batch(perRow(repeat)),
    ),
  derive: () =>
    either(
      () => transform(derived, bigints),
      () => transform.batch(perRow((event) => [derived(event)])),
    ),
  fail_on: () =>
    either(
      () => transform(failOn, bigints),
      () => transform.batch(failBatch),
    ),
  fail_batch: () => transform.batch(failBatch),
  fatal_on: () =>
    either(
      () => transform(fatalOn, { ...bigints, ordered: true }),
      () =>
        transform.batch(
          perRow((event, context: Context<{ n: number }>) => [fatalOn(event, context)]),
          { ordered: true },
        ),
    ),
  fail_open: () => transform(FailOpen, bigints),
  fail_finish: () => transform(FailFinish, bigints),
  count: () =>
    either(
      () => transform(CountEvents, { output: { key: "string?", count: "int64" } }),
      () => transform.batch(CountBatches, { output: { key: "string?", count: "int64" } }),
    ),
  sum: () => transform.batch(Sum, { output: { sum: "int64" } }),
  delay: () => transform.batch(Delay),
  config: () =>
    either(
      () => transform<Texts>((_, { config }) => configured(config), bigints),
      () => transform.batch<Texts>(perRow((_, { config }) => [configured(config)])),
    ),
  log: () => transform(Log, { ...bigints, ordered: false }),
  numbers: () => source(Numbers),
  endless: () => source(Numbers),
  fail_source: () => source(Numbers),
  lines: () => jsonLines(),
  fail_sink: () =>
    sink.batch(() => {
      throw new Error("disk on fire");
    }),
  slow: () => transform.batch(sleep),
  slow_end: () =>
    either(
      () => transform(SlowEnd, bigints),
      () => transform.batch(SlowEnd),
    ),
  slow_numbers: () => source(SlowNumbers),
  slow_sink: () => sink.batch(SlowSink),
  spin: () =>
    either(
      () => transform(spin, bigints),
      () => transform.batch(spinBatch),
    ),
  async: () => transform(pause, bigints),
};

const stage = stages[name];
if (stage === undefined) {
  console.error(`there is no stage \`${name}\`; the stages are ${Object.keys(stages).join(", ")}`);
  process.exit(2);
}
run(stage());
