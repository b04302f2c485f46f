/**
 * The beginning and the end of a stage: `run` opens it as the runtime asks, and exits as the protocol says.
 *
 * Exit codes: 0 when the socket ends after `Done` (a sink: `Committed`), 1 when it ends sooner or the stage has failed,
 * 2 when no runtime has started the program. Neighbours: `channel` drives the routine, the loops do the work.
 */
import { writeSync } from "node:fs";
import { deserialize } from "node:v8";
import { Ledger } from "./activity.js";
import { Batch } from "./batch.js";
import { Builder } from "./builder.js";
import { DescriptorChannel, drive, type Routine, settled } from "./channel.js";
import { Emitter } from "./emitter.js";
import { stageFailure } from "./failure.js";
import { FrameError, FrameReader, FrameWriter } from "./frame.js";
import { parseJson } from "./json-line.js";
import { Gone, Link } from "./link.js";
import { install } from "./logging.js";
import { type Open, Role } from "./message.js";
import { ProcessLoop } from "./process-loop.js";
import { Pool } from "./segment.js";
import { SourceLoop } from "./source-loop.js";
import { type Context, Fatal, type Instance, type Stage } from "./stage.js";
import { TableWriter } from "./table.js";

const PROTOCOL = 1;
export const SDK = "typescript 0.1.0";

/** Runs a stage for the runtime that has started this program; the process ends with it. */
export function run<Config>(stage: Stage<Config>): void {
  const descriptors = parseDescriptors(process.env["MODRUN_STAGE"]);
  if (descriptors === null) {
    writeSync(2, "this program is a stage of a pipeline; `modrun run` starts it\n");
    process.exit(2);
  }
  delete process.env["MODRUN_STAGE"];
  install();
  // What stands behind the call of `run` in the program is there before the stage opens.
  setImmediate(() => {
    const reader = new FrameReader();
    const writer = new FrameWriter();
    const channel = new DescriptorChannel(descriptors.socket, reader, writer);
    const link = new Link(channel, reader, writer, new Ledger(), descriptors);
    const life = new Life(stage as Stage, link, new Pool());
    channel.arrival = () => {
      if (channel.ended) process.exit(life.exitCode);
    };
    drive(life.routine(), channel, (error) => {
      if (error !== undefined) console.error(error);
      process.exit(error === undefined ? life.exitCode : 1);
    });
  });
}

function parseDescriptors(
  text: string | undefined,
): { socket: number; input: number; output: number } | null {
  const found = /^socket=(\d+),input=(\d+),output=(\d+)$/.exec(text ?? "");
  return found === null
    ? null
    : { socket: Number(found[1]), input: Number(found[2]), output: Number(found[3]) };
}

/** A stage from its opening to its end. */
export class Life {
  /** What the process exits with if the socket ends now. */
  exitCode = 1;

  constructor(
    private readonly stage: Stage,
    private readonly link: Link,
    private readonly pool: Pool,
  ) {}

  *routine(): Routine<void> {
    try {
      yield* this.work();
    } catch (error) {
      if (error instanceof Gone) return;
      this.exitCode = 1;
      this.link.send({ failed: stageFailure(error) });
      yield* this.link.flush();
    }
  }

  private *work(): Routine<void> {
    const { link, stage } = this;
    const { open, state } = yield* this.opening();
    link.opened(open);
    const input = stage.role === Role.Source ? null : (open.input ?? null);
    const output = stage.role === Role.Sink ? null : (stage.output ?? open.output ?? null);
    if (
      (input === null) !== (stage.role === Role.Source) ||
      (output === null) !== (stage.role === Role.Sink)
    ) {
      throw new Fatal(
        `the stage \`${open.stage}\` is a ${roleName(stage.role)}, and is used as something else`,
        {
          kind: "invalid",
        },
      );
    }
    const emitter = output === null ? null : new Emitter(output, link, this.pool);
    const context = this.context(open, state, emitter);
    const instance = stage.open(context);
    if (instance.open !== undefined) yield* settled(instance.open());
    const declared = stage.output === null ? {} : { output: stage.output };
    link.send({
      ready: { protocol: PROTOCOL, sdk: SDK, role: stage.role, concurrency: stage.concurrency, ...declared },
    });
    link.ledger.begin(open.unmeasured);
    yield* link.flush();
    if (input === null) {
      yield* new SourceLoop(instance, link, emitter as Emitter, context.policy).run();
    } else {
      yield* new ProcessLoop(stage, instance, context, link, this.pool, input, emitter).run();
    }
    yield* this.end(instance);
  }

  /** Waits for `Open` and the state that follows it. */
  private *opening(): Routine<{ open: Open; state: unknown }> {
    const first = yield* this.link.next();
    if (first.message === undefined || !("open" in first.message)) {
      throw new FrameError("the first message is not `Open`");
    }
    const { open } = first.message;
    if (open.protocol !== PROTOCOL) {
      throw new Fatal(
        `the runtime speaks version \`${open.protocol}\` of the protocol, this stage \`${PROTOCOL}\``,
        {
          kind: "invalid",
        },
      );
    }
    const chunks: Uint8Array[] = [];
    while (chunks.length < open.state_chunks) {
      const next = yield* this.link.next();
      if (next.message === undefined || !("state" in next.message)) {
        throw new FrameError("a message came where a part of the state was due");
      }
      chunks.push(Buffer.from(next.payload));
    }
    return { open, state: chunks.length === 0 ? undefined : deserialize(Buffer.concat(chunks)) };
  }

  private context(open: Open, state: unknown, emitter: Emitter | null): Context {
    const output = (): Emitter => {
      if (emitter === null) throw new TypeError("a sink emits no batches");
      return emitter;
    };
    return {
      config: open.config === "" ? {} : parseJson(open.config),
      stage: open.stage,
      input: open.input ?? null,
      output: emitter?.schema ?? null,
      state,
      generation: open.generation,
      replica: open.replica,
      replicas: open.replicas,
      policy: open.policy ?? { rows: 0, linger_us: 0 },
      progress: this.link.progress,
      batch: (columns, rows) => {
        const { encoder, schema } = output();
        const writer = new TableWriter(this.pool);
        const count = encoder.batch(writer, columns, rows);
        return new Batch(schema, count, writer.memory, writer.length);
      },
      builder: () => new Builder(output().encoder, this.pool),
    };
  }

  /** After `Done`: commits when it is told to, until the socket ends. */
  private *end(instance: Instance): Routine<void> {
    if (this.stage.role !== Role.Sink) this.exitCode = 0;
    for (;;) {
      const { message } = yield* this.link.next();
      if (message !== undefined && "commit" in message) {
        if (instance.commit !== undefined) yield* settled(instance.commit());
        this.link.send({ committed: {} });
        this.exitCode = 0;
      }
    }
  }
}

function roleName(role: Role): string {
  return { [Role.Source]: "source", [Role.Transform]: "transform", [Role.Sink]: "sink" }[role];
}
