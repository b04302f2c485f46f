/**
 * The messages of `proto/stage.proto` in protobuf encoding, except `Batch` and `Credit`, which `frame` reads and writes
 * as plain structs.
 *
 * Each message is a table of its fields; one reader and one writer serve all. Fields may come in any order, unknown ones
 * are skipped, absent ones have their default. Refuses, with a `MessageError`, bytes that are no message, messages that
 * this version does not know, and enumerations beyond their words.
 */
import { isUtf8 } from "node:buffer";
import type { Schema, Type } from "./schema.js";

/** Bytes that are no message. */
export class MessageError extends Error {
  override readonly name = "MessageError";
}

type Scalar = "uint" | "bool" | "string" | "fixed64" | "uints";
/** An enumeration with so many words behind its 0, which is none. */
interface Words {
  readonly words: number;
}
type Shape = {
  readonly [name: string]: readonly [number: number, kind: Scalar | Words | Shape | readonly [Shape]];
};
type Fields = Record<string, unknown>;

const FIELD: Shape = { name: [1, "string"], type: [2, { words: 6 }], nullable: [3, "bool"] };
const SCHEMA: Shape = { fields: [1, [FIELD]] };
const POLICY: Shape = { rows: [1, "uint"], linger_us: [2, "uint"] };

/** The messages by name, each with its number in its direction's `oneof`. */
const TO_STAGE = {
  open: [
    1,
    {
      protocol: [1, "uint"],
      generation: [2, "uint"],
      stage: [3, "string"],
      config: [4, "string"],
      input: [5, SCHEMA],
      output: [6, SCHEMA],
      window_batches: [7, "uint"],
      window_bytes: [8, "uint"],
      inline_max: [9, "uint"],
      input_segment: [10, "uint"],
      output_segment: [11, "uint"],
      policy: [12, POLICY],
      state_chunks: [13, "uint"],
      replica: [14, "uint"],
      replicas: [15, "uint"],
      unmeasured: [16, "bool"],
    },
  ],
  state: [4, { index: [1, "uint"] }],
  barrier: [5, { epoch: [1, "uint"] }],
  end: [6, {}],
  commit: [7, {}],
} as const satisfies Shape;

const FROM_STAGE = {
  ready: [
    1,
    {
      protocol: [1, "uint"],
      sdk: [2, "string"],
      role: [3, { words: 3 }],
      concurrency: [4, { words: 2 }],
      output: [5, SCHEMA],
    },
  ],
  state: [4, { index: [1, "uint"] }],
  snapshot: [5, { epoch: [1, "uint"], chunks: [2, "uint"] }],
  failed: [
    6,
    {
      kind: [1, { words: 5 }],
      code: [2, "string"],
      message: [3, "string"],
      detail: [4, "string"],
      input: [5, "fixed64"],
      rows: [6, "uints"],
      text_offset: [7, "uint"],
      text_length: [8, "uint"],
      event: [9, "string"],
    },
  ],
  activity: [
    7,
    {
      receive: [1, "uint"],
      decode: [2, "uint"],
      process: [3, "uint"],
      encode: [4, "uint"],
      send: [5, "uint"],
      starved: [6, "uint"],
      backpressured: [7, "uint"],
      cpu: [8, "uint"],
      bytes_read: [9, "uint"],
      bytes_total: [10, "uint"],
    },
  ],
  done: [8, { artifact: [1, "string"], rows: [2, "uint"] }],
  committed: [9, {}],
} as const satisfies Shape;

export interface BatchPolicy {
  readonly rows: number;
  readonly linger_us: number;
}

export interface Open {
  readonly protocol: number;
  readonly generation: number;
  readonly stage: string;
  readonly config: string;
  readonly input?: Schema;
  readonly output?: Schema;
  readonly window_batches: number;
  readonly window_bytes: number;
  readonly inline_max: number;
  readonly input_segment: number;
  readonly output_segment: number;
  readonly policy?: BatchPolicy;
  readonly state_chunks: number;
  readonly replica: number;
  readonly replicas: number;
  readonly unmeasured: boolean;
}

export const Role = { Source: 1, Transform: 2, Sink: 3 } as const;
export type Role = (typeof Role)[keyof typeof Role];

export const Concurrency = { Stateless: 1, Ordered: 2 } as const;
export type Concurrency = (typeof Concurrency)[keyof typeof Concurrency];

export const Kind = { Invalid: 1, Unavailable: 2, Fenced: 3, Stage: 4, Internal: 5 } as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

export interface Failed {
  readonly kind: Kind;
  readonly code: string;
  readonly message: string;
  readonly detail: string;
  /** The batch of the events; 0 where the stage has failed as a whole. */
  readonly input: number;
  readonly rows: readonly number[];
  /** Where the event is a line of the text of the only row: where in it the line begins, and its bytes. */
  readonly text_offset?: number;
  readonly text_length?: number;
  /** Where the event is not its whole row: the event as a JSON object. */
  readonly event?: string;
}

export interface Activity {
  readonly receive: number;
  readonly decode: number;
  readonly process: number;
  readonly encode: number;
  readonly send: number;
  readonly starved: number;
  readonly backpressured: number;
  readonly cpu: number;
  readonly bytes_read: number;
  readonly bytes_total: number;
}

/** What the runtime sends, without batches and credits. */
export type ToStage =
  | { readonly open: Open }
  | { readonly state: { readonly index: number } }
  | { readonly barrier: { readonly epoch: number } }
  | { readonly end: object }
  | { readonly commit: object };

/** What a stage sends, without batches and credits. */
export type FromStage =
  | {
      readonly ready: {
        readonly protocol: number;
        readonly sdk: string;
        readonly role: Role;
        readonly concurrency: Concurrency;
        readonly output?: { readonly fields: readonly { name: string; type: Type; nullable: boolean }[] };
      };
    }
  | { readonly state: { readonly index: number } }
  | { readonly snapshot: { readonly epoch: number; readonly chunks: number } }
  | { readonly failed: Failed }
  | { readonly activity: Activity }
  | { readonly done: { readonly artifact: string; readonly rows: number } }
  | { readonly committed: object };

/** Reads a message of the runtime. */
export function readToStage(bytes: Uint8Array): ToStage {
  return readOne(bytes, TO_STAGE) as ToStage;
}

/** Reads a message of a stage. */
export function readFromStage(bytes: Uint8Array): FromStage {
  return readOne(bytes, FROM_STAGE) as FromStage;
}

export function writeToStage(message: ToStage): Uint8Array {
  return writeFields(message as unknown as Fields, TO_STAGE);
}

export function writeFromStage(message: FromStage): Uint8Array {
  return writeFields(message as unknown as Fields, FROM_STAGE);
}

function readOne(bytes: Uint8Array, shape: Shape): Fields {
  const fields = readFields(bytes, shape, {});
  const last = Object.keys(fields).at(-1);
  if (last === undefined)
    throw new MessageError("a message of no kind that this version of the protocol has");
  return { [last]: fields[last] };
}

/** Reads fields over those that were read before: parts of one message that come apart are one. */
function readFields(bytes: Uint8Array, shape: Shape, fields: Fields): Fields {
  const cursor = new Cursor(bytes);
  while (cursor.at < bytes.length) {
    const tag = cursor.varint();
    const wire = tag % 8;
    const entry = Object.entries(shape).find(([, [number]]) => number === Math.floor(tag / 8));
    if (entry === undefined) {
      cursor.skip(wire);
      continue;
    }
    const [name, [, kind]] = entry;
    const value = readValue(cursor, wire, kind, fields[name]);
    // The one that came last stands last, which is how the kind of a message is known.
    delete fields[name];
    fields[name] = value;
  }
  return fields;
}

function readValue(cursor: Cursor, wire: number, kind: Shape[string][1], before: unknown): unknown {
  if (kind === "uint") return cursor.expect(wire, 0).varint();
  if (kind === "bool") return cursor.expect(wire, 0).varint() !== 0;
  if (kind === "fixed64") return cursor.expect(wire, 1).fixed64();
  if (kind === "uints") return [...((before as number[] | undefined) ?? []), ...readList(cursor, wire)];
  if (isWords(kind)) {
    const word = cursor.expect(wire, 0).varint();
    if (word > 0 && word <= kind.words) return word;
    throw new MessageError(`\`${word}\` is none of the \`${kind.words}\` words of an enumeration`);
  }
  const bytes = cursor.expect(wire, 2).bytes();
  if (kind === "string") return readString(bytes);
  if (Array.isArray(kind))
    return [...((before as unknown[]) ?? []), readNested(bytes, kind[0] as Shape, undefined)];
  return readNested(bytes, kind as Shape, before as Fields | undefined);
}

function readNested(bytes: Uint8Array, shape: Shape, before: Fields | undefined): Fields {
  return readFields(bytes, shape, before ?? defaults(shape));
}

function readList(cursor: Cursor, wire: number): number[] {
  if (wire === 0) return [cursor.varint()];
  const packed = new Cursor(cursor.expect(wire, 2).bytes());
  const list: number[] = [];
  while (packed.at < packed.length) list.push(packed.varint());
  return list;
}

function readString(bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new MessageError("a message has a string that is not UTF-8");
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8");
}

function isWords(kind: Shape[string][1]): kind is Words {
  return typeof kind === "object" && "words" in kind && typeof kind.words === "number";
}

function defaults(shape: Shape): Fields {
  const fields: Fields = {};
  for (const [name, [, kind]] of Object.entries(shape)) {
    const value = absent(kind);
    if (value !== undefined) fields[name] = value;
  }
  return fields;
}

function absent(kind: Shape[string][1]): unknown {
  if (kind === "uint" || kind === "fixed64" || isWords(kind)) return 0;
  if (kind === "bool") return false;
  if (kind === "string") return "";
  return kind === "uints" || Array.isArray(kind) ? [] : undefined;
}

/** Reads the parts of a message one after the other. */
class Cursor {
  at = 0;

  constructor(private readonly source: Uint8Array) {}

  get length(): number {
    return this.source.length;
  }

  /** A number; one beyond 2^53 loses its last digits. */
  varint(): number {
    let value = 0;
    for (let factor = 1; factor < 2 ** 70; factor *= 128) {
      const byte = this.source[this.at++];
      if (byte === undefined) break;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
    throw new MessageError("a message ends inside a number, or the number has more than ten bytes");
  }

  fixed64(): number {
    const bytes = this.take(8);
    const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
    return view.getUint32(4, true) * 2 ** 32 + view.getUint32(0, true);
  }

  bytes(): Uint8Array {
    return this.take(this.varint());
  }

  take(length: number): Uint8Array {
    const bytes = this.source.subarray(this.at, this.at + length);
    if (bytes.length < length) throw new MessageError("a message ends inside a field");
    this.at += length;
    return bytes;
  }

  skip(wire: number): void {
    if (wire === 0) this.varint();
    else if (wire === 1) this.take(8);
    else if (wire === 2) this.bytes();
    else if (wire === 5) this.take(4);
    else throw new MessageError(`a message has a field of the wire type ${wire}, which does not exist`);
  }

  expect(wire: number, expected: number): this {
    if (wire === expected) return this;
    throw new MessageError(`a message has a field of the wire type ${wire} where ${expected} was expected`);
  }
}

/** Writes what is not the default, in the order of the table. */
function writeFields(fields: Fields, shape: Shape): Buffer {
  const parts: Uint8Array[] = [];
  for (const [name, [number, kind]] of Object.entries(shape)) {
    const value = fields[name];
    if (value === undefined) continue;
    if (kind === "uint" || kind === "bool" || isWords(kind)) {
      if (Number(value) !== 0) parts.push(varint(number * 8), varint(Number(value)));
    } else if (kind === "fixed64") {
      if (value !== 0) parts.push(varint(number * 8 + 1), fixed64(value as number));
    } else if (kind === "string") {
      if (value !== "") writeBytes(parts, number, Buffer.from(value as string, "utf8"));
    } else if (kind === "uints") {
      const list = value as readonly number[];
      if (list.length > 0) writeBytes(parts, number, Buffer.concat(list.map(varint)));
    } else if (Array.isArray(kind)) {
      for (const item of value as Fields[]) writeBytes(parts, number, writeFields(item, kind[0] as Shape));
    } else {
      writeBytes(parts, number, writeFields(value as Fields, kind as Shape));
    }
  }
  return Buffer.concat(parts);
}

function writeBytes(parts: Uint8Array[], number: number, bytes: Uint8Array): void {
  parts.push(varint(number * 8 + 2), varint(bytes.length), bytes);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

function fixed64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(value % 2 ** 32, 0);
  bytes.writeUInt32LE(Math.floor(value / 2 ** 32), 4);
  return bytes;
}
