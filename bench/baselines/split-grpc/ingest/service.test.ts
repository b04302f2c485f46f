import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { credentials } from "@grpc/grpc-js";
import { IngestClient } from "../wire/typescript/generated/split.js";
import { checkReady, reportOf } from "../wire/typescript/probe.js";
import { start } from "../wire/typescript/service.js";
import { ingest } from "./service.js";

let folder: string;
before(async () => (folder = await mkdtemp(join(tmpdir(), "ingest-"))));
after(() => rm(folder, { recursive: true }));

// The lines that the service sends for a file, a batch an item.
async function read(path: string, eventsMax: number): Promise<{ batches: string[]; address: string }> {
  const { server, address } = await start(ingest(path));
  after(() => server.forceShutdown());
  await checkReady(address, "split.v1.Ingest");
  const client = new IngestClient(address, credentials.createInsecure());
  after(() => client.close());
  const batches: string[] = [];
  for await (const { events } of client.read({ eventsMax, lingerMs: undefined })) {
    batches.push(events.map((event: { line: Buffer }) => event.line.toString()).join(" "));
  }
  return { batches, address };
}

test("sends a file and reports where the time went", async () => {
  const path = join(folder, "lines.txt");
  await writeFile(path, "a\nb\nc\n");
  const { batches, address } = await read(path, 2);
  assert.deepEqual(batches, ["a b", "c"]);
  const report = await reportOf(address);
  assert.equal(report.eventsOut, 3n);
  assert.equal(report.batchesOut, 2n);
  assert.ok((report.serialiseSeconds ?? 0) > 0);
  assert.equal(report.readSeconds, undefined);
});

test("more than any buffer holds arrives whole and in order", async () => {
  const path = join(folder, "many.txt");
  const lines = Array.from({ length: 20_000 }, (_, i) => `${i} ${"x".repeat(100)}`);
  await writeFile(path, lines.join("\n"));
  const { batches } = await read(path, 7);
  assert.equal(batches.length, Math.ceil(lines.length / 7));
  assert.equal(batches.join(" "), lines.join(" "));
});

test("a missing file is an error with its name", async () => {
  await assert.rejects(read(join(folder, "missing"), 2), /cannot read `.*missing`: ENOENT/);
});
