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
  /** When the current activity was entered: milliseconds of the monotonic clock. */
  now = performance.now();
  private readonly millis = new Float64Array(7);
  private doing: Doing = Doing.Receive;

  enter(doing: Doing): void {
    const now = performance.now();
    this.millis[this.doing]! += now - this.now;
    this.now = now;
    this.doing = doing;
  }

  /** Ends a wait and begins to receive; a wait that was none counts as receiving. */
  arrived(): void {
    const now = performance.now();
    const doing = now - this.now < AT_ONCE_MILLIS ? Doing.Receive : this.doing;
    this.millis[doing]! += now - this.now;
    this.now = now;
    this.doing = Doing.Receive;
  }

  /** Begins the account. */
  begin(): void {
    this.millis.fill(0);
    this.now = performance.now();
    this.doing = Doing.Receive;
  }

  /** The account up to now, in nanoseconds. */
  account(bytesRead: number, bytesTotal: number): Activity {
    this.enter(this.doing);
    const nanos = Array.from(this.millis, (millis) => Math.round(millis * 1e6));
    const [receive = 0, decode = 0, process_ = 0, encode = 0, send = 0, starved = 0, backpressured = 0] =
      nanos;
    const { user, system } = process.cpuUsage();
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
