// The sink service of the split baseline: `node main.js FILE`.

import { serve } from "../wire/typescript/service.js";
import { sink } from "./service.js";

const [path] = process.argv.slice(2);
if (path === undefined) throw new Error("usage: node main.js FILE");
await serve(sink(path));
