/** The stage `{{name}}`: says how high each event's value is, and drops what is below 0. */
import { transform } from "modular-runtime";

export interface Input {
  user: string;
  value: number;
}

export function withLevel({ user, value }: Input) {
  if (value < 0) return null;
  return { user, value, level: value >= 10 ? "high" : "low" };
}

export const stage = transform(withLevel, { output: { user: "string", value: "int64", level: "string" } });
