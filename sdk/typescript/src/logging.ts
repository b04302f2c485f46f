/**
 * The console as the stage's log: every line that it writes has the prefix of its level.
 *
 * `console.error`, `warn`, `info` and `debug` have the levels error, warning, information and debug; what `console.log`
 * prints is information without a prefix. Lines are written at once, also while the loop blocks. Neighbour: `run`.
 */
import { writeSync } from "node:fs";
import { format } from "node:util";

const LEVELS = { error: "<3>", warn: "<4>", info: "<6>", debug: "<7>", trace: "<7>" } as const;

/** Sends what the console writes to the log. */
export function install(): void {
  console.log = (...values: unknown[]) => writeAll(1, `${format(...values)}\n`);
  for (const [name, prefix] of Object.entries(LEVELS)) {
    console[name as keyof typeof LEVELS] = (...values: unknown[]) =>
      writeAll(2, prefixed(prefix, format(...values)));
  }
}

/** Every line of a text with its level. */
export function prefixed(prefix: string, text: string): string {
  return text
    .split("\n")
    .map((line) => `${prefix}${line}\n`)
    .join("");
}

/** Writes to a descriptor, waiting where it does not block and is full. */
function writeAll(descriptor: number, text: string): void {
  const bytes = Buffer.from(text, "utf8");
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(descriptor, bytes, at);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "EPIPE") return;
      if (code !== "EAGAIN" && code !== "EINTR") throw error;
      Atomics.wait(PAUSE, 0, 0, 1);
    }
  }
}

const PAUSE = new Int32Array(new SharedArrayBuffer(4));
