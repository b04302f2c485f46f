/** The stages that `hop.py` measures. */
import { fileBlocks, filter, run, source, transform } from "modular-runtime";

const stages = {
  /** A predicate for each event. */
  filter: () => filter((event) => event.type !== "view" && event.value >= 10),
  /** The same as a function that returns the event or nothing. */
  rule: () => transform((event) => (event.type !== "view" && event.value >= 10 ? event : null)),
  /** Makes a new event of each that it keeps. */
  modify: () => transform((event) => (event.type !== "view" ? { ...event, value: event.value + 1 } : null)),
  /** Typed columns in, a selection out. */
  batch: () =>
    transform.batch((batch) => {
      const type = batch.column("type");
      const keep = type.dictionary.map((word) => (word === "view" ? 0 : 1));
      const [codes, pairs] = [type.codes, batch.column("value").pairs];
      const bits = new Uint8Array((batch.rows + 7) >> 3);
      for (let row = 0; row < batch.rows; row++) {
        const wanted = (keep[codes[row] as number] as number) & Number((pairs[2 * row] as number) >= 10);
        bits[row >> 3]! |= wanted << (row & 7);
      }
      return bits;
    }),
  /** A file in blocks of whole lines. */
  ingest: () => source<{ path: string; block?: number }>(({ config }) => fileBlocks(config.path, config)),
};

run(stages[process.argv[2] as keyof typeof stages]());
