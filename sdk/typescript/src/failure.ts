/**
 * Errors as the protocol carries them: a kind, a class, a line and a traceback.
 *
 * Neighbours: the loops say which rows have failed, `run` what has ended the stage.
 */
import type { FailedEvent } from "./batch.js";
import { FrameError } from "./frame.js";
import { type Failed, Kind, MessageError } from "./message.js";
import { Fatal } from "./stage.js";
import { TableError } from "./table.js";

const MESSAGE_BYTES_MAX = 1 << 10;
const DETAIL_BYTES_MAX = 8 << 10;
/** So many rows fit into one message, whatever their numbers are. */
const ROWS_MAX = 100_000;

/** What has ended the stage. */
export function stageFailure(error: unknown): Failed {
  return { kind: kindOf(error), ...words(error), input: 0, rows: [] };
}

/** The failures of a batch's rows; rows that failed with equal words are one message. */
export function rowFailures(input: number, failures: readonly FailedEvent[]): Failed[] {
  const alike = new Map<string, { words: ReturnType<typeof words>; rows: number[] }>();
  const messages: Failed[] = [];
  for (const { row, error, line } of failures) {
    const said = words(error);
    if (line !== undefined) {
      const place = { text_offset: line.offset, text_length: line.length };
      messages.push({ kind: Kind.Stage, ...said, input, rows: [row], ...place });
      continue;
    }
    const key = `${said.code}\0${said.message}\0${said.detail}`;
    const group = alike.get(key);
    if (group === undefined) alike.set(key, { words: said, rows: [row] });
    else group.rows.push(row);
  }
  for (const { words, rows } of alike.values()) {
    for (let at = 0; at < rows.length; at += ROWS_MAX) {
      messages.push({ kind: Kind.Stage, ...words, input, rows: rows.slice(at, at + ROWS_MAX) });
    }
  }
  return messages;
}

function kindOf(error: unknown): Kind {
  if (error instanceof Fatal) {
    return { stage: Kind.Stage, invalid: Kind.Invalid, unavailable: Kind.Unavailable }[error.kind];
  }
  const internal =
    error instanceof FrameError || error instanceof MessageError || error instanceof TableError;
  return internal ? Kind.Internal : Kind.Stage;
}

function words(error: unknown): { code: string; message: string; detail: string } {
  if (!(error instanceof Error)) return { code: "Error", message: oneLine(String(error)), detail: "" };
  const code = error.name === "Error" ? error.constructor.name : error.name;
  return { code, message: oneLine(error.message), detail: cutFront(traceback(error), DETAIL_BYTES_MAX) };
}

function oneLine(text: string): string {
  return cutFront(text.replace(/\s*\n\s*/g, " "), MESSAGE_BYTES_MAX);
}

function traceback(error: Error): string {
  const stack = error.stack ?? "";
  return error.cause instanceof Error ? `${stack}\ncaused by ${traceback(error.cause)}` : stack;
}

/** The last bytes of a text, from the beginning of a character on. */
function cutFront(text: string, most: number): string {
  if (text.length * 3 <= most) return text;
  const bytes = Buffer.from(text, "utf8");
  let at = Math.max(0, bytes.length - most);
  while (((bytes[at] ?? 0) & 0xc0) === 0x80) at++;
  return bytes.toString("utf8", at);
}
