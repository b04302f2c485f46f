// A stream of bytes to batches of lines.

import { setTimeout } from "node:timers/promises";
import type { Event, ReadRequest } from "../wire/typescript/generated/split.js";
import type { Ledger } from "../wire/typescript/ledger.js";

const LATE = Symbol("nothing came within the linger");

// The lines in order, empty ones skipped, in batches as the request wants them; fewer only at the end or when
// no bytes came for the linger.
export async function* batchesOf(
  chunks: AsyncIterator<Buffer>,
  { eventsMax, lingerMs }: ReadRequest,
  ledger: Ledger,
): AsyncGenerator<Event[]> {
  const splitter = new Splitter();
  let pending: Event[] = [];
  for (let next = chunks.next(); ;) {
    const result = await (pending.length > 0 && lingerMs !== undefined ? within(next, lingerMs) : next);
    if (result === LATE) {
      yield pending;
      pending = [];
      continue;
    }
    pending = pending.concat(
      ledger.time("process", () => (result.done ? splitter.end() : splitter.split(result.value))),
    );
    if (result.done) break;
    next = chunks.next();
    const whole = pending.length - (pending.length % eventsMax);
    for (let i = 0; i < whole; i += eventsMax) yield pending.slice(i, i + eventsMax);
    pending = pending.slice(whole);
  }
  for (let i = 0; i < pending.length; i += eventsMax) yield pending.slice(i, i + eventsMax);
}

async function within<T>(next: Promise<T>, milliseconds: number): Promise<T | typeof LATE> {
  const timer = new AbortController();
  const late = setTimeout<typeof LATE>(milliseconds, LATE, { signal: timer.signal });
  late.catch(() => {}); // aborted because the next one was in time
  try {
    return await Promise.race([next, late]);
  } finally {
    timer.abort();
  }
}

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

// Lines are views of the chunks; only one that crosses chunks is copied.
class Splitter {
  private rest: Buffer = Buffer.alloc(0);

  split(chunk: Buffer): Event[] {
    const bytes = this.rest.length > 0 ? Buffer.concat([this.rest, chunk]) : chunk;
    const events: Event[] = [];
    let begin = 0;
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, begin)) {
      add(events, bytes.subarray(begin, end));
      begin = end + 1;
    }
    this.rest = bytes.subarray(begin);
    return events;
  }

  end(): Event[] {
    const events: Event[] = [];
    add(events, this.rest);
    return events;
  }
}

function add(events: Event[], line: Buffer): void {
  const text = line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line;
  if (text.length > 0) events.push({ line: text });
}
