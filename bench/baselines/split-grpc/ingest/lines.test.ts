import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { Ledger } from "../wire/typescript/ledger.js";
import { batchesOf } from "./lines.js";

async function* chunksOf(...texts: string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text);
}

async function batches(
  chunks: AsyncGenerator<Buffer>,
  eventsMax: number,
  lingerMs?: number,
): Promise<string[]> {
  const found: string[] = [];
  for await (const batch of batchesOf(chunks, { eventsMax, lingerMs }, new Ledger("sends"))) {
    found.push(batch.map((event) => event.line.toString()).join(" "));
  }
  return found;
}

test("batches are full, and lines survive the borders of chunks", async () => {
  assert.deepEqual(await batches(chunksOf(), 2), []);
  assert.deepEqual(await batches(chunksOf("a\nb\nc\n"), 2), ["a b", "c"]);
  assert.deepEqual(await batches(chunksOf("a\nb\nc\nd\n"), 2), ["a b", "c d"]);
  assert.deepEqual(await batches(chunksOf("on", "", "e\ntw", "o\nthree"), 10), ["one two three"]);
  assert.deepEqual(await batches(chunksOf("a\r\n\nb\n\n"), 1), ["a", "b"]);
  assert.deepEqual(await batches(chunksOf("ü\n"), 1), ["ü"]);
});

test("what there is goes out after the linger", async () => {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  async function* slow(): AsyncGenerator<Buffer> {
    yield Buffer.from("a\nb\n");
    await released;
    yield Buffer.from("c\n");
  }
  const lines = batchesOf(slow(), { eventsMax: 10, lingerMs: 1 }, new Ledger("sends"));
  const lengths = [(await lines.next()).value?.length];
  release();
  lengths.push((await lines.next()).value?.length);
  assert.deepEqual(lengths, [2, 1]);
});

test("without a linger a batch waits until it is full", async () => {
  async function* slow(): AsyncGenerator<Buffer> {
    yield Buffer.from("a\n");
    await setTimeout(5);
    yield Buffer.from("b\n");
  }
  assert.deepEqual(await batches(slow(), 2), ["a b"]);
});
