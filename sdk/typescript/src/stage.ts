/**
 * What users write stages with: `transform`, `filter`, `source`, `sink`, each of which makes a `Stage` for `run`.
 *
 * ```ts
 * run(filter((event) => event.type !== "view" && event.value >= 10));
 * ```
 *
 * A function is a stateless stage: the runtime may run several of it. A class is an ordered one: an instance is made
 * for each start, sees everything in order, may hold back what it emits, and has a snapshot. Neighbours: `run` drives a
 * stage, `testing` runs it without a runtime.
 */
import type { Batch, Selection } from "./batch.js";
import type { Builder, ColumnInput } from "./builder.js";
import type { Int64, Mode } from "./events.js";
import type { FileBlocks, TextBlock } from "./file-blocks.js";
import { type BatchPolicy, Concurrency, Role } from "./message.js";
import { type Declaration, type Event, type Schema, declared } from "./schema.js";

/** What a stage knows about where it runs. */
export interface Context<Config = unknown> {
  /** The stage's `with`; a whole number beyond 2^53 is a bigint. */
  readonly config: Config;
  /** The stage's name in the pipeline. */
  readonly stage: string;
  /** The columns of what comes in; null for a source. */
  readonly input: Schema | null;
  /** The columns of what goes out; null for a sink. */
  readonly output: Schema | null;
  /** What `snapshot` has returned before the stage was started again; undefined at the first start. */
  readonly state: unknown;
  /** Grows with every restart of the pipeline. */
  readonly generation: number;
  /** Which of several processes of the stage this is, from 0, and how many there are. */
  readonly replica: number;
  readonly replicas: number;
  /** How many rows a batch should have. */
  readonly policy: BatchPolicy;
  /** How far a source has come, in bytes; it counts here if it can. A total of 0 is unknown. */
  readonly progress: { bytesRead: number; bytesTotal: number };
  /** A batch of the output's columns. `rows` is needed only where there are no columns. */
  batch(columns: Readonly<Record<string, ColumnInput>>, rows?: number): Batch;
  /** Collects events into a batch of the output's columns. */
  builder(): Builder;
}

type MaybePromise<T> = T | PromiseLike<T>;

/** What comes of an event: one, several, or none. */
export type Emitted<Out> = Out | readonly Out[] | null | undefined | void;

/** What comes of a batch: batches, rows of it (a `Selection`, a mask of bytes, a bitmap), or nothing. */
export type EmittedBatch =
  Batch | Selection | Uint8Array | readonly (Batch | Selection)[] | null | undefined | void;

/** A transform with a state. */
export interface Transform<In, Out> {
  /** Called once before all else, if it is there. */
  open?(): MaybePromise<void>;
  process(input: In): MaybePromise<Out>;
  /** Emits what was held back. */
  finish?(): MaybePromise<Out>;
  /** The state: anything that can be cloned, also maps, sets, bigints and bytes. */
  snapshot?(): MaybePromise<unknown>;
}

/** A sink with a state. */
export interface Sink<In> {
  open?(): MaybePromise<void>;
  write(input: In): MaybePromise<void>;
  /** Makes what was written durable under a temporary name. */
  prepare?(): MaybePromise<Prepared | void>;
  /** Gives it its final name. */
  commit?(): MaybePromise<void>;
  snapshot?(): MaybePromise<unknown>;
}

/** A source with a position. What it emits has to be part of its snapshot before it is yielded. */
export interface Source<Out> {
  open?(): MaybePromise<void>;
  emit(): Produced<Out>;
  snapshot?(): MaybePromise<unknown>;
}

/** What a sink has prepared. */
export interface Prepared {
  /** The file that holds it now: an absolute path. */
  readonly artifact?: string;
  readonly rows?: number;
}

/** What a source emits: events, or batches, or raw text. */
export type Produced<Out> =
  Iterable<Out | Batch | TextBlock> | AsyncIterable<Out | Batch | TextBlock> | FileBlocks;

type Handler<Config, In, Result> = (input: In, context: Context<Config>) => Result;
type Made<Config, Instance> = new (context: Context<Config>) => Instance;

/** How a stage wants to be run. */
export interface Options {
  /** The columns that the code emits, such as `{ key: "string?", count: "int64" }`; those of the pipeline otherwise. */
  readonly output?: Declaration;
  /** How int64 and timestamp values are shown in events: as numbers, where one beyond 2^53 is an error, or as bigints. */
  readonly int64?: Int64;
  /** Whether one process has to see everything in order; so it is for a class, and not for a function. */
  readonly ordered?: boolean;
  /** How many events of a batch an async handler may have under way. */
  readonly concurrency?: number;
}

/** A stage for `run` and `check`. */
export interface Stage<Config = Anything> {
  readonly role: Role;
  readonly concurrency: Concurrency;
  readonly form: "event" | "batch";
  readonly mode: Mode;
  readonly output: Schema | null;
  readonly int64: Int64;
  readonly inFlight: number;
  readonly open: (context: Context<Config>) => Instance;
}

/** A stage that is open. */
export interface Instance {
  open?(): MaybePromise<void>;
  /** An event or a batch comes in. */
  take?(input: never, context: never): unknown;
  emit?(): Produced<Event>;
  finish?(): unknown;
  prepare?(): MaybePromise<Prepared | void>;
  commit?(): MaybePromise<void>;
  snapshot?(): unknown;
}

const IN_FLIGHT = 64;

// A stage's own types of events and of its configuration are promises of its author: the runtime checks columns only.
// Inside the SDK they do not matter any more.
type Anything = any;

/** A transform of single events: a function from an event to an event, several, or none; or a class with `process`. */
export function transform<Config = Anything, In = Event, Out = Event>(
  handler: Handler<Config, In, MaybePromise<Emitted<Out>>> | Made<Config, Transform<In, Emitted<Out>>>,
  options: Options = {},
): Stage<Config> {
  return define(Role.Transform, "event", "transform", handler, "process", options);
}

/** A transform of whole batches: typed columns in, a batch or a selection out. */
transform.batch = function <Config = Anything>(
  handler: Handler<Config, Batch, MaybePromise<EmittedBatch>> | Made<Config, Transform<Batch, EmittedBatch>>,
  options: Options = {},
): Stage<Config> {
  return define(Role.Transform, "batch", "transform", handler, "process", options);
};

/** Keeps the events for which `predicate` is true, as they are. */
export function filter<Config = Anything, In = Event>(
  predicate: Handler<Config, In, MaybePromise<boolean>>,
  options: Options = {},
): Stage<Config> {
  return define(Role.Transform, "event", "filter", predicate, "process", options);
}

/** A source: a function that gives something to iterate over, such as a generator; or a class with `emit`. */
export function source<Config = Anything, Out = Event>(
  handler: ((context: Context<Config>) => Produced<Out>) | Made<Config, Source<Out>>,
  options: Options = {},
): Stage<Config> {
  const role = Role.Source;
  if (isClass(handler, "emit")) return define(role, "event", "transform", handler, "emit", options);
  const produce = handler as (context: Context<Config>) => Produced<Event>;
  const stage = define<Config>(role, "event", "transform", produce, "emit", options);
  return {
    ...stage,
    concurrency: Concurrency.Ordered,
    open: (context) => ({ emit: () => produce(context) }),
  };
}

/** A sink of single events: a function, or a class with `write`. */
export function sink<Config = Anything, In = Event>(
  handler: Handler<Config, In, MaybePromise<void>> | Made<Config, Sink<In>>,
  options: Options = {},
): Stage<Config> {
  return define(Role.Sink, "event", "each", handler, "write", options);
}

/** A sink of whole batches. */
sink.batch = function <Config = Anything>(
  handler: Handler<Config, Batch, MaybePromise<void>> | Made<Config, Sink<Batch>>,
  options: Options = {},
): Stage<Config> {
  return define(Role.Sink, "batch", "each", handler, "write", options);
};

function define<Config>(
  role: Role,
  form: "event" | "batch",
  mode: Mode,
  handler: Anything,
  method: "process" | "write" | "emit",
  options: Options,
): Stage<Config> {
  const made = isClass(handler, method);
  return {
    role,
    form,
    mode,
    concurrency:
      (options.ordered ?? made) || role !== Role.Transform ? Concurrency.Ordered : Concurrency.Stateless,
    output: options.output === undefined ? null : declared(options.output),
    int64: options.int64 ?? "number",
    inFlight: options.concurrency ?? IN_FLIGHT,
    open: (context) => (made ? instance(new handler(context), method) : { take: handler }),
  };
}

/** A class is known by its method; a plain function has a prototype too, but nothing in it. */
function isClass(handler: Anything, method: string): boolean {
  return typeof handler === "function" && typeof handler.prototype?.[method] === "function";
}

function instance(made: Anything, method: "process" | "write" | "emit"): Instance {
  const bound = (name: string): unknown =>
    typeof made[name] === "function" ? made[name].bind(made) : undefined;
  const named = ["open", "finish", "prepare", "commit", "snapshot"].map((name) => [name, bound(name)]);
  const methods = Object.fromEntries(named.filter(([, method]) => method !== undefined));
  return { ...methods, [method === "emit" ? "emit" : "take"]: bound(method) };
}

/** Throw it to end the run: an error of the stage and not of an event. */
export class Fatal extends Error {
  override readonly name: string = "Fatal";
  readonly kind: "stage" | "invalid" | "unavailable";

  constructor(message: string, options: ErrorOptions & { kind?: Fatal["kind"] } = {}) {
    super(message, options);
    this.kind = options.kind ?? "stage";
  }
}
