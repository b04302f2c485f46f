/**
 * The socket to the runtime, and how the stage waits on it.
 *
 * ```text
 *   routine ── yields INPUT, OUTPUT or a promise ──▶ drive ──┬─ blocking: readSync and writeSync on the descriptor
 *                                                            └─ evented: net.Socket, timers and promises run
 * ```
 *
 * The loop of a stage is a routine, a generator that yields what it has to wait for. It starts blocking, which costs
 * least for each batch. Once it has to wait for a promise (an async handler, a source) or the descriptor turns out not
 * to block, it goes on evented, for good. Nothing else in the SDK knows which of the two it is.
 */
import { readSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import type { FrameReader, FrameWriter } from "./frame.js";

/** Wait for bytes to read. */
export const INPUT = Symbol("input");
/** Wait until what was given to `flush` is written. */
export const OUTPUT = Symbol("output");
/** What a routine waits for. */
export type Wait = typeof INPUT | typeof OUTPUT | PromiseLike<unknown>;
/** A loop that yields what it waits for and gets what a promise has settled to. */
export type Routine<T> = Generator<Wait, T, unknown>;

/** Moves frames between the routine and the runtime. */
export interface Channel {
  /** The other side has closed. */
  readonly ended: boolean;
  /** Called, evented, when something has arrived that the routine does not wait for: bytes or the end. */
  arrival: () => void;
  /** Reads what is there, where that can be done without waiting: not on a descriptor that blocks. */
  poll(): void;
  /** Writes all frames; false if the routine has to wait for `OUTPUT`. */
  flush(): boolean;
  /** Waits blocking; false if that is not possible, so that the wait has to be evented. */
  wait(wait: Wait): boolean;
  /** Waits evented. */
  settle(wait: typeof INPUT | typeof OUTPUT): Promise<void>;
}

/** Waits for a value that may be a promise. */
export function* settled<T>(value: T | PromiseLike<T>): Routine<T> {
  return isPromise(value) ? ((yield value) as T) : value;
}

export function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === "object" && value !== null && typeof (value as PromiseLike<T>).then === "function";
}

/** Runs a routine, blocking as long as that is possible; `done` gets the error that has ended it, if one has. */
export function drive(routine: Routine<void>, channel: Channel, done: (error?: unknown) => void): void {
  try {
    for (let step = routine.next(); !step.done; step = routine.next()) {
      if (!channel.wait(step.value)) {
        void driveEvented(routine, channel, step.value).then(() => done(), done);
        return;
      }
    }
  } catch (error) {
    done(error);
    return;
  }
  done();
}

async function driveEvented(routine: Routine<void>, channel: Channel, first: Wait): Promise<void> {
  for (let wait = first; ;) {
    let step: IteratorResult<Wait, void>;
    let value: unknown;
    try {
      value = await (wait === INPUT || wait === OUTPUT ? channel.settle(wait) : wait);
    } catch (error) {
      step = routine.throw(error);
      if (step.done) return;
      wait = step.value;
      continue;
    }
    step = routine.next(value);
    if (step.done) return;
    wait = step.value;
  }
}

/** The channel over the inherited descriptor. */
export class DescriptorChannel implements Channel {
  ended = false;
  arrival = (): void => {};
  private socket: Socket | null = null;
  private wake: (() => void) | null = null;
  private fresh = false;
  private rest: Uint8Array | null = null;

  constructor(
    private readonly descriptor: number,
    private readonly reader: FrameReader,
    private readonly writer: FrameWriter,
  ) {}

  wait(wait: Wait): boolean {
    return this.socket === null && wait === INPUT && this.read();
  }

  poll(): void {
    if (this.socket !== null && !this.ended) this.read();
  }

  flush(): boolean {
    if (this.writer.pending === 0) return this.rest === null;
    const bytes = this.writer.take();
    if (this.rest !== null) {
      this.rest = Buffer.concat([this.rest, bytes]);
      return false;
    }
    for (let at = 0; at < bytes.length;) {
      try {
        at += writeSync(this.descriptor, bytes, at, bytes.length - at);
      } catch (error) {
        if (isInterrupted(error)) continue;
        if (wouldBlock(error)) {
          this.rest = Uint8Array.prototype.slice.call(bytes, at);
          return false;
        }
        return this.broken(error);
      }
    }
    return true;
  }

  async settle(wait: typeof INPUT | typeof OUTPUT): Promise<void> {
    const socket = this.evented();
    if (wait === OUTPUT) {
      const rest = this.rest;
      this.rest = null;
      if (rest !== null) await new Promise<void>((resolve) => socket.write(rest, () => resolve()));
      return;
    }
    if (!this.fresh && !this.ended) await new Promise<void>((resolve) => (this.wake = resolve));
    this.fresh = false;
  }

  /** Reads what is there, or blocks until something is; false if the descriptor does not block and nothing is. */
  private read(): boolean {
    for (;;) {
      try {
        const space = this.reader.space();
        const bytes = readSync(this.descriptor, space, 0, space.length, null);
        this.reader.filled(bytes);
        if (bytes === 0) this.ended = true;
        return true;
      } catch (error) {
        if (isInterrupted(error)) continue;
        if (wouldBlock(error)) return false;
        this.broken(error);
        return true;
      }
    }
  }

  /** From here on the descriptor does not block, and the event loop reads. */
  private evented(): Socket {
    if (this.socket !== null) return this.socket;
    const socket = new Socket({ fd: this.descriptor });
    socket.on("data", (chunk: Buffer) => {
      for (let at = 0; at < chunk.length;) {
        const copied = chunk.copy(this.reader.space(), 0, at);
        this.reader.filled(copied);
        at += copied;
      }
      this.arrived();
    });
    socket.on("error", () => this.end());
    socket.on("close", () => this.end());
    socket.on("end", () => this.end());
    this.socket = socket;
    return socket;
  }

  private arrived(): void {
    this.fresh = true;
    const wake = this.wake;
    this.wake = null;
    if (wake === null) this.arrival();
    else wake();
  }

  private end(): void {
    this.ended = true;
    this.arrived();
  }

  /** A runtime that is gone is the end of the socket, whichever way it shows. */
  private broken(error: unknown): true {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "EPIPE" && code !== "ECONNRESET") throw error;
    this.ended = true;
    return true;
  }
}

function wouldBlock(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "EAGAIN";
}

function isInterrupted(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "EINTR";
}
