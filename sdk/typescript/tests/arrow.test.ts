/** A batch as an Arrow record batch has the values that the batch has. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toArrow } from "../src/arrow.js";
import { Batch } from "../src/batch.js";
import { Encoder } from "../src/builder.js";
import { declared, type Event } from "../src/schema.js";
import { Pool } from "../src/segment.js";
import { TableWriter } from "../src/table.js";

const SCHEMA = declared({
  b: "bool?",
  n: "int64?",
  x: "float64?",
  s: "string?",
  d: "string?",
  r: "binary?",
  t: "timestamp?",
});

test("all types, plain strings and a dictionary, with and without nulls", () => {
  const events = Array.from({ length: 100 }, (_, at): Event => {
    if (at % 9 === 4) return Object.fromEntries(SCHEMA.fields.map(({ name }) => [name, null]));
    return {
      b: at % 2 === 0,
      n: BigInt(at),
      x: at / 2,
      s: `s${at}`,
      d: `d${at % 3}`,
      r: Buffer.of(at),
      t: at,
    };
  });
  const writer = new TableWriter(new Pool());
  assert.deepEqual(new Encoder(SCHEMA).events(writer, events), []);
  const batch = new Batch(SCHEMA, events.length, writer.memory, writer.length);
  assert.deepEqual([batch.column("s").isDictionary, batch.column("d").isDictionary], [false, true]);

  const arrow = toArrow(batch);
  assert.equal(arrow.schema.fields.map((field) => field.name).join(), "b,n,x,s,d,r,t");
  for (const [row, event] of events.entries()) {
    const { r, t, ...rest } = arrow.get(row)?.toJSON() ?? {};
    const { r: bytes, t: micros, ...others } = event;
    assert.deepEqual(rest, others);
    assert.deepEqual(r === null ? null : Buffer.from(r), bytes);
    assert.equal(t === null ? null : Number(t) * 1000, micros);
  }
});
