// One key: its value, lifetime and metadata. Every change is made only if nobody was faster.

import { $, attempt, button, bytesText, field, h, notify, remaining, shown } from "./dom.js";
import { confirmed, conflictView } from "./conflict.js";
import { metadataIn, secondsIn } from "./fields.js";
import { parse } from "./json.js";
import { keyPlace, listPlace } from "./place.js";
import { snippetsView } from "./snippets.js";
import { SHOWN_BYTES, described, download, formatted, hexView, imageView } from "./values.js";

export class Editor {
  #session;
  #entry = null;
  #value = null;
  #saved = "";
  #isSaving = false;
  #clock;

  /** `key` is null for a new key, whose name begins with `prefix`. */
  constructor(session, namespace, { key = null, prefix = "" }) {
    this.#session = session;
    this.namespace = namespace;
    this.key = key;
    this.prefix = prefix;
    this.element = h("section", { class: "edit", "aria-label": key === null ? "New key" : "Key" });
    this.#clock = setInterval(() => this.#tick(), 1000);
  }

  close() {
    clearInterval(this.#clock);
  }

  get isDirty() {
    return Boolean(this.text) && !this.text.readOnly && this.text.value !== this.#saved;
  }

  async open() {
    if (this.key === null) {
      this.#show({ key: null, version: null, size: 0, bytes: new Uint8Array(), expiresAt: null, metadata: null });
      this.name.focus();
      return;
    }
    await attempt(async () => {
      const entry = await this.#read(SHOWN_BYTES);
      if (entry) this.#show(entry);
      else this.#showMissing();
    });
  }

  /** Take in that the store has changed this key. */
  async changed() {
    if (this.key === null || this.#isSaving) return;
    await attempt(async () => {
      const entry = await this.#read(SHOWN_BYTES);
      if (this.#isSaving) return;
      const isSame = entry?.version === this.#entry?.version;
      if (isSame && entry?.expiresAt === this.#entry?.expiresAt) return;
      if (isSame) {
        this.#entry = entry;
        this.#tick();
      } else if (this.isDirty) this.#showConflict(entry);
      else if (entry) this.#show(entry);
      else this.#showMissing();
    });
  }

  #read(longest) {
    return this.#session.entry(this.namespace, this.key, { longest });
  }

  // What is shown

  #showMissing() {
    this.#entry = null;
    this.text = null;
    const mayWrite = this.#may("write");
    this.element.replaceChildren(
      h("h2", {}, shown(this.key)),
      h("p", { role: "status" }, "This key has no value."),
      mayWrite && button("Make it", () => this.#show({ key: this.key, version: null, size: 0, bytes: new Uint8Array(), expiresAt: null, metadata: null })),
    );
  }

  #may(verb) {
    const { permissions } = this.#session;
    if (this.key === null) return permissions.maySomewhere(verb, this.namespace, this.prefix);
    return permissions.may(verb, this.namespace, this.key);
  }

  #show(entry, { typed, keepsFields = false } = {}) {
    const focused = this.element.contains(document.activeElement) && document.activeElement;
    const before = keepsFields && { lifetime: this.lifetime.value, metadata: this.metadata.value };
    this.#entry = entry;
    this.#value = entry.bytes && described(entry.bytes);
    const isNew = entry.version === null;
    const mayWrite = this.#may("write");
    this.name = h("input", { value: this.key ?? this.prefix, spellcheck: "false", autocomplete: "off" });
    this.expires = h("span", { class: "expires" });
    this.lifetime = h("input", { inputmode: "numeric", size: 10, placeholder: "none", disabled: !mayWrite });
    this.metadata = h("input", {
      value: entry.metadata ? JSON.stringify(entry.metadata) : "",
      placeholder: '{"a": "JSON object"}',
      disabled: !mayWrite,
      spellcheck: "false",
    });
    this.conflict = h("div", { id: "conflict" });
    this.view = h("div", { class: "view" });
    this.problem = h("p", { class: "problem", id: "value-problem", role: "status" });
    const views = isNew ? ["JSON", "Text"] : (this.#value?.views ?? []);
    this.views = h(
      "select",
      { change: () => this.#draw(this.views.value) },
      views.map((name) => h("option", {}, name)),
    );
    if (before) Object.assign(this.lifetime, { value: before.lifetime });
    if (before) Object.assign(this.metadata, { value: before.metadata });
    this.save = button("Save", () => attempt(() => this.#save()), { class: "primary" });
    this.element.replaceChildren(
      ...[
        h(
          "div",
          { class: "bar" },
          this.key === null ? field("Key", this.name, { class: "name" }) : h("h2", {}, shown(this.key)),
          !isNew && h("span", {}, "version ", h("code", { title: entry.version, id: "version" }, `${entry.version.slice(0, 8)}…`)),
          !isNew && h("span", {}, bytesText(entry.size)),
          views.length > 0 && field("Show as", this.views),
          mayWrite && this.save,
          mayWrite && !isNew && button("Delete", () => attempt(() => this.#delete()), { class: "danger" }),
          !isNew && button("Download", () => attempt(() => this.#download())),
          h("a", { class: "button", href: listPlace(this.namespace, this.#folder()) }, "Close"),
        ),
        this.conflict,
        h(
          "div",
          { class: "bar fields" },
          this.expires,
          field("Lifetime in seconds", this.lifetime),
          mayWrite && !isNew && button("Set lifetime", () => attempt(() => this.#touch())),
          field("Metadata", this.metadata, { class: "wide" }),
          mayWrite && !isNew && this.#isNumber() && this.#counting(),
        ),
        this.view,
        this.problem,
        this.key !== null && this.#may("read") && snippetsView(this.#session, this.namespace, this.key),
      ].filter(Boolean),
    );
    this.#draw(views[0] === "Text" && views[1] === "Image" ? "Image" : views[0], typed);
    this.#tick();
    if (focused) this.#focusLike(focused);
  }

  /** Focus the element that has taken the place of another. */
  #focusLike({ tagName, textContent }) {
    const elements = [...this.element.querySelectorAll(tagName)];
    (elements.find((one) => one.textContent === textContent) ?? this.text)?.focus();
  }

  #folder() {
    return this.key === null ? this.prefix : this.key.slice(0, this.key.lastIndexOf("/") + 1);
  }

  #isNumber() {
    return this.#value?.tokens?.length === 1 && /^-?\d/.test(this.#value.tokens[0]) && this.#may("read");
  }

  #counting() {
    const by = h("input", { inputmode: "numeric", size: 5, value: "1", "aria-label": "Add" });
    return h("span", { class: "counting" }, button("Increment by", () => attempt(() => this.#increment(by.value))), by);
  }

  #draw(view, typed) {
    const entry = this.#entry;
    this.views.value = view;
    this.problem.textContent = "";
    this.text = null;
    if (!this.#value) {
      const load = button("Load and show it", () => attempt(async () => {
        const whole = await this.#read(Infinity);
        if (whole) this.#show(whole);
      }));
      this.view.replaceChildren(h("p", {}, `The value has ${bytesText(entry.size)}, so it is not loaded. `, load));
      this.save.hidden = true;
      return;
    }
    const isEdited = view === "JSON" || view === "Text";
    this.save.hidden = !isEdited;
    if (view === "Image") this.view.replaceChildren(imageView(this.#value.bytes, this.#value.image));
    if (view === "Hex") this.view.replaceChildren(hexView(this.#value.bytes));
    if (!isEdited) return;
    const text = view === "JSON" ? formatted(this.#value) : this.#value.text;
    const isLarge = text.length > SHOWN_BYTES;
    this.#saved = isLarge ? text.slice(0, SHOWN_BYTES) : text;
    this.text = h("textarea", {
      rows: Math.min(16, Math.max(3, this.#saved.split("\n", 20).length + 1)),
      spellcheck: "false",
      autocapitalize: "off",
      dir: "auto",
      "aria-label": "Value",
      "aria-describedby": "value-problem",
      readonly: isLarge || !this.#may("write"),
      input: () => this.#check(),
      keydown: (event) => this.#key(event),
    });
    this.text.value = typed ?? this.#saved;
    this.view.replaceChildren(this.text);
    if (isLarge) this.problem.textContent = "Only the beginning is shown, which cannot be edited.";
    else if (typed !== undefined) this.#check();
    if (isLarge) this.save.hidden = true;
  }

  #key(event) {
    if (event.key === "s" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      attempt(() => this.#save());
    }
  }

  #tick() {
    if (!this.#entry || !this.expires) return;
    const { expiresAt } = this.#entry;
    this.expires.textContent = expiresAt ? `expires in ${remaining(expiresAt)}` : "";
  }

  /** Say where the text is no JSON. */
  #check() {
    const { error } = this.views.value === "JSON" ? parse(this.text.value) : {};
    this.problem.textContent = error ? `Line ${error.line}, column ${error.column}: ${error.message}` : "";
    this.text.setAttribute("aria-invalid", String(Boolean(error)));
    this.save.disabled = Boolean(error);
    return !error;
  }

  // Changes

  async #save() {
    if (!this.text || this.text.readOnly || !this.#check()) return;
    const { version, expiresAt } = this.#entry;
    const key = this.key ?? this.name.value;
    if (!key) {
      notify("A key needs a name.", { isError: true });
      this.name.focus();
      return;
    }
    const typed = this.text.value;
    const isJson = this.views.value === "JSON";
    const value = isJson ? parse(typed).tokens.join("") : typed;
    const ttl = secondsIn(this.lifetime.value);
    const metadata = metadataIn(this.metadata.value);
    const lifetime = ttl === null ? { expiresAt } : { ttl };
    this.#isSaving = true;
    this.save.disabled = true;
    try {
      // A text that was JSON stays JSON if it can.
      const isBytes = !isJson && !this.#value.tokens;
      const written = { version, metadata, ...lifetime, isBytes };
      const newVersion = await this.#session.put(this.namespace, key, value, written);
      this.#entry = { ...this.#entry, version: newVersion };
    } catch (error) {
      if (error.status !== 412) throw error;
      if (this.key === null) throw new Error("This key has a value already; open it to change it.");
      this.#showConflict(await this.#read(SHOWN_BYTES));
      return;
    } finally {
      this.#isSaving = false;
      this.save.disabled = false;
    }
    this.#saved = typed;
    if (this.key === null) location.hash = keyPlace(this.namespace, key);
    else await this.#reload();
    notify("Saved.");
  }

  async #reload() {
    const entry = await this.#read(SHOWN_BYTES);
    if (entry) this.#show(entry);
    else this.#showMissing();
  }

  /** Show the value of somebody else beside the typed text; nothing is overwritten without being seen. */
  #showConflict(theirs) {
    const typed = this.text?.value ?? "";
    const value = theirs?.bytes && described(theirs.bytes);
    const text = theirs === null ? "" : value ? formatted(value).slice(0, SHOWN_BYTES) : bytesText(theirs.size);
    const words = theirs === null ? "Somebody else deleted this key." : "Somebody else changed this key.";
    const take = button("Take theirs", () => (theirs === null ? this.#showMissing() : this.#show(theirs)));
    const keep = button("Edit mine over theirs", () => {
      const view = this.views.value;
      const missing = { ...this.#entry, version: null, bytes: new Uint8Array(), expiresAt: null };
      this.#entry = theirs ?? missing;
      this.#show(this.#entry, { keepsFields: true });
      if ([...this.views.options].some(({ value: name }) => name === view)) this.#draw(view, typed);
      else this.#draw("Text", typed);
      this.text?.focus();
    });
    this.conflict.replaceChildren(conflictView(words, { theirs: text, yours: typed }, [take, keep]));
    this.save.disabled = true;
    take.focus();
  }

  async #change(change) {
    this.#isSaving = true;
    try {
      return await this.#session.patch(this.namespace, this.key, this.#entry.version, change);
    } catch (error) {
      if (error.status !== 412) throw error;
      await this.#reload();
      throw new Error("Somebody else changed this key meanwhile. You see the new value; nothing was done.");
    } finally {
      this.#isSaving = false;
    }
  }

  #checkClean() {
    if (this.isDirty) throw new Error("Save the value first, or take your changes back.");
  }

  async #touch() {
    this.#checkClean();
    const ttl = secondsIn(this.lifetime.value);
    await this.#change(ttl === null ? { expires_at: null } : { ttl });
    await this.#reload();
    notify(ttl === null ? "It no longer expires." : "Lifetime set.");
  }

  async #increment(text) {
    this.#checkClean();
    const by = Number(text);
    if (!text.trim() || !Number.isFinite(by)) throw new Error("Expected a number to add.");
    const result = await this.#change({ increment: by });
    await this.#reload();
    notify(`It is ${result} now.`);
  }

  async #delete() {
    const { namespace, key } = this;
    const session = this.#session;
    const entry = this.#entry;
    if (entry.bytes === null && !(await confirmed(this.conflict, "The value is too large to bring it back."))) return;
    this.#isSaving = true;
    try {
      await session.delete(namespace, key, entry.version);
    } catch (error) {
      if (error.status !== 412) throw error;
      await this.#reload();
      throw new Error("Somebody else changed this key meanwhile. You see the new value; nothing was done.");
    } finally {
      this.#isSaving = false;
    }
    const undo = async () => {
      const { expiresAt, metadata } = entry;
      await session.put(namespace, key, entry.bytes, { version: null, expiresAt, metadata });
      notify("The key is back.");
      location.hash = keyPlace(namespace, key);
    };
    notify(`Deleted ${key.slice(0, 60)}.`, {
      action: entry.bytes && { text: "Undo", run: () => attempt(undo) },
      seconds: 60,
    });
    this.#showMissing();
    $("main").focus();
    location.hash = listPlace(namespace, this.#folder());
  }

  async #download() {
    const entry = this.#entry.bytes ? this.#entry : await this.#read(Infinity);
    if (entry) download(entry.bytes, this.key);
  }
}
