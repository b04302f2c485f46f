// Reads the file and sends its lines.

import { once } from "node:events";
import { createReadStream } from "node:fs";
import { status } from "@grpc/grpc-js";
import type { ServerWritableStream } from "@grpc/grpc-js";
import { IngestService } from "../wire/typescript/generated/split.js";
import type { EventBatch, IngestServer, ReadRequest } from "../wire/typescript/generated/split.js";
import { Ledger } from "../wire/typescript/ledger.js";
import type { Service } from "../wire/typescript/service.js";
import { batchesOf } from "./lines.js";

const CHUNK_BYTES = 256 * 1024;

export function ingest(path: string): Service {
  const ledger = new Ledger("sends");
  const implementation: IngestServer = {
    read(call) {
      send(call, path, ledger).catch((error: unknown) => {
        const details = `cannot read \`${path}\`: ${error instanceof Error ? error.message : String(error)}`;
        call.emit("error", { code: status.ABORTED, details });
      });
    },
  };
  return { name: "split.v1.Ingest", definition: IngestService, implementation, ledger };
}

async function send(
  call: ServerWritableStream<ReadRequest, EventBatch>,
  path: string,
  ledger: Ledger,
): Promise<void> {
  ledger.open();
  const stop = new AbortController();
  call.on("cancelled", () => stop.abort());
  const file = createReadStream(path, { highWaterMark: CHUNK_BYTES, signal: stop.signal });
  const chunks = file[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  for await (const events of batchesOf(chunks, call.request, ledger)) {
    ledger.countOut(events.length);
    if (!call.write({ events })) await once(call, "drain", { signal: stop.signal });
  }
  call.end();
  await once(call, "finish", { signal: stop.signal });
  ledger.close();
}
