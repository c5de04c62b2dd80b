// The keys and folders with a prefix, a page at a time, which change as the store does.

import { attempt, button, h, remaining, shown } from "./dom.js";
import { feedPlace, listPlace, newPlace } from "./place.js";
import { deletePrefixView, deleteSelected } from "./deleting.js";
import { byCodePoints, fillRow, folderRow, keyRow } from "./rows.js";
import { Selection } from "./selection.js";

const PAGE_KEYS = 100;
const FOLDER = "/";

export class Browser {
  #session;
  #stop = new AbortController();
  #rows = new Map(); // by key or folder, in their order
  #selection = new Selection(() => this.#rows, (keys) => this.#deleteSelected(keys));
  #page = {};
  #stale = new Set();
  #missing = new Set(); // the keys without a row that are being read
  #turns = 0;
  #refreshing = null;

  constructor(session, namespace, prefix, onChange) {
    this.#session = session;
    this.namespace = namespace;
    this.prefix = prefix;
    this.onChange = onChange;
    const { permissions } = session;
    this.mayRead = permissions.maySomewhere("read", namespace, prefix);
    this.mayWrite = permissions.maySomewhere("write", namespace, prefix);
    this.body = h("tbody");
    this.live = h("span", { class: "live", id: "live" }, "not live");
    this.pages = h("nav", { class: "pages", "aria-label": "Pages of keys" });
    this.panel = h("div", { id: "panel" });
    this.problem = h("p", { class: "problem", role: "alert", hidden: true });
    this.element = h(
      "section",
      { class: "browse", "aria-label": "Keys" },
      h("h1", { class: "hidden" }, "Keys"),
      this.#bar(),
      this.panel,
      this.problem,
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of keys" }, this.#table()),
      this.pages,
    );
    this.element.addEventListener("keydown", (event) => this.#move(event));
    this.#clock = setInterval(() => this.#tick(), 1000);
  }

  #clock;

  /** Show the first page, and follow changes. */
  async open() {
    const { mayRead } = this;
    const { paths } = this.#session;
    const { signal } = this.#stop;
    // From before the page is read, so that no change is missed. Without it, #follow says why.
    const since =
      mayRead && paths.changes
        ? await this.#session.position(this.namespace, this.prefix, signal).catch(() => undefined)
        : undefined;
    await this.go("first");
    this.#follow(since);
  }

  close() {
    this.#stop.abort();
    clearInterval(this.#clock);
  }

  has(namespace, prefix) {
    return this.namespace === namespace && this.prefix === prefix;
  }

  /** Mark the row of the key that is open. */
  mark(key) {
    for (const [name, row] of this.#rows) row.element.classList.toggle("open", name === key);
  }

  /** Show another page: `first`, `next`, `previous` or `last`. */
  async go(where) {
    const { signal } = this.#stop;
    const names = [...this.#rows.keys()];
    const query = { delimiter: FOLDER, limit: PAGE_KEYS, prefix: this.prefix || null };
    const isBack = where === "previous" || where === "last";
    if (isBack) query.reverse = true;
    if (where === "previous") query.start_after = names[0];
    if (where === "next" && this.#page.cursor) query.cursor = this.#page.cursor;
    else if (where === "next") query.start_after = names.at(-1);
    let page;
    try {
      page = await this.#session.list(this.namespace, query, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.problem.textContent = error.message;
      this.problem.hidden = false;
      return;
    }
    this.problem.hidden = true;
    if (where === "previous" && page.complete && page.keys.length + page.prefixes.length < PAGE_KEYS) {
      await this.go("first");
      return;
    }
    this.#page = {
      cursor: isBack ? null : page.cursor,
      isFirst: where === "first" || (isBack && page.complete),
      isLast: where === "last" || (!isBack && page.complete),
    };
    this.#turns++;
    this.#rows.clear();
    this.#missing.clear();
    this.#selection.clear();
    for (const folder of page.prefixes) this.#rows.set(folder, folderRow(this.namespace, folder, this.#look()));
    for (const item of page.keys) this.#rows.set(item.key, this.#keyRow(item));
    this.#draw();
    await this.#refresh(page.keys.map(({ key }) => key));
  }

  // What is shown

  #bar() {
    const { namespace, prefix } = this;
    const parts = prefix.split(FOLDER);
    const crumbs = parts.map((part, index) => {
      const isHere = index === parts.length - 1;
      if (isHere) return part && h("li", { "aria-current": "page" }, shown(`${part}…`));
      const path = parts.slice(0, index + 1).join(FOLDER) + FOLDER;
      return h("li", {}, h("a", { href: listPlace(namespace, path) }, part ? shown(part) : "(empty)"));
    });
    const { permissions } = this.#session;
    const mayDelete = permissions.may("write", namespace, prefix);
    return h(
      "div",
      { class: "bar" },
      h(
        "nav",
        { "aria-label": "Folders" },
        h("ol", { class: "crumbs" }, h("li", {}, h("a", { href: listPlace(namespace) }, "all keys")), crumbs),
      ),
      this.live,
      this.mayRead && h("a", { href: feedPlace(namespace) }, "Changes"),
      mayDelete && button("Delete all these…", () => this.#deletePrefix()),
      this.mayWrite && this.#selection.deleting,
      this.mayWrite && h("a", { class: "button primary", href: newPlace(namespace, prefix) }, "New key"),
    );
  }

  #table() {
    const heads = ["Key", "Value", "Size", "Expires in", "Metadata", "Version"];
    return h(
      "table",
      {},
      h("caption", { class: "hidden" }, "Keys and folders"),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          this.mayWrite ? h("td", {}, this.#selection.box) : null,
          heads.map((text) => h("th", { scope: "col", class: text.split(" ")[0].toLowerCase() }, text)),
        ),
      ),
      this.body,
    );
  }

  /** Return how rows look: where the shown part of their names begins, and whether they have a box. */
  #look() {
    return { start: this.prefix.lastIndexOf(FOLDER) + 1, mayWrite: this.mayWrite };
  }

  #keyRow(item) {
    return keyRow(this.namespace, item, this.#look(), (isSelected) => this.#selection.select(item.key, isSelected));
  }

  #draw() {
    const names = [...this.#rows.keys()].sort(byCodePoints);
    this.#rows = new Map(names.map((name) => [name, this.#rows.get(name)]));
    const focused = document.activeElement;
    this.body.replaceChildren(...[...this.#rows.values()].map(({ element }) => element));
    if (focused !== document.activeElement && focused.isConnected) focused.focus();
    if (!names.length) {
      const text = this.prefix ? "No keys begin with this." : "No keys yet.";
      this.body.append(h("tr", {}, h("td", { colspan: 7, class: "empty" }, text)));
    }
    const { isFirst, isLast } = this.#page;
    const page = (text, where, isOff) =>
      button(text, () => attempt(() => this.go(where)), { disabled: isOff });
    const pressed = this.pages.contains(document.activeElement) && document.activeElement.textContent;
    if (isFirst && isLast) this.pages.replaceChildren();
    else {
      this.pages.replaceChildren(
        page("First", "first", isFirst),
        page("Previous", "previous", isFirst),
        page("Next", "next", isLast),
        page("Last", "last", isLast),
      );
      const enabled = [...this.pages.children].filter((one) => !one.disabled);
      if (pressed) (enabled.find((one) => one.textContent === pressed) ?? enabled[0]).focus();
    }
    this.onChange();
  }

  #tick() {
    for (const row of this.#rows.values()) {
      if (row.item?.expires_at) row.expires.textContent = remaining(row.item.expires_at);
    }
  }

  /** Move between rows with the arrow keys. */
  #move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !this.body.contains(event.target) || event.target.tagName !== "A") return;
    const links = [...this.body.querySelectorAll("th a")];
    const next = links[links.indexOf(event.target) + step];
    if (next) next.focus();
    event.preventDefault();
  }

  // Changes

  async #follow(since) {
    const { signal } = this.#stop;
    if (!this.mayRead || !this.#session.paths.changes) return;
    const say = (text, isLive) => {
      this.live.textContent = text;
      this.live.classList.toggle("on", isLive);
    };
    try {
      const onDisconnect = () => say("reconnecting…", false);
      const changes = this.#session.watch(this.namespace, this.prefix, { since, signal, onDisconnect });
      for await (const change of changes) {
        if (change.event === "ready") say("live", true);
        else if (change.event === "reset") await this.go("first");
        else this.#apply(change);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 401) this.#session.end();
      say(error.status === 501 ? "not live: the storage records no changes" : "not live", false);
    }
  }

  #apply({ event, key, prefix }) {
    if (event === "bookmark") return;
    if (event === "delete_prefix") {
      for (const name of [...this.#rows.keys()]) if (name.startsWith(prefix)) this.#remove(name);
    } else if (event === "delete" || event === "expire") {
      this.#remove(key);
    } else {
      this.#stale.add(key);
    }
    this.onChange(key ?? prefix, event);
    // Many changes at once are one request.
    this.#refreshing ??= setTimeout(() => {
      this.#refreshing = null;
      const keys = [...this.#stale].filter((one) => this.#shows(one));
      this.#stale.clear();
      attempt(() => this.#refresh(keys.slice(0, 1000)));
    }, 50);
  }

  /** Return whether a key, or the folder that it is in, belongs on this page. */
  #shows(key) {
    const end = key.indexOf(FOLDER, this.prefix.length);
    const name = end < 0 ? key : key.slice(0, end + 1);
    if (this.#rows.has(name)) return end < 0;
    const names = [...this.#rows.keys()];
    const isBefore = names.length > 0 && byCodePoints(name, names[0]) < 0;
    const isAfter = names.length > 0 && byCodePoints(name, names.at(-1)) > 0;
    if ((isBefore && !this.#page.isFirst) || (isAfter && !this.#page.isLast)) return false;
    if (end < 0) return true;
    this.#rows.set(name, folderRow(this.namespace, name, this.#look()));
    this.#draw();
    return false;
  }

  /** Read the values of keys, and show them. */
  async #refresh(keys) {
    const { signal } = this.#stop;
    const { permissions } = this.#session;
    const readable = keys.filter((key) => permissions.may("read", this.namespace, key));
    if (!readable.length) return;
    const turns = this.#turns;
    for (const key of readable) if (!this.#rows.has(key)) this.#missing.add(key);
    const found = await this.#session.previews(this.namespace, readable, signal).catch(() => new Map());
    if (signal.aborted) return;
    if (turns !== this.#turns) {
      // Another page has come, which may have been read before these changes.
      await this.#refresh(readable.filter((key) => this.#shows(key)));
      return;
    }
    let isNew = false;
    for (const [key, result] of found) {
      const row = this.#rows.get(key);
      const isWanted = this.#missing.delete(key);
      if (result.version === null) this.#remove(key);
      else if (result.error !== undefined && row) fillRow(row, { ...row.item, error: result.error });
      else if (result.error === undefined && row) fillRow(row, result);
      else if (result.error === undefined && isWanted) {
        this.#rows.set(key, this.#keyRow(result));
        isNew = true;
      }
    }
    if (isNew) this.#draw();
  }

  #remove(name) {
    this.#missing.delete(name);
    const row = this.#rows.get(name);
    if (!row) return;
    this.#rows.delete(name);
    this.#selection.select(name, false);
    this.#draw();
  }

  // Deletions

  async #deleteSelected(keys) {
    const entries = keys.map((key) => ({ key, version: this.#rows.get(key).item.version }));
    await attempt(() => deleteSelected(this.#session, this.namespace, entries));
    await this.go("first");
  }

  #deletePrefix() {
    const close = () => this.panel.replaceChildren();
    const view = deletePrefixView(this.#session, this.namespace, this.prefix, async () => {
      close();
      await this.go("first");
    }, close);
    this.panel.replaceChildren(view);
  }
}
