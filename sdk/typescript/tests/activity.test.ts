/**
 * When the ledger changes from one activity to another: the whole sequence, for conversations that are written down.
 *
 * Each letter is one call, which is one look at the clock: Receive, Decode, Process, Encode, Send, sTarved,
 * Backpressured, and A for a wait that is over. A call that is missing, or one too many, shows; so does one that is made
 * for each event.
 */
import assert from "node:assert/strict";
import { after, type TestContext, test } from "node:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ledger } from "../src/activity.js";
import { type Channel, drive, INPUT, type Wait } from "../src/channel.js";
import { FrameReader, FrameWriter } from "../src/frame.js";
import {
  type Event,
  fileBlocks,
  filter,
  sink,
  source,
  type Stage,
  TextBlock,
  transform,
} from "../src/index.js";
import { Link } from "../src/link.js";
import { type Open, type ToStage, writeToStage } from "../src/message.js";
import { Life } from "../src/run.js";
import { declared, RAW } from "../src/schema.js";
import { Pool } from "../src/segment.js";
import { check } from "../src/testing.js";

const LETTERS = "RDPESTB";
const WORDS = declared({ n: "int64", s: "string" });
const SEGMENT = 8192;

/** The changes while `live` runs, from `Ready` on. */
async function traced(context: TestContext, live: () => Promise<unknown>): Promise<string> {
  let trace = "";
  context.mock.method(Ledger.prototype, "enter", (doing: number) => {
    trace += LETTERS.charAt(doing);
  });
  context.mock.method(Ledger.prototype, "arrived", () => {
    trace += "A";
  });
  context.mock.method(Ledger.prototype, "begin", () => {
    trace = "";
  });
  // Nothing is ever late.
  context.mock.method(performance, "now", () => 0);
  await live();
  context.mock.reset();
  return trace;
}

/** The changes in the life of a stage that gets two batches of so many events. */
async function changes(context: TestContext, stage: Stage, rows: number): Promise<string> {
  const events = Array.from({ length: 2 * rows }, (_, n): Event => ({ n, s: `text ${n}` }));
  return traced(context, () => check(stage, events, {}, { rows }));
}

/** What the runtime says: a message, or credit for a batch. */
type Said = ToStage | { readonly credit: number };

/** A runtime that has said everything: it comes in parts, each when the stage waits for something, and then the end. */
class Script implements Channel {
  ended = false;
  arrival = (): void => {};
  readonly reader = new FrameReader();
  readonly writer = new FrameWriter();
  /** Called when something is written. */
  written = (): void => {};

  constructor(private readonly parts: Said[][]) {}

  poll(): void {}

  wait(wait: Wait): boolean {
    if (wait === INPUT) this.next();
    return wait === INPUT;
  }

  flush(): boolean {
    this.writer.take();
    this.written();
    return true;
  }

  settle(): Promise<void> {
    this.next();
    return Promise.resolve();
  }

  private next(): void {
    const part = this.parts.shift();
    if (part === undefined) this.ended = true;
    const writer = new FrameWriter();
    for (const said of part ?? []) {
      if ("credit" in said) writer.credit(said.credit, 0, 0);
      else writer.message(writeToStage(said));
    }
    const bytes = writer.take();
    this.reader.space().set(bytes);
    this.reader.filled(bytes.length);
  }
}

/** What a stage is opened with. */
function opening(open: Partial<Open>): Said {
  return {
    open: {
      protocol: 1,
      generation: 1,
      stage: "traced",
      config: "{}",
      output: WORDS,
      window_batches: 4,
      window_bytes: 1 << 30,
      inline_max: 1 << 20,
      input_segment: 0,
      output_segment: 0,
      policy: { rows: 2, linger_us: 0 },
      state_chunks: 0,
      replica: 0,
      replicas: 1,
      unmeasured: false,
      ...open,
    },
  };
}

/** The changes in the life of a stage to which the runtime says these parts. */
async function lived(context: TestContext, stage: Stage, script: Script): Promise<string> {
  return traced(context, async () => {
    const { reader, writer } = script;
    const link = new Link(script, reader, writer, new Ledger(), { input: -1, output: -1 });
    // Stands for the output segment, which only an add-on can map.
    Object.assign(link, { mapped: Buffer.alloc(SEGMENT) });
    const life = new Life(stage, link, new Pool(true));
    await new Promise<void>((resolve, reject) => {
      drive(life.routine(), script, (error) => (error === undefined ? resolve() : reject(error)));
    });
    assert.equal(life.exitCode, 0);
  });
}

class Held {
  process(): void {}

  finish(): Event {
    return { n: 1, s: "last" };
  }
}

const CASES: Record<string, [() => Stage, string]> = {
  "a filter": [() => filter(() => true), "SDPEESDPEESPSRSTATA"],
  "a transform": [() => transform((event) => ({ ...event, s: "new" })), "SDPEEESDPEEESPSRSTATA"],
  batches: [() => transform.batch((batch) => batch), "SDPEESDPEESPSRSTATA"],
  "an end": [() => transform(Held), "SDPESDPESPEESRSTATA"],
  "a sink of events": [() => sink(() => {}), "SDPESDPESPSRSTASTA"],
  "a sink of batches": [() => sink.batch(() => {}), "SDPESDPESPSRSTASTA"],
};

for (const [name, [stage, expected]] of Object.entries(CASES)) {
  test(`the clock is looked at once per activity of a batch: ${name}`, async (context) => {
    for (const rows of [3, 300]) assert.equal(await changes(context, stage(), rows), expected);
  });
}

const folder = mkdtempSync(join(tmpdir(), "activity-"));
const file = join(folder, "lines.txt");
writeFileSync(file, "a\nb\nc\n");
after(() => rmSync(folder, { recursive: true }));

function* events(count: number): Generator<Event> {
  for (let n = 0; n < count; n++) yield { n, s: "text" };
}

class Counted {
  *emit(): Generator<Event> {
    yield* events(4);
  }

  snapshot(): number {
    return 4;
  }
}

const BARRIER: Said = { barrier: { epoch: 1 } };
const END: Said = { end: {} };
const text = (): TextBlock[] => [new TextBlock("t", 0, Buffer.from("a\nb\nc\n"))];

interface Conversation {
  readonly stage: Stage;
  readonly open?: Partial<Open>;
  /** Behind `Open`, at once. */
  readonly said?: Said[];
  readonly later?: Said[][];
  readonly expect: string;
}

const raw = { output: RAW };
const CONVERSATIONS: Record<string, Conversation> = {
  "a state": {
    stage: transform(Held),
    open: { input: WORDS },
    later: [[BARRIER], [END]],
    expect: "STAPSTAPEESRSTA",
  },
  "a source": { stage: source(() => events(3)), expect: "SPEEPEESRSTA" },
  "a source that needs credit": {
    stage: source(() => events(3)),
    open: { window_batches: 1 },
    later: [[{ credit: 0 }], [{ credit: 1 }]],
    expect: "SPEESBAPEESRSTATA",
  },
  "a source that is asked for its state": {
    stage: source(Counted),
    open: { window_batches: 1 },
    later: [[BARRIER], [{ credit: 0 }], [{ credit: 1 }]],
    expect: "SPEESBAPSSPBAPEESBAPRSTA",
  },
  "a source that is asked for its state before all": {
    stage: source(Counted),
    said: [BARRIER],
    expect: "SPPSSPEEPEEPSRSTA",
  },
  "a source of text": { stage: source(text), open: raw, expect: "SPEEEEPSRSTA" },
  "a source of a file in lines": {
    stage: source(() => fileBlocks(file)),
    open: raw,
    expect: "SPPEEPEEPSRSTA",
  },
  "a source of a file in blocks": {
    stage: source(() => fileBlocks(file, { block: 64 })),
    open: { ...raw, policy: { rows: 0, linger_us: 0 }, inline_max: 0, output_segment: SEGMENT },
    expect: "SPPESPPSRSTA",
  },
};

for (const [name, { stage, open, said, later, expect }] of Object.entries(CONVERSATIONS)) {
  test(`the clock is looked at once per activity: ${name}`, async (context) => {
    const script = new Script([[opening(open ?? {}), ...(said ?? [])], ...(later ?? [])]);
    assert.equal(await lived(context, stage, script), expect);
  });
}

for (const [name, count, expect] of [
  ["awaits more than its linger", 1, "SPPEESPEESRSTA"],
  ["awaits after a batch", 2, "SPPEEPSPEESRSTA"],
] as const) {
  test(`the clock is looked at once per activity: a source that ${name}`, async (context) => {
    const script = new Script([[opening({ policy: { rows: 2, linger_us: 1000 } })]]);
    const stage = source(async function* () {
      // That the first events have left is all that makes another one come.
      const left = new Promise<void>((resolve) => (script.written = resolve));
      yield* events(count);
      await left;
      yield* events(1);
    });
    assert.equal(await lived(context, stage, script), expect);
  });
}
