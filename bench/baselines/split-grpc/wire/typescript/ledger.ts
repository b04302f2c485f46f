// Where this process's time goes.
//
// Node's HTTP/2 reads and writes inside the event loop, out of a stopwatch's reach. But the loop itself tells
// how long it was busy and how long it slept, and these services move data in one direction only: what the loop
// is busy with beyond the stage's own work and the codec is writing (ingest) or reading (sink). The sleep is
// waiting. The clock is read per batch or chunk, never per event.

import { performance } from "node:perf_hooks";
import type { EventLoopUtilization } from "node:perf_hooks";
import { StageReport } from "./generated/split.js";

export type Direction = "sends" | "receives";
export type Activity = "process" | "serialise" | "deserialise";

export class Ledger {
  private readonly direction: Direction;
  private readonly seconds: Record<Activity, number> = { process: 0, serialise: 0, deserialise: 0 };
  private readonly traffic = { eventsIn: 0n, eventsOut: 0n, batchesIn: 0n, batchesOut: 0n };
  private start: { at: number; loop: EventLoopUtilization } | undefined;
  private closed: StageReport | undefined;

  constructor(direction: Direction) {
    this.direction = direction;
  }

  // Begins the window: the time in which the service's stream is open.
  open(): void {
    this.start = { at: performance.now(), loop: performance.eventLoopUtilization() };
  }

  // Runs synchronous work and adds its time to the activity.
  time<T>(activity: Activity, work: () => T): T {
    const start = performance.now();
    try {
      return work();
    } finally {
      this.seconds[activity] += (performance.now() - start) / 1000;
    }
  }

  countIn(events: number): void {
    this.traffic.batchesIn += 1n;
    this.traffic.eventsIn += BigInt(events);
  }

  countOut(events: number): void {
    this.traffic.batchesOut += 1n;
    this.traffic.eventsOut += BigInt(events);
  }

  close(): void {
    if (this.start === undefined) throw new Error("the window is not open");
    const { process, serialise, deserialise } = this.seconds;
    const loop = performance.eventLoopUtilization(this.start.loop);
    const transport = Math.max(0, loop.active / 1000 - process - serialise - deserialise);
    this.closed = {
      ...this.traffic,
      rejected: 0n,
      windowSeconds: (performance.now() - this.start.at) / 1000,
      processSeconds: process,
      waitingSeconds: loop.idle / 1000,
      ...(this.direction === "sends"
        ? { serialiseSeconds: serialise, writeSeconds: transport }
        : { readSeconds: transport, deserialiseSeconds: deserialise }),
    };
  }

  // Undefined until the window is closed.
  report(): StageReport | undefined {
    return this.closed;
  }
}
