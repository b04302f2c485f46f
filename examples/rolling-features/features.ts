/** Adds numbers about the last values of each user to its events, one event at a time. */
import { type Context, type Event, run, transform } from "modular-runtime";

const SCALE = 1000;
const FACTOR = 1_000_003;
const MODULUS = 2 ** 31 - 1;
const VALUE_MAX = 1_000_000_000;

interface Config {
  by: string;
  value: string;
  last: number;
}

class Features {
  private readonly config: Config;
  private readonly windows = new Map<unknown, number[]>();

  constructor({ config }: Context) {
    this.config = config as unknown as Config;
  }

  /** All numbers stay below 2^53, and divisions are rounded down. */
  process(event: Event) {
    const { by, value: column, last } = this.config;
    const value = event[column] as number;
    if (Math.abs(value) > VALUE_MAX) throw new RangeError(`\`${column}\` is beyond ${VALUE_MAX}`);
    const window = this.window(event[by]);
    if (window.length === last) window.shift();
    window.push(value);

    const count = window.length;
    let sum = 0;
    for (const value of window) sum += value;
    const mean = Math.floor((SCALE * sum) / count);
    let distances = 0;
    for (const value of window) distances += Math.abs(SCALE * value - mean);
    const deviation = Math.floor(distances / count);
    let score = 0;
    let digest = 0;
    if (deviation > 0) {
      for (const value of window) {
        score = Math.floor((SCALE * (SCALE * value - mean)) / deviation);
        digest = (FACTOR * digest + score) % MODULUS;
        if (digest < 0) digest += MODULUS;
      }
    }
    return { ...event, count, mean, deviation, score, digest };
  }

  private window(key: unknown): number[] {
    let window = this.windows.get(key);
    if (window === undefined) this.windows.set(key, (window = []));
    return window;
  }
}

run(transform(Features));
