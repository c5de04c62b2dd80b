// What the server does: requests, latency, and what the storage holds, while the page is open.

import { bytesText, h, shown } from "./dom.js";
import { Reading, growth, quantile, rate } from "./metrics.js";
import { Plot } from "./plot.js";

const PAUSE_SECONDS = 2;
const SHOWN_SECONDS = 300;

const number = (value) => value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
const duration = (seconds) => (seconds < 1 ? `${number(seconds * 1000)} ms` : `${number(seconds)} s`);
const percent = (part) => `${number(part * 100)} %`;
const size = (bytes) => bytesText(Math.round(bytes));

// The page's own readings are no work of the server.
const isWork = ({ route }) => !route.endsWith("/metrics");
const hasFailed = (labels) => isWork(labels) && (labels.status === "0" || labels.status.startsWith("5"));
const requests = "kv_http_requests_total";
const latency = "kv_http_request_duration_seconds";

// Each figure: its title, its lines, how a value is written, and the values between two readings.
const FIGURES = [
  ["Requests a second", ["all", "failed"], number, (was, is) => [rate(was, is, requests, isWork), rate(was, is, requests, hasFailed)]],
  ["Latency", ["median", "p99"], duration, (was, is) => [0.5, 0.99].map((part) => quantile(was, is, latency, part, isWork))],
  ["Cache hits", [""], percent, (was, is) => [hitRate(growth(was, is, "kv_cache_hits_total"), growth(was, is, "kv_cache_misses_total"))]],
  ["Entries", [""], number, (_, is) => [is.sum("kv_storage_entries")]],
  ["Size on disk", ["file", "log"], size, (_, is) => [is.sum("kv_storage_file_bytes"), is.sum("kv_storage_log_bytes")]],
  ["Connections", [""], number, (_, is) => [is.sum("kv_http_connections")]],
  ["Memory", [""], size, (_, is) => [is.sum("process_resident_memory_bytes")]],
];

const hitRate = (hits, misses) => (hits + misses ? hits / (hits + misses) : null);

export class Overview {
  #session;
  #stop = new AbortController();
  #readings = [];

  constructor(session) {
    this.#session = session;
    this.state = h("p", { role: "status" });
    this.server = h("p", { class: "dim" });
    this.plots = FIGURES.map(([title, lines, words]) => new Plot(title, lines, words));
    this.element = h(
      "section",
      { class: "page", "aria-label": "Overview" },
      h("h1", {}, "Overview"),
      this.state,
      this.server,
      h("div", { class: "plots" }, this.plots.map(({ element }) => element)),
    );
  }

  close() {
    this.#stop.abort();
  }

  open() {
    const { permissions, paths } = this.#session;
    if (!permissions.isAdmin) this.#say("The overview needs credentials with the verb admin.");
    else if (!paths.metrics) this.#say("This server has no metrics. Set the option endpoints.metrics to a path, such as /metrics, to see them here.");
    else {
      this.#say("Reading the metrics…");
      this.#follow();
    }
  }

  #say(text) {
    if (this.state.textContent !== text) this.state.textContent = text;
  }

  async #follow() {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#read(signal).catch((error) => this.#say(error.message));
      await new Promise((resolve) => setTimeout(resolve, PAUSE_SECONDS * 1000));
    }
  }

  async #read(signal) {
    const response = await this.#session.request("GET", this.#session.paths.metrics, { signal });
    const reading = new Reading(await response.text(), performance.now() / 1000);
    if (signal.aborted) return;
    if (reading.sum("kv_build_info") === null) throw new Error("The metrics of this server are not there: something else has their path.");
    this.#readings = [...this.#readings, reading].filter(({ at }) => at >= reading.at - SHOWN_SECONDS);
    this.#draw(reading);
  }

  #draw(now) {
    const readings = this.#readings;
    const [{ labels }] = now.of("kv_build_info");
    const started = Math.min(...now.of("process_start_time_seconds").map(({ value }) => value));
    const since = Number.isFinite(started) ? `, since ${new Date(started * 1000).toLocaleString()}` : "";
    const workers = now.sum("kv_workers") ?? 1;
    this.server.replaceChildren(shown(`${labels.storage}, ${workers} ${workers === 1 ? "worker" : "workers"}${since}`));
    if (readings.length < 2) this.#say("Collecting: figures come with the second reading, in 2 seconds.");
    else this.#say("Live: every 2 seconds, for as long as this page is open; the last 5 minutes.");
    const pairs = readings.slice(1).map((reading, index) => [readings[index], reading]);
    for (const [index, [, , , valuesOf]] of FIGURES.entries()) {
      const points = pairs.map(([was, is]) => ({ at: is.at, values: valuesOf(was, is) }));
      this.plots[index].draw(points, readings[0].at, now.at);
    }
  }
}
