// Writes the results to a file.

import { open, rename, rm } from "node:fs/promises";
import { status } from "@grpc/grpc-js";
import { SinkService } from "../wire/typescript/generated/split.js";
import type {
  AggregateResult,
  AggregateResultBatch,
  SinkServer,
} from "../wire/typescript/generated/split.js";
import { Ledger } from "../wire/typescript/ledger.js";
import type { Service } from "../wire/typescript/service.js";

export function sink(path: string): Service {
  const ledger = new Ledger("receives");
  const implementation: SinkServer = {
    write(call, callback) {
      write(call, path, ledger).then(
        (results) => callback(null, { results }),
        (error: unknown) => {
          const reason = error instanceof Error ? error.message : String(error);
          callback({ code: status.ABORTED, details: `cannot write \`${path}\`: ${reason}` });
        },
      );
    },
  };
  return { name: "split.v1.Sink", definition: SinkService, implementation, ledger };
}

// As JSON, on a line of its own.
export function lineOf({ key, count, sum, avg }: AggregateResult): string {
  return `{"key":${JSON.stringify(key)},"count":${count},"sum":${sum},"avg":${avg}}\n`;
}

// Writes beside the final name and renames at the end: a file under its final name is whole.
async function write(
  batches: AsyncIterable<AggregateResultBatch>,
  path: string,
  ledger: Ledger,
): Promise<bigint> {
  ledger.open();
  const partial = `${path}.partial`;
  let written = 0n;
  const file = await open(partial, "w");
  try {
    for await (const { results } of batches) {
      ledger.countIn(results.length);
      const text = ledger.time("process", () => results.map(lineOf).join(""));
      await file.appendFile(text);
      written += BigInt(results.length);
    }
    await file.close();
    await rename(partial, path);
  } catch (error) {
    await file.close();
    await rm(partial, { force: true });
    throw error;
  }
  ledger.close();
  return written;
}
