/**
 * Events as JSON, one object a line; and configurations out of JSON.
 *
 * Members stand in the order of the columns. Numbers are printed as ECMAScript prints them, int64 in full, timestamps as
 * ISO 8601 with `Z` and as few digits of a fraction as it takes, binary as base64; nulls, NaN and infinities as `null`.
 * Neighbour: `sink` writes files of such lines.
 */
import type { Batch } from "./batch.js";
import type { Column } from "./column.js";
import { Type } from "./schema.js";

/** All rows of a batch, each with a newline. */
export function jsonLines(batch: Batch): string {
  const writers = batch.schema.fields.map(({ name }, at) => {
    const key = `${at === 0 ? "{" : ","}${JSON.stringify(name)}:`;
    const value = valueWriter(batch.columnAt(at));
    return (row: number): string => key + value(row);
  });
  const end = writers.length === 0 ? "{}\n" : "}\n";
  let lines = "";
  for (let row = 0; row < batch.rows; row++) {
    for (const write of writers) lines += write(row);
    lines += end;
  }
  return lines;
}

function valueWriter(column: Column): (row: number) => string {
  const write = presentWriter(column);
  return column.nulls === 0 ? write : (row) => (column.isNull(row) ? "null" : write(row));
}

function presentWriter(column: Column): (row: number) => string {
  switch (column.type) {
    case Type.Bool:
      return (row) => (column.bool(row) ? "true" : "false");
    case Type.Float64: {
      const values = column.float64s;
      return (row) => (Number.isFinite(values[row]) ? String(values[row]) : "null");
    }
    case Type.Int64:
      return (row) => String(column.get(row));
    case Type.Timestamp: {
      const values = column.int64s;
      return (row) => `"${isoTime(values[row] as bigint)}"`;
    }
    case Type.String: {
      if (!column.isDictionary) return (row) => JSON.stringify(column.string(row));
      const [codes, words] = [column.codes, column.dictionary.map((word) => JSON.stringify(word))];
      return (row) => words[codes[row] as number] as string;
    }
    case Type.Binary:
      return (row) => {
        const bytes = column.binary(row);
        return `"${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64")}"`;
      };
  }
}

/** A timestamp in microseconds since 1970 as ISO 8601 in UTC, such as `2024-05-01T12:00:00.5Z`. */
export function isoTime(micros: number | bigint): string {
  const whole = BigInt(micros);
  const part = ((whole % 1_000_000n) + 1_000_000n) % 1_000_000n;
  const seconds = Number((whole - part) / 1_000_000n);
  const days = Math.floor(seconds / 86400);
  const { year, month, day } = civil(days);
  const inDay = seconds - days * 86400;
  const fraction = part === 0n ? "" : `.${pad(Number(part), 6).replace(/0+$/, "")}`;
  const years = year >= 0 && year <= 9999 ? pad(year, 4) : `${year < 0 ? "-" : "+"}${pad(Math.abs(year), 6)}`;
  const time = [Math.floor(inDay / 3600), Math.floor(inDay / 60) % 60, inDay % 60].map((part) =>
    pad(part, 2),
  );
  return `${years}-${pad(month, 2)}-${pad(day, 2)}T${time.join(":")}${fraction}Z`;
}

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, "0");
}

/** The date of a day counted from 1970-01-01; `Date` ends before int64 does. */
function civil(days: number): { year: number; month: number; day: number } {
  // Years are counted from March, in eras of 400, so that the leap day is the last one.
  const shifted = days + 719468;
  const era = Math.floor(shifted / 146097);
  const inEra = shifted - era * 146097;
  const yearInEra = Math.floor(
    (inEra - Math.floor(inEra / 1460) + Math.floor(inEra / 36524) - Math.floor(inEra / 146096)) / 365,
  );
  const inYear = inEra - (365 * yearInEra + Math.floor(yearInEra / 4) - Math.floor(yearInEra / 100));
  const shiftedMonth = Math.floor((5 * inYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  return {
    year: yearInEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: inYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
  };
}

/** Reads JSON; a whole number beyond 2^53 is a bigint. */
export function parseJson(text: string): unknown {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  // JSON.parse would round them. So they become strings with a mark that no string of the text has.
  let mark = "int64:";
  while (text.includes(mark)) mark = `:${mark}`;
  const marked = text.replace(/"[^"\\]*(?:\\[^][^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g, (token) =>
    /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token)) ? `"${mark}${token}"` : token,
  );
  return JSON.parse(marked, (_, value: unknown) =>
    typeof value === "string" && value.startsWith(mark) ? BigInt(value.slice(mark.length)) : value,
  );
}
