import assert from "node:assert/strict";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { credentials } from "@grpc/grpc-js";
import { SinkClient } from "../wire/typescript/generated/split.js";
import type { AggregateResult, WriteReply } from "../wire/typescript/generated/split.js";
import { checkReady, reportOf } from "../wire/typescript/probe.js";
import { start } from "../wire/typescript/service.js";
import { lineOf, sink } from "./service.js";

let folder: string;
before(async () => (folder = await mkdtemp(join(tmpdir(), "sink-"))));
after(() => rm(folder, { recursive: true }));

async function write(
  path: string,
  ...batches: AggregateResult[][]
): Promise<{ reply: WriteReply; address: string }> {
  const { server, address } = await start(sink(path));
  after(() => server.forceShutdown());
  await checkReady(address, "split.v1.Sink");
  const client = new SinkClient(address, credentials.createInsecure());
  after(() => client.close());
  const reply = await new Promise<WriteReply>((resolve, reject) => {
    const call = client.write((error, value) => (error ? reject(error) : resolve(value)));
    for (const results of batches) call.write({ results });
    call.end();
  });
  return { reply, address };
}

const click = { key: "click", count: 30387n, sum: 1672013n, avg: 55.02395761345312 };

test("a line is exact in every digit", () => {
  assert.equal(lineOf(click), '{"key":"click","count":30387,"sum":1672013,"avg":55.02395761345312}\n');
  const large = { key: 'a"\n', count: 1n, sum: 2n ** 63n - 1n, avg: 55 };
  assert.equal(lineOf(large), '{"key":"a\\"\\n","count":1,"sum":9223372036854775807,"avg":55}\n');
});

test("writes every batch and reports where the time went", async () => {
  const path = join(folder, "results.ndjson");
  const { reply, address } = await write(path, [click], [{ ...click, key: "view" }]);
  assert.equal(reply.results, 2n);
  const text = await readFile(path, "utf8");
  assert.equal(text, lineOf(click) + lineOf({ ...click, key: "view" }));
  assert.deepEqual(await readdir(folder), ["results.ndjson"]);
  const report = await reportOf(address);
  assert.equal(report.eventsIn, 2n);
  assert.ok((report.deserialiseSeconds ?? 0) > 0);
  assert.equal(report.writeSeconds, undefined);
});

test("a folder that does not exist is an error with the file's name", async () => {
  await assert.rejects(
    write(join(folder, "missing/results"), [click]),
    /cannot write `.*missing\/results`: ENOENT/,
  );
});
