/**
 * Strings out of their UTF-8 bytes, many at a time.
 *
 * A call into the engine for each string costs more than the string. So a run of neighbours is decoded with one call
 * and cut, which is exact where it is ASCII. Runs are short, because a cut keeps the whole run alive: code that holds on
 * to one short string must not hold on to megabytes.
 */
import { isAscii } from "node:buffer";

const RUN = 32;

/** The strings between neighbouring offsets, `count` of them from offset number `first` on. */
export function decodeStrings(
  bytes: Buffer,
  text: number,
  offsets: Int32Array,
  first: number,
  count: number,
): string[] {
  const strings = new Array<string>(count);
  const start = text + (offsets[first] as number);
  const ascii = isAscii(bytes.subarray(start, text + (offsets[first + count] as number)));
  for (let at = 0; at < count; at += RUN) {
    const end = Math.min(at + RUN, count);
    const base = offsets[first + at] as number;
    const length = (offsets[first + end] as number) - base;
    const run = bytes.toString(ascii ? "latin1" : "utf8", text + base, text + base + length);
    if (run.length === length) {
      for (let index = at, from = 0; index < end; index++) {
        const to = (offsets[first + index + 1] as number) - base;
        strings[index] = run.substring(from, to);
        from = to;
      }
    } else {
      for (let index = at; index < end; index++) {
        const from = text + (offsets[first + index] as number);
        strings[index] = bytes.toString("utf8", from, text + (offsets[first + index + 1] as number));
      }
    }
  }
  return strings;
}
