/** Reads a file in blocks of whole lines, without looking inside. */
import { fileBlocks, run, source } from "modular-runtime";

run(source<{ path: string }>(({ config }) => fileBlocks(config.path, { block: 2 << 20 })));
