/** Writes each result as one JSON object a line. */
import { jsonLines, run } from "modular-runtime";

run(jsonLines());
