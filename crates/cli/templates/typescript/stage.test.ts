import assert from "node:assert/strict";
import { test } from "node:test";

import { withLevel } from "./stage.js";

test("each event gets its level", () => {
  assert.deepEqual(withLevel({ user: "ada", value: 12 }), { user: "ada", value: 12, level: "high" });
  assert.deepEqual(withLevel({ user: "bob", value: 3 }), { user: "bob", value: 3, level: "low" });
  assert.equal(withLevel({ user: "cleo", value: -1 }), null);
});
