/**
 * When the ledger changes from one activity to another: the whole sequence, for stages that wait only for their end.
 *
 * Each letter is one call, which is one look at the clock: Receive, Decode, Process, Encode, Send, sTarved,
 * Backpressured, and A for a wait that is over. A call that is missing, or one too many, shows; so does one that is made
 * for each event.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Ledger } from "../src/activity.js";
import { type Event, filter, sink, type Stage, transform } from "../src/index.js";
import { check } from "../src/testing.js";

const LETTERS = "RDPESTB";

/** The changes in the life of a stage that gets two batches of so many events. */
async function changes(context: TestContext, stage: Stage, rows: number): Promise<string> {
  let trace = "";
  context.mock.method(Ledger.prototype, "enter", (doing: number) => {
    trace += LETTERS.charAt(doing);
  });
  context.mock.method(Ledger.prototype, "arrived", () => {
    trace += "A";
  });
  context.mock.method(Ledger.prototype, "begin", () => {
    trace = "";
  });
  // Nothing is ever late.
  context.mock.method(performance, "now", () => 0);
  const events = Array.from({ length: 2 * rows }, (_, n): Event => ({ n, s: `text ${n}` }));
  await check(stage, events, {}, { rows });
  context.mock.reset();
  return trace;
}

class Held {
  process(): void {}

  finish(): Event {
    return { n: 1, s: "last" };
  }
}

const CASES: Record<string, [() => Stage, string]> = {
  "a filter": [() => filter(() => true), "SDPEESDPEESPRSTATA"],
  "a transform": [() => transform((event) => ({ ...event, s: "new" })), "SDPEEESDPEEESPRSTATA"],
  batches: [() => transform.batch((batch) => batch), "SDPEESDPEESPRSTATA"],
  "an end": [() => transform(Held), "SDPESDPESPEERSTATA"],
  "a sink of events": [() => sink(() => {}), "SDPESDPESPRSTASTA"],
  "a sink of batches": [() => sink.batch(() => {}), "SDPESDPESPRSTASTA"],
};

for (const [name, [stage, expected]] of Object.entries(CASES)) {
  test(`the clock is looked at once per activity of a batch: ${name}`, async (context) => {
    for (const rows of [3, 300]) assert.equal(await changes(context, stage(), rows), expected);
  });
}
