import { run } from "modular-runtime";

import { stage } from "./stage.js";

await run(stage);
