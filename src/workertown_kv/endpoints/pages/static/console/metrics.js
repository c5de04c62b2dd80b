// Metrics in the text format of Prometheus, and what two readings of them say.

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** A reading: all samples at one moment, in seconds. */
export class Reading {
  #samples = new Map();

  constructor(text, at) {
    this.at = at;
    for (const line of text.split("\n")) {
      const [, name, labels = "", value] = line.startsWith("#") ? [] : (SAMPLE.exec(line) ?? []);
      if (name === undefined) continue;
      const given = Object.fromEntries([...labels.matchAll(LABEL)].map(([, label, words]) => [label, words]));
      const list = this.#samples.get(name) ?? [];
      list.push({ labels: given, value: Number(value) });
      this.#samples.set(name, list);
    }
  }

  /** Return the samples of a metric; none if the server does not have it. */
  of(name) {
    return this.#samples.get(name) ?? [];
  }

  /** Return the sum of the samples that pass a test, null if the server does not have the metric. */
  sum(name, test = () => true) {
    const samples = this.of(name);
    return samples.length ? samples.filter(({ labels }) => test(labels)).reduce((sum, { value }) => sum + value, 0) : null;
  }
}

/** Return by how much a counter grew, null if it began again or the server does not have it. */
export function growth(before, now, name, test) {
  const [was, is] = [before.sum(name, test), now.sum(name, test)];
  // A series appears with its first event.
  return is === null || is < (was ?? 0) ? null : is - (was ?? 0);
}

/** Return a growth for each second. */
export function rate(before, now, name, test) {
  const grown = growth(before, now, name, test);
  return grown === null ? null : grown / (now.at - before.at);
}

/** Return the value below which a part of the events between two readings was, null without events. */
export function quantile(before, now, name, part, test) {
  const bounds = [...new Set(now.of(`${name}_bucket`).map(({ labels }) => labels.le))];
  const inBucket = (bound) => growth(before, now, `${name}_bucket`, (labels) => labels.le === bound && test(labels)) ?? 0;
  const buckets = bounds
    .map((bound) => ({ bound: bound === "+Inf" ? Infinity : Number(bound), count: inBucket(bound) }))
    .sort((one, other) => one.bound - other.bound);
  const all = buckets.at(-1)?.count;
  if (!all) return null;
  const wanted = part * all;
  const index = buckets.findIndex(({ count }) => count >= wanted);
  const { bound: low, count: below } = buckets[index - 1] ?? { bound: 0, count: 0 };
  const { bound: high, count } = buckets[index];
  // As Prometheus does: evenly within a bucket, and the last bound for what is above it.
  return high === Infinity ? low : low + ((high - low) * (wanted - below)) / (count - below);
}
