/** The golden bytes of the protocol, `proto/vectors`: what they mean, and that what is garbage is refused. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Batch, Selection } from "../src/batch.js";
import { Encoder } from "../src/builder.js";
import { Frame, FrameReader, FrameWriter, NONE } from "../src/frame.js";
import { readFromStage, readToStage, writeFromStage, writeToStage } from "../src/message.js";
import { declared, type Field, type Schema, type TypeName, typeName } from "../src/schema.js";
import { Memory, Pool } from "../src/segment.js";
import { TableWriter } from "../src/table.js";

const VECTORS = fileURLToPath(new URL("../../../../proto/vectors/", import.meta.url));

interface Vector {
  readonly name: string;
  readonly bytes: Buffer;
  // The members differ from folder to folder; each test knows its own.
  readonly meaning: Record<string, any>;
}

function vectors(folder: string): Vector[] {
  const names = readdirSync(join(VECTORS, folder)).filter((name) => name.endsWith(".json"));
  assert.notEqual(names.length, 0);
  return names.map((file) => {
    const name = file.slice(0, -".json".length);
    const meaning = JSON.parse(readFileSync(join(VECTORS, folder, file), "utf8"));
    return { name, bytes: readFileSync(join(VECTORS, folder, `${name}.bin`)), meaning };
  });
}

function schemaOf(fields: { name: string; type: TypeName; nullable: boolean }[]): Schema {
  const typed = fields.map(({ name, type, nullable }): Field => {
    const [field] = declared({ [name]: type }).fields;
    return { ...(field as Field), nullable };
  });
  return { fields: typed };
}

function batchOf(bytes: Buffer, schema: Schema, rows: number): Batch {
  const memory = Memory.of(bytes.length);
  memory.bytes.set(bytes);
  return new Batch(schema, rows, memory, bytes.length);
}

/** A value as the vectors write it. */
function written(batch: Batch, at: number, row: number): unknown {
  const column = batch.columnAt(at);
  const value = column.get(row);
  if (value === null) return null;
  const type = typeName(column.type);
  if (type === "int64" || type === "timestamp") return String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  return Object.is(value, -0) ? 0 : value;
}

/** A value of the vectors as an event has it. */
function given(value: unknown, type: TypeName): unknown {
  if (value === null) return null;
  if (type === "int64" || type === "timestamp") return BigInt(value as string);
  if (type === "binary") return Buffer.from(value as string, "base64");
  return type === "float64" ? Number(value) : value;
}

function rowsOf(batch: Batch): unknown[][] {
  return Array.from({ length: batch.rows }, (_, row) =>
    batch.schema.fields.map((_, at) => written(batch, at, row)),
  );
}

for (const { name, bytes, meaning } of vectors("tables")) {
  test(`table ${name}`, () => {
    const schema = schemaOf(meaning["schema"]);
    const rows = meaning["rows"] as unknown[][];
    assert.deepEqual(rowsOf(batchOf(bytes, schema, rows.length)), plainZeros(rows));

    const events = rows.map((row) =>
      Object.fromEntries(schema.fields.map(({ name, type }, at) => [name, given(row[at], typeName(type))])),
    );
    const writer = new TableWriter(new Pool());
    assert.deepEqual(new Encoder(schema).events(writer, events), []);
    assert.deepEqual(rowsOf(batchOf(Buffer.from(writer.finish()), schema, rows.length)), plainZeros(rows));
  });
}

/** JSON has -0 and 0; that they are equal here is the test's, not the table's. */
function plainZeros(rows: unknown[][]): unknown[][] {
  return rows.map((row) => row.map((value) => (Object.is(value, -0) ? 0 : value)));
}

for (const { name, bytes, meaning } of vectors("garbage")) {
  test(`garbage ${name}`, () => {
    const rows = bytes.length >= 8 ? bytes.readUInt32LE(4) : 0;
    assert.throws(() => batchOf(bytes, schemaOf(meaning["schema"]), rows).check(), { name: "TableError" });
  });
}

for (const { name, bytes, meaning } of vectors("selections")) {
  test(`selection ${name}`, () => {
    const { rows, kept } = meaning as { rows: number; kept: number[] };
    const selection = Selection.of(rows, bytes);
    assert.equal(selection.kept, kept.length);
    const found = Array.from({ length: rows }, (_, row) => row).filter((row) => selection.has(row));
    assert.deepEqual(found, kept);
  });
}

/** Reads a frame that comes one byte at a time. */
function readFrame(bytes: Buffer, inlineMax: number): FrameReader {
  const reader = new FrameReader();
  reader.payloadMax = inlineMax;
  for (const [at, byte] of bytes.entries()) {
    reader.space()[0] = byte;
    reader.filled(1);
    assert.equal(reader.next(), at === bytes.length - 1);
  }
  return reader;
}

// What only a runtime reads is not the matter of a stage.
for (const { name, bytes, meaning } of vectors("garbage/frames")) {
  if (meaning["direction"] !== "ToStage") continue;
  test(`frame ${name}`, () => {
    const read = (): void => {
      const reader = new FrameReader();
      reader.payloadMax = meaning["inline_max"];
      for (let at = 0; at < bytes.length;) {
        const copied = bytes.copy(reader.space(), 0, at);
        reader.filled(copied);
        at += copied;
        if (reader.next() && reader.kind === Frame.Message) {
          readToStage(reader.message);
        }
      }
    };
    assert.throws(read, /FrameError|MessageError/);
  });
}

for (const { name, bytes, meaning } of vectors("messages")) {
  test(`message ${name}`, () => {
    const reader = readFrame(bytes, 64);
    const [kind, fields] = Object.entries(meaning["message"])[0] as [string, Record<string, unknown>];
    const payload = meaning["payload"] === undefined ? "" : (meaning["payload"] as string);
    assert.equal(Buffer.from(reader.payload).toString("base64"), payload);
    const writer = new FrameWriter();
    if (kind === "batch") {
      assert.deepEqual(hot(reader, ["seq", "offset", "length", "rows", "form", "input"]), numbers(fields));
      if (exact(fields)) writer.batch(reader, [reader.payload]);
    } else if (kind === "credit") {
      assert.deepEqual(hot(reader, ["seq", "events", "filtered"]), numbers(fields));
      writer.credit(reader.seq, reader.events, reader.filtered);
    } else {
      const toStage = meaning["direction"] === "ToStage";
      const message = (toStage ? readToStage : readFromStage)(reader.message);
      assert.deepEqual(present(message[kind as keyof typeof message]), present(protoJson(fields)));
      const again = toStage ? writeToStage(message as never) : writeFromStage(message as never);
      writer.message(again, payload === "" ? undefined : reader.payload);
    }
    if (!name.includes("loose") && exact(fields)) assert.deepEqual(Buffer.from(writer.take()), bytes);
  });
}

function hot(reader: FrameReader, names: (keyof FrameReader)[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, reader[name]]));
}

function numbers(fields: Record<string, unknown>): Record<string, unknown> {
  const max = String(2n ** 64n - 1n);
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, value === max ? NONE : Number(value)]),
  );
}

/** Whether all numbers are such that a `number` holds them. */
function exact(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.values(value).every(exact);
  return typeof value !== "string" || !/^\d{16,}$/.test(value);
}

const WORDS: Record<string, number> = {
  TYPE_BOOL: 1,
  TYPE_INT64: 2,
  TYPE_FLOAT64: 3,
  TYPE_STRING: 4,
  TYPE_BINARY: 5,
  TYPE_TIMESTAMP: 6,
  ROLE_SOURCE: 1,
  ROLE_TRANSFORM: 2,
  ROLE_SINK: 3,
  CONCURRENCY_STATELESS: 1,
  CONCURRENCY_ORDERED: 2,
  KIND_INVALID: 1,
  KIND_UNAVAILABLE: 2,
  KIND_FENCED: 3,
  KIND_STAGE: 4,
  KIND_INTERNAL: 5,
};
const TEXTS = new Set(["config", "message", "detail", "stage", "name", "sdk", "code", "artifact", "event"]);

/** Protobuf's JSON mapping as the messages have it here. */
function protoJson(value: unknown, name = ""): unknown {
  if (Array.isArray(value)) return value.map((item) => protoJson(item));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, protoJson(item, key)]));
  }
  if (typeof value === "string" && !TEXTS.has(name)) return WORDS[value] ?? Number(value);
  return value;
}

/** A message without the fields that have their default. */
function present(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(present);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([name, item]) => [name, present(item)] as const);
  return Object.fromEntries(
    entries.filter(([, item]) => {
      const empty = Array.isArray(item) && item.length === 0;
      return item !== 0 && item !== "" && item !== false && !empty;
    }),
  );
}
