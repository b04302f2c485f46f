/**
 * Compiles the add-on that maps a segment, where there is a C++ compiler and Node's headers lie beside it.
 *
 * Without it the SDK moves text with one more copy; nothing else differs. Writes `dist/native/segment.node`.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const source = join(here, "segment.cpp");
const target = join(here, "../dist/native/segment.node");
const headers = join(dirname(process.execPath), "../include/node");

const isOlder = () => statSync(target).mtimeMs < statSync(source).mtimeMs;

if (!existsSync(join(headers, "node_api.h"))) {
  console.error("modular-runtime: Node's headers are missing; segments will be written, not mapped");
} else if (!existsSync(target) || isOlder()) {
  mkdirSync(dirname(target), { recursive: true });
  const compiler = process.env["CXX"] ?? "c++";
  const options = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", `-I${headers}`];
  const { status, error } = spawnSync(compiler, [...options, source, "-o", target], { stdio: "inherit" });
  if (status !== 0) {
    const why = error?.message ?? `it ended with ${status}`;
    console.error(
      `modular-runtime: \`${compiler}\` cannot compile (${why}); segments will be written, not mapped`,
    );
  }
}
