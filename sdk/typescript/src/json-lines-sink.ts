/**
 * A sink that writes a file of JSON lines, ready to use: `run(jsonLines())`.
 *
 * It writes `FILE.partial`, makes that durable when everything has come, and gives it its name on commit. Without a
 * commit the temporary name stays. Neighbour: `json-line` makes the lines.
 */
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Batch } from "./batch.js";
import { jsonLines as linesOf } from "./json-line.js";
import { type Context, Fatal, type Prepared, sink, type Stage, type Sink } from "./stage.js";

const BUFFER_BYTES = 1 << 20;

class JsonLines implements Sink<Batch> {
  private readonly path: string;
  private readonly descriptor: number;
  private lines = "";
  private rows = 0;

  constructor(path: unknown) {
    if (typeof path !== "string" || path === "") {
      throw new Fatal("the sink has no `path`: give it in the stage's `with`", { kind: "invalid" });
    }
    this.path = resolve(path);
    this.descriptor = openSync(`${this.path}.partial`, "w");
  }

  write(batch: Batch): void {
    this.lines += linesOf(batch);
    this.rows += batch.rows;
    if (this.lines.length >= BUFFER_BYTES) this.flush();
  }

  prepare(): Prepared {
    this.flush();
    fsyncSync(this.descriptor);
    closeSync(this.descriptor);
    return { artifact: `${this.path}.partial`, rows: this.rows };
  }

  commit(): void {
    renameSync(`${this.path}.partial`, this.path);
    const folder = openSync(dirname(this.path), "r");
    fsyncSync(folder);
    closeSync(folder);
  }

  private flush(): void {
    const bytes = Buffer.from(this.lines, "utf8");
    this.lines = "";
    for (let at = 0; at < bytes.length;) at += writeSync(this.descriptor, bytes, at);
  }
}

/** Writes each event as one JSON object a line into the file `path`, by default the `path` of the stage's `with`. */
export function jsonLines(path?: string): Stage<{ path: string }> {
  return sink.batch<{ path: string }>(
    class extends JsonLines {
      constructor(context: Context<{ path: string }>) {
        super(path ?? context.config.path);
      }
    },
  );
}
