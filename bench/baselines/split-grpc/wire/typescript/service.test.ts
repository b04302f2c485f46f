import assert from "node:assert/strict";
import { test } from "node:test";
import { IngestService } from "./generated/split.js";
import { Ledger } from "./ledger.js";
import { reportOf } from "./probe.js";
import { start } from "./service.js";

test("a report before the stream has ended is refused", async () => {
  const { server, address } = await start({
    name: "probe",
    definition: IngestService,
    implementation: {},
    ledger: new Ledger("sends"),
  });
  await assert.rejects(reportOf(address), /the stream is still open/);
  server.forceShutdown();
});
