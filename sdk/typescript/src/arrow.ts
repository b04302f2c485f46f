/**
 * Batches as Arrow record batches, for libraries that want them: `import { toArrow } from "modular-runtime/arrow"`.
 *
 * Needs the package `apache-arrow`, which nothing else here does. Building these objects costs more than most handlers:
 * read columns directly where speed counts. Neighbour: `column` has the typed arrays.
 */
import {
  Binary,
  Bool,
  type Data,
  type DataType,
  Dictionary,
  Field as ArrowField,
  Float64,
  Int64,
  makeData,
  makeVector,
  RecordBatch,
  Schema,
  Struct,
  TimestampMicrosecond,
  Uint8,
  Utf8,
} from "apache-arrow";
import type { Batch } from "./batch.js";
import type { Column } from "./column.js";
import { Type } from "./schema.js";

/** The batch as an Arrow record batch. It is a copy, and may stay after the handler has returned. */
export function toArrow(batch: Batch): RecordBatch {
  const columns = batch.schema.fields.map((_, at) => dataOf(batch.columnAt(at)));
  const fields = batch.schema.fields.map(
    ({ name, nullable }, at) => new ArrowField(name, (columns[at] as Data).type as DataType, nullable),
  );
  const children = columns as Data[];
  return new RecordBatch(
    new Schema(fields),
    makeData({ type: new Struct(fields), length: batch.rows, nullCount: 0, children }),
  );
}

function dataOf(column: Column): Data {
  const nulls = { length: column.length, nullCount: column.nulls, nullBitmap: column.validity?.slice() };
  switch (column.type) {
    case Type.Bool:
      return makeData({ type: new Bool(), ...nulls, data: column.bits.slice() });
    case Type.Int64:
      return makeData({ type: new Int64(), ...nulls, data: column.int64s.slice() });
    case Type.Timestamp:
      return makeData({ type: new TimestampMicrosecond("UTC"), ...nulls, data: column.int64s.slice() });
    case Type.Float64:
      return makeData({ type: new Float64(), ...nulls, data: column.float64s.slice() });
    case Type.Binary:
      return makeData({
        type: new Binary(),
        ...nulls,
        valueOffsets: column.offsets.slice(),
        data: column.text.slice(),
      });
    case Type.String: {
      const texts = { valueOffsets: column.offsets.slice(), data: column.text.slice() };
      if (!column.isDictionary) return makeData({ type: new Utf8(), ...nulls, ...texts });
      const words = makeVector(makeData({ type: new Utf8(), length: column.dictionary.length, ...texts }));
      const type = new Dictionary(new Utf8(), new Uint8());
      return makeData({ type, ...nulls, data: column.codes.slice(), dictionary: words });
    }
  }
}
