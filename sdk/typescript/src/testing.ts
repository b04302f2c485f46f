/**
 * Runs a stage without a runtime, for tests: `check(stage, events)` gives the events that come out.
 *
 * ```ts
 * assert.deepEqual(await check(stage, [{ type: "buy", value: 12 }]), [{ type: "buy", value: 12 }]);
 * ```
 *
 * The stage runs as it would in a pipeline, over the same frames and tables, opened, asked for the end and committed. The
 * memory of a batch is overwritten once its handler has returned, so that a test finds code that holds on to it without
 * `keep()`. Neighbours: `run` has the life of a stage, whose other side this is.
 */
import { Ledger } from "./activity.js";
import { Batch, Selection } from "./batch.js";
import { Encoder } from "./builder.js";
import { type Channel, drive, INPUT, type Wait } from "./channel.js";
import { Frame, FrameReader, FrameWriter, NONE } from "./frame.js";
import { Link } from "./link.js";
import { type BatchPolicy, type Failed, readFromStage, Role, type ToStage, writeToStage } from "./message.js";
import { Life } from "./run.js";
import { type Declaration, declared, type Event, type Schema, type TypeName } from "./schema.js";
import { Pool } from "./segment.js";
import type { Stage } from "./stage.js";
import { TableWriter } from "./table.js";

export { Column } from "./column.js";
export { Batch, Selection };

/** How a stage is checked. */
export interface CheckOptions {
  /** The columns of the events; found out from them if they are left out. */
  readonly input?: Declaration;
  /** The columns of what comes out, if the stage does not declare them and they are not those of the input. */
  readonly output?: Declaration;
  /** How many events a batch has; all of them are one batch otherwise. */
  readonly rows?: number;
  /** A source is told to stop after so many events. */
  readonly take?: number;
  /** How many rows a batch of a source should have. */
  readonly policy?: Partial<BatchPolicy>;
}

/** An event that has failed. */
export interface EventFailure {
  /** Its place among those given. */
  readonly at: number;
  /** The error's class. */
  readonly code: string;
  readonly message: string;
  /** The error's stack. */
  readonly detail: string;
}

/** What has come of events. */
export interface Outcome {
  readonly events: Event[];
  readonly failures: EventFailure[];
}

const WINDOW_BATCHES = 16;
const INLINE_MAX = 1 << 28;

/** The events that come out of a stage. Rejects if an event or the stage fails. */
export async function check(
  stage: Stage,
  events: readonly Event[] = [],
  config: unknown = {},
  options: CheckOptions = {},
): Promise<Event[]> {
  const { events: made, failures } = await outcome(stage, events, config, options);
  const failure = failures[0];
  if (failure === undefined) return made;
  const error = new Error(`event ${failure.at} has failed: ${failure.code}: ${failure.message}`);
  error.stack = `${error.message}\n${failure.detail}`;
  throw error;
}

/** The events that come out of a stage, and those that have failed. Rejects if the stage fails. */
export async function outcome(
  stage: Stage,
  events: readonly Event[] = [],
  config: unknown = {},
  options: CheckOptions = {},
): Promise<Outcome> {
  const referee = new Referee(stage, events, config, options);
  await referee.run();
  return { events: referee.made.slice(0, options.take), failures: referee.failures };
}

/** The runtime's side of the protocol, as far as a test needs it; all payloads are inline. */
class Referee implements Channel {
  ended = false;
  arrival = (): void => {};
  readonly made: Event[] = [];
  readonly failures: EventFailure[] = [];
  private readonly writer = new FrameWriter();
  private readonly reader = new FrameReader();
  private readonly stageWriter = new FrameWriter();
  private readonly stageReader = new FrameReader();
  private readonly input: Schema;
  private readonly output: Schema;
  private readonly batches: Batch[] = [];
  private readonly firsts: number[] = [];
  private failed: Failed | null = null;
  private fresh = true;
  private stopped = false;

  constructor(
    private readonly stage: Stage,
    events: readonly Event[],
    config: unknown,
    private readonly options: CheckOptions,
  ) {
    this.input = options.input === undefined ? inferred(events) : declared(options.input);
    this.output = options.output === undefined ? (stage.output ?? this.input) : declared(options.output);
    this.reader.payloadMax = INLINE_MAX;
    this.open(config);
    if (stage.role !== Role.Source) {
      const rows = Math.max(1, options.rows ?? events.length);
      for (let first = 0; first < events.length; first += rows)
        this.send(events.slice(first, first + rows), first);
      this.say({ end: {} });
    }
    this.hand();
  }

  /** Lets the stage live until its end. */
  async run(): Promise<void> {
    const link = new Link(this, this.stageReader, this.stageWriter, new Ledger(), { input: -1, output: -1 });
    const life = new Life(this.stage, link, new Pool(true));
    await new Promise<void>((resolve, reject) => {
      drive(life.routine(), this, (error) => (error === undefined ? resolve() : reject(error)));
    });
    if (this.failed !== null) {
      const { code, message, detail } = this.failed;
      const error = new Error(`the stage has failed: ${code}: ${message}`);
      if (detail !== "") error.stack = detail;
      throw error;
    }
  }

  poll(): void {}

  wait(): boolean {
    return false;
  }

  flush(): boolean {
    const bytes = this.stageWriter.take();
    for (let at = 0; at < bytes.length;) {
      const space = this.reader.space();
      const part = bytes.subarray(at, at + space.length);
      space.set(part);
      this.reader.filled(part.length);
      at += part.length;
    }
    while (this.reader.next()) this.hear();
    this.hand();
    return true;
  }

  settle(wait: Wait): Promise<void> {
    if (wait === INPUT && !this.fresh) this.ended = true;
    this.fresh = false;
    return Promise.resolve();
  }

  private open(config: unknown): void {
    const { role } = this.stage;
    // Bigints become strings with a mark that no other string has, and then numbers.
    const marked = (_: string, value: unknown): unknown => (typeof value === "bigint" ? `\0${value}` : value);
    const plain = JSON.stringify(config, marked).replace(/"\\u0000(-?\d+)"/g, "$1");
    this.say({
      open: {
        protocol: 1,
        generation: 1,
        stage: "check",
        config: plain,
        ...(role === Role.Source ? {} : { input: this.input }),
        ...(role === Role.Sink ? {} : { output: this.output }),
        window_batches: WINDOW_BATCHES,
        window_bytes: INLINE_MAX,
        inline_max: INLINE_MAX,
        input_segment: 0,
        output_segment: 0,
        policy: { rows: 0, linger_us: 0, ...this.options.policy },
        state_chunks: 0,
        replica: 0,
        replicas: 1,
        unmeasured: false,
      },
    });
  }

  private say(message: ToStage): void {
    this.writer.message(writeToStage(message));
  }

  /** Sends events as a batch. */
  private send(events: readonly Event[], first: number): void {
    const writer = new TableWriter(new Pool());
    const fault = new Encoder(this.input).events(writer, events)[0];
    if (fault !== undefined) throw fault.error;
    const head = { offset: NONE, length: writer.length, rows: events.length, form: 0, input: NONE };
    this.writer.batch({ ...head, seq: this.batches.length }, [writer.finish()]);
    this.batches.push(new Batch(this.input, events.length, writer.memory, writer.length));
    this.firsts.push(first);
  }

  /** Puts what was said where the stage reads. */
  private hand(): void {
    const bytes = this.writer.take();
    for (let at = 0; at < bytes.length;) {
      const space = this.stageReader.space();
      const part = bytes.subarray(at, at + space.length);
      space.set(part);
      this.stageReader.filled(part.length);
      at += part.length;
      this.fresh = true;
    }
    // The stage has to know how long payloads may be before it can read them.
    this.stageReader.payloadMax = INLINE_MAX;
  }

  private hear(): void {
    if (this.reader.kind === Frame.Batch) this.take();
    if (this.reader.kind !== Frame.Message) return;
    const message = readFromStage(this.reader.message);
    if ("failed" in message) this.fail(message.failed);
    else if ("done" in message && this.stage.role === Role.Sink) this.say({ commit: {} });
  }

  private fail(failed: Failed): void {
    if (failed.rows.length === 0) this.failed = failed;
    const first = this.firsts[failed.input] ?? 0;
    for (const row of failed.rows) {
      this.failures.push({
        at: first + row,
        code: failed.code,
        message: failed.message,
        detail: failed.detail,
      });
    }
  }

  /** Takes the events of a batch, and gives credit for it. */
  private take(): void {
    const { seq, rows, length, form, input, payload } = this.reader;
    if (form === 1) {
      const batch = this.batches[input] as Batch;
      const selection = Selection.of(batch.rows, payload);
      for (let row = 0; row < batch.rows; row++)
        if (selection.has(row)) this.made.push(this.event(batch, row));
    } else {
      const memory = new Pool().take(length);
      memory.bytes.set(payload);
      const batch = new Batch(this.output, rows, memory, length);
      for (let row = 0; row < rows; row++) this.made.push(this.event(batch, row));
    }
    this.writer.credit(seq, 0, 0);
    if (this.made.length >= (this.options.take ?? Infinity) && !this.stopped) {
      this.stopped = true;
      this.say({ end: {} });
    }
  }

  private event(batch: Batch, row: number): Event {
    const entries = batch.schema.fields.map(({ name }, at) => {
      const value = batch.columnAt(at).get(row);
      const whole = this.stage.int64 === "bigint" && Number.isInteger(value) && isWhole(batch, at);
      return [name, whole ? BigInt(value as number) : value];
    });
    return Object.fromEntries(entries);
  }
}

function isWhole(batch: Batch, at: number): boolean {
  const { type } = batch.columnAt(at);
  return type === 2 || type === 6;
}

/** The columns that events have, by their values. */
function inferred(events: readonly Event[]): Schema {
  const words: Record<string, TypeName | `${TypeName}?`> = {};
  for (const name of new Set(events.flatMap(Object.keys))) {
    const values = events.map((event) => event[name]);
    const present = values.filter((value) => value !== null && value !== undefined);
    words[name] = `${typeOf(name, present)}${present.length < values.length ? "?" : ""}` as TypeName;
  }
  return declared(words);
}

function typeOf(name: string, values: readonly unknown[]): TypeName {
  const [first] = values;
  if (typeof first === "boolean") return "bool";
  if (typeof first === "string" || first === undefined) return "string";
  if (first instanceof Uint8Array) return "binary";
  if (first instanceof Date) return "timestamp";
  if (typeof first !== "number" && typeof first !== "bigint") {
    throw new TypeError(
      `\`${name}\` is \`${String(first)}\`, which no column can be; give the columns as \`input\``,
    );
  }
  return values.every((value) => typeof value === "bigint" || Number.isInteger(value)) ? "int64" : "float64";
}
