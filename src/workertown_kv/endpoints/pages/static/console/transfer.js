// A whole store as a file: exports, and imports.

import { attempt, bytesText, field, h } from "./dom.js";
import { EntryCount } from "./export-count.js";
import { download } from "./values.js";

const number = (count) => count.toLocaleString("en");

export class Transfer {
  #session;
  #stop = new AbortController();

  constructor(session, titles) {
    this.#session = session;
    this.titles = titles;
    this.bar = h("progress", { hidden: true, "aria-label": "Progress" });
    this.state = h("p", { role: "status" });
    const { permissions } = session;
    const mayWrite = permissions.mayEverywhere("write");
    const mayRead = permissions.mayEverywhere("read") && permissions.mayEverywhere("list");
    this.element = h(
      "section",
      { class: "page", "aria-label": "Export and import" },
      h("h1", {}, "Export and import"),
      mayRead && this.#exportForm(titles),
      mayWrite && this.#importForm(),
      this.bar,
      this.state,
    );
  }

  open() {}

  close() {
    this.#stop.abort();
  }

  // Exports

  #exportForm(titles) {
    const options = [...titles].map(([id, title]) => h("option", { value: id }, title));
    const chosen = h("select", {}, h("option", { value: "" }, "all namespaces"), options);
    const run = (event) => {
      event.preventDefault();
      attempt(() => this.#run(() => this.#export(chosen.value)));
    };
    return h(
      "form",
      { class: "bar", submit: run },
      field("Namespaces", chosen),
      h("button", { class: "primary" }, "Export"),
    );
  }

  async #export(namespace) {
    const { signal } = this.#stop;
    const query = { namespace: namespace || null };
    const url = `${this.#session.paths.admin}/export`;
    const response = await this.#session.request("GET", url, { query, signal });
    const counting = new AbortController();
    let total = null;
    this.#total(namespace, AbortSignal.any([signal, counting.signal])).then(
      (found) => (total = found),
      () => {}, // Then the bar has no end.
    );
    const pieces = [];
    const counted = new EntryCount();
    let size = 0;
    for (const reader = response.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.length;
      pieces.push(value);
      counted.add(value);
      this.#show("Exporting", counted.entries, total, number, " entries");
      this.state.textContent += `, ${bytesText(size)}`;
    }
    counting.abort();
    const whole = new Blob(pieces);
    const lastLine = (await whole.slice(-300).text()).trim().split("\n").at(-1);
    if (!lastLine.startsWith('{"end"')) throw new Error("The export broke off. Nothing was saved.");
    const { count } = JSON.parse(lastLine);
    download(whole, "export.ndjson");
    this.state.textContent = `Exported ${number(count)} entries, ${bytesText(size)}.`;
  }

  /** Return how many entries an export will have, null if the user may not count them. */
  async #total(namespace, signal) {
    const { permissions } = this.#session;
    if (!permissions.mayEverywhere("write")) return null;
    let total = 0;
    for (const id of namespace ? [namespace] : this.titles.keys()) {
      total += await this.#session.deletePrefix(id, "", { onlyCounts: true, signal });
    }
    return total;
  }

  /** Show how much of a whole is done; `total` is null as long as it is not known. */
  #show(doing, done, total, words, unit = "") {
    if (total === null) {
      this.state.textContent = `${doing}: ${words(done)}${unit}`;
      return;
    }
    // Other clients may write meanwhile.
    const part = total ? Math.min(1, done / total) : 1;
    this.bar.max = 1;
    this.bar.value = part;
    this.state.textContent = `${doing}: ${Math.floor(part * 100)} %, ${words(done)} of ${words(total)}${unit}`;
  }

  // Imports

  #importForm() {
    const file = h("input", { type: "file", accept: ".ndjson,.gz,.zst", required: true });
    const conflict = h(
      "select",
      {},
      h("option", { value: "skip" }, "keep the present value"),
      h("option", { value: "overwrite" }, "overwrite it"),
      h("option", { value: "fail" }, "stop"),
    );
    const only = h("input", { type: "checkbox" });
    const run = (event) => {
      event.preventDefault();
      attempt(() => this.#run(() => this.#import(file.files[0], conflict.value, only.checked)));
    };
    return h(
      "form",
      { class: "bar", submit: run },
      field("File", file),
      field("If a key exists", conflict),
      field("Only count", only, { class: "check" }),
      h("button", { class: "primary" }, "Import"),
    );
  }

  async #import(file, conflict, onlyCounts) {
    const report = (sent, all) => {
      // The server writes while it reads, so what is left to do follows what is left to send.
      this.#show(sent < all ? "Importing" : "The server writes the last entries", sent, all, bytesText);
    };
    const query = { on_conflict: conflict, dry_run: onlyCounts };
    const { signal } = this.#stop;
    const { data } = await this.#session.upload("import", file, { query, report, signal });
    const words = onlyCounts ? "It would write" : "Wrote";
    const { written, skipped, expired } = data;
    this.state.textContent = `${words} ${written} entries; ${skipped} skipped, ${expired} expired.`;
  }

  async #run(action) {
    const buttons = [...this.element.querySelectorAll("button")];
    for (const one of buttons) one.disabled = true;
    this.bar.removeAttribute("value");
    this.bar.hidden = false;
    this.state.textContent = "";
    try {
      await action();
    } catch (error) {
      this.state.textContent = "";
      throw error;
    } finally {
      this.bar.hidden = true;
      for (const one of buttons) one.disabled = false;
    }
  }
}
