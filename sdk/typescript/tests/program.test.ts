/** Stages as processes: `program.py` plays the runtime, as Node makes neither socket pairs nor memfds. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

test("stages that are processes", () => {
  const script = fileURLToPath(new URL("../../tests/program.py", import.meta.url));
  const { status, stderr } = spawnSync("python3", ["-B", script], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
});
