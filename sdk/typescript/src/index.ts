/** Write a stage of a pipeline: `run(transform((event) => event))`. See the README. */
export { Batch, Selection } from "./batch.js";
export { Builder, type ColumnInput } from "./builder.js";
export { Column } from "./column.js";
export type { Int64 } from "./events.js";
export { FileBlocks, fileBlocks, TextBlock } from "./file-blocks.js";
export { jsonLines } from "./json-lines-sink.js";
export { isoTime, jsonLines as toJsonLines } from "./json-line.js";
export { run } from "./run.js";
export { type Declaration, type Event, type Field, type Schema, Type, type Value } from "./schema.js";
export {
  type Context,
  type Emitted,
  type EmittedBatch,
  type Source,
  Fatal,
  filter,
  type Options,
  type Prepared,
  type Produced,
  sink,
  source,
  type Stage,
  transform,
  type Transform,
  type Sink,
} from "./stage.js";
