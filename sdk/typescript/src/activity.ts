/**
 * The ledger: where the time of the stage's loop goes.
 *
 * At every moment since `Ready` the loop is in exactly one activity; `enter` ends the one before, so that the cells sum
 * to the time that has passed. Clocks are read a few times per batch, never per event. Neighbour: `run` enters and sends.
 */
import type { Activity } from "./message.js";

export const Doing = {
  Receive: 0,
  Decode: 1,
  Process: 2,
  Encode: 3,
  Send: 4,
  Starved: 5,
  Backpressured: 6,
} as const;
export type Doing = (typeof Doing)[keyof typeof Doing];

/** A read that returns sooner has not waited: waking up alone takes longer. */
const AT_ONCE_MILLIS = 0.012;

export class Ledger {
  private since = performance.now();
  private cpu = process.cpuUsage();
  private readonly millis = new Float64Array(7);
  private doing: Doing = Doing.Receive;
  private isOff = false;

  /** When the current activity was entered, a moment ago: milliseconds of the monotonic clock. */
  get now(): number {
    return this.isOff ? performance.now() : this.since;
  }

  enter(doing: Doing): void {
    if (this.isOff) return;
    const now = performance.now();
    this.millis[this.doing]! += now - this.since;
    this.since = now;
    this.doing = doing;
  }

  /** Ends a wait and begins to receive; a wait that was none counts as receiving. */
  arrived(): void {
    if (this.isOff) return;
    const now = performance.now();
    const doing = now - this.since < AT_ONCE_MILLIS ? Doing.Receive : this.doing;
    this.millis[doing]! += now - this.since;
    this.since = now;
    this.doing = Doing.Receive;
  }

  /** Begins the account; one that is `off` reads no clock from here on, and its sums stay 0. */
  begin(off: boolean): void {
    this.millis.fill(0);
    this.since = performance.now();
    this.cpu = process.cpuUsage();
    this.doing = Doing.Receive;
    this.isOff = off;
  }

  /** The account up to now, in nanoseconds. */
  account(bytesRead: number, bytesTotal: number): Activity {
    this.enter(this.doing);
    const nanos = Array.from(this.millis, (millis) => Math.round(millis * 1e6));
    const [receive = 0, decode = 0, process_ = 0, encode = 0, send = 0, starved = 0, backpressured = 0] =
      nanos;
    const { user, system } = process.cpuUsage(this.cpu);
    return {
      receive,
      decode,
      process: process_,
      encode,
      send,
      starved,
      backpressured,
      cpu: (user + system) * 1000,
      bytes_read: bytesRead,
      bytes_total: bytesTotal,
    };
  }
}
