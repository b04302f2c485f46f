/** The parts that are functions: slots, JSON lines, configurations, blocks of files. */
import assert from "node:assert/strict";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Encoder } from "../src/builder.js";
import { fileBlocks } from "../src/file-blocks.js";
import { isoTime, jsonLines, parseJson } from "../src/json-line.js";
import { Batch } from "../src/batch.js";
import { declared } from "../src/schema.js";
import { Memory, Pool, Slots, mapSegment } from "../src/segment.js";
import { TableWriter } from "../src/table.js";
import { decodeStrings } from "../src/text.js";

const folder = mkdtempSync(join(tmpdir(), "modular-runtime-"));
after(() => rmSync(folder, { recursive: true }));

test("slots are taken first fit at the lowest address", () => {
  const slots = new Slots(64 * 4 + 10);
  assert.deepEqual([slots.take(64), slots.take(65), slots.take(1)], [0, 64, 192]);
  assert.equal(slots.take(11), -1);
  assert.equal(slots.take(10), 256);
  slots.give(64);
  assert.equal(slots.take(129), -1);
  assert.deepEqual([slots.take(64), slots.take(64)], [64, 128]);
  slots.give(0);
  slots.give(64);
  assert.equal(slots.take(100), 0);
});

for (const [micros, text] of [
  [0n, "1970-01-01T00:00:00Z"],
  [-1n, "1969-12-31T23:59:59.999999Z"],
  [1_714_564_800_500_000n, "2024-05-01T12:00:00.5Z"],
  [951_782_400_000_000n, "2000-02-29T00:00:00Z"],
  [-62_167_219_200_000_000n, "0000-01-01T00:00:00Z"],
  [253_402_300_800_000_000n, "+010000-01-01T00:00:00Z"],
  [2n ** 63n - 1n, "+294247-01-10T04:00:54.775807Z"],
  [-(2n ** 63n), "-290308-12-21T19:59:05.224192Z"],
] as const) {
  test(`the time ${text}`, () => assert.equal(isoTime(micros), text));
}

test("a row is a JSON line in the order of the columns", () => {
  const schema = declared({ n: "int64", x: "float64", s: "string?", b: "bool", r: "binary", t: "timestamp" });
  const writer = new TableWriter(new Pool());
  const events = [
    { n: 2n ** 63n - 1n, x: 1e21, s: 'a"\n', b: true, r: Buffer.of(255), t: 1 },
    { n: -1, x: NaN, s: null, b: false, r: Buffer.of(), t: 0 },
  ];
  assert.deepEqual(new Encoder(schema).events(writer, events), []);
  const lines = jsonLines(new Batch(schema, 2, writer.memory, writer.length));
  assert.deepEqual(lines.split("\n"), [
    '{"n":9223372036854775807,"x":1e+21,"s":"a\\"\\n","b":true,"r":"/w==","t":"1970-01-01T00:00:00.000001Z"}',
    '{"n":-1,"x":null,"s":null,"b":false,"r":"","t":"1970-01-01T00:00:00Z"}',
    "",
  ]);
});

for (const [text, value] of [
  ['{"a": 9007199254740993, "b": "9007199254740993"}', { a: 9007199254740993n, b: "9007199254740993" }],
  ["[-9223372036854775808, 9007199254740991]", [-9223372036854775808n, 9007199254740991]],
  ["[9007199254740993.0, 12345678901234567e2]", [9007199254740992, 1234567890123456700]],
  ['["int64:9007199254740993", 9007199254740993]', ["int64:9007199254740993", 9007199254740993n]],
  ['["\\"9007199254740993", {"9007199254740993": 1}]', ['"9007199254740993', { "9007199254740993": 1 }]],
] as const) {
  test(`the configuration ${text}`, () => assert.deepEqual(parseJson(text), value));
}

const LINES = "first\nä second\n\nfourth, longer than a block may be at first\nlast";

for (const [name, text, block, lines, expect] of [
  ["whole", LINES, 1000, 0, [LINES]],
  ["small blocks", LINES, 16, 0, [LINES.slice(0, 15), "\n", LINES.slice(16)]],
  ["one line each", LINES, 20, 1, LINES.match(/[^\n]*\n|[^\n]+$/g)],
  ["three lines each", LINES, 16, 3, [LINES.slice(0, 16), LINES.slice(16)]],
  ["nothing", "", 16, 0, []],
  ["a byte order mark", "\ufeffa\nb\n", 16, 0, ["a\nb\n"]],
  ["a byte order mark alone", "\ufeff", 16, 0, [""]],
] as const) {
  test(`blocks of a file: ${name}`, () => {
    const path = join(folder, "lines.txt");
    writeFileSync(path, text);
    const blocks = fileBlocks(path, { block });
    blocks.lines = lines;
    const found = Array.from(blocks, (block) => ({
      offset: block.offset,
      text: Buffer.from(block.text).toString(),
    }));
    assert.deepEqual(
      found.map(({ text }) => text),
      expect,
    );
    const bytes = Buffer.from(text);
    for (const { offset, text } of found) {
      assert.equal(bytes.toString("utf8", offset, offset + Buffer.byteLength(text)), text);
    }
    assert.equal(blocks.bytesRead, bytes.length);
  });
}

for (const [name, text] of [
  ["lines shorter and longer than the room", "a\nbb\n" + "c".repeat(40) + "\nd\n"],
  ["a last line without a newline", "a\nb"],
  ["a byte order mark", "\ufeffa\nb\n"],
  ["nothing", ""],
] as const) {
  test(`blocks read into memory of somebody else's: ${name}`, () => {
    const path = join(folder, "direct.txt");
    writeFileSync(path, text);
    const blocks = fileBlocks([path, path], { block: 16 });
    const room = Buffer.alloc(16);
    let found = "";
    for (;;) {
      const block = (blocks.isDirect ? blocks.nextInto(room) : null) ?? blocks.next();
      if (block === null) break;
      assert.equal(block.offset, Buffer.from(text).indexOf(block.text, block.offset));
      found += Buffer.from(block.text).toString();
    }
    assert.equal(found, (text + text).replaceAll("\ufeff", ""));
    assert.equal(blocks.bytesRead, 2 * Buffer.byteLength(text));
  });
}

test("a segment that is mapped shows what is written into it", () => {
  const path = join(folder, "segment");
  writeFileSync(path, Buffer.alloc(8192));
  const descriptor = openSync(path, "r+");
  const mapped = mapSegment(descriptor, 8192);
  if (existsSync("/usr/include/node/node_api.h")) assert.notEqual(mapped, null);
  mapped?.write("hello", 4096);
  if (mapped !== null) assert.equal(readFileSync(path).toString("utf8", 4096, 4101), "hello");
  assert.equal(mapSegment(-1, 8192), null);
  closeSync(descriptor);
});

test("a slot can be left smaller than it was taken", () => {
  const slots = new Slots(256);
  assert.equal(slots.take(256), 0);
  assert.equal(slots.take(1), -1);
  slots.shrink(0, 65);
  assert.deepEqual([slots.take(128), slots.take(1)], [128, -1]);
});

test("files follow each other, and blocks span none", () => {
  const paths = ["a", "b"].map((name) => join(folder, name));
  for (const path of paths) writeFileSync(path, "x\ny");
  assert.deepEqual(
    Array.from(fileBlocks(paths), ({ source, offset, text }) => [
      source,
      offset,
      Buffer.from(text).toString(),
    ]),
    paths.map((path) => [path, 0, "x\ny"]),
  );
});

test("strings are cut where they end, with and without other characters than ASCII", () => {
  const plain = Array.from({ length: 100 }, (_, at) => "x".repeat(at % 40));
  for (const strings of [plain, plain.map((text, at) => (at % 7 === 0 ? `${text}ä𝄞` : text))]) {
    const memory = Memory.of(1 << 14);
    const offsets = new Int32Array(strings.length + 1);
    let end = 8;
    for (const [at, text] of strings.entries()) {
      end += memory.bytes.write(text, end);
      offsets[at + 1] = end - 8;
    }
    assert.deepEqual(decodeStrings(memory.bytes, 8, offsets, 0, strings.length), strings);
    assert.deepEqual(decodeStrings(memory.bytes, 8, offsets, 10, 5), strings.slice(10, 15));
  }
});
