// One key: its value, lifetime and metadata. Every change is made only if nobody was faster.

import { $, attempt, button, bytesText, field, h, notify, remaining, shown } from "./dom.js";
import { confirmed, conflictView } from "./conflict.js";
import { metadataIn, secondsIn } from "./fields.js";
import { keyPlace, listPlace } from "./place.js";
import { snippetsView } from "./snippets.js";
import { ValueView } from "./value-view.js";
import { SHOWN_BYTES, described, download, formatted } from "./values.js";

const BEATEN = "Somebody else changed this key meanwhile, so nothing was done.";

export class Editor {
  #session;
  #entry = null;
  #value = null; // as it is shown
  #savedMetadata = "";
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
    return this.#isTextTyped || this.#isMetadataTyped || Boolean(this.lifetime?.value);
  }

  get #isTextTyped() {
    return this.#value?.isTyped ?? false;
  }

  get #isMetadataTyped() {
    return Boolean(this.metadata) && this.metadata.value !== this.#savedMetadata;
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
      if (entry && entry.version === this.#entry?.version) {
        if (!this.#isMetadataTyped) this.metadata.value = this.#savedMetadata = entry.metadata ?? "";
        this.#entry = { ...this.#entry, expiresAt: entry.expiresAt, metadata: entry.metadata };
        this.#tick();
      } else if (this.#isTextTyped) this.#showConflict(entry);
      else if (entry) this.#show(entry);
      else if (this.isDirty) notify("Somebody else deleted this key.", { isError: true });
      else if (this.#entry) this.#showMissing();
    });
  }

  #read(longest) {
    return this.#session.entry(this.namespace, this.key, { longest });
  }

  // What is shown

  #showMissing() {
    this.#entry = this.#value = this.lifetime = this.metadata = null;
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

  /** Show an entry, with what was typed into the fields, and with a text that was typed. */
  #show(entry, { typed } = {}) {
    const focused = this.#focused();
    const lifetime = this.lifetime?.value ?? "";
    const metadata = this.#isMetadataTyped ? this.metadata.value : null;
    const by = this.by?.value ?? "1";
    const stored = entry.metadata ?? "";
    if (metadata !== null && stored !== this.#savedMetadata) {
      const words = `Somebody else changed the metadata: ${stored || "there are none now"}. The field has what you typed.`;
      notify(words, { isError: true });
    }
    this.#savedMetadata = stored;
    this.#entry = entry;
    const isNew = entry.version === null;
    const mayWrite = this.#may("write");
    const viewBefore = this.#value?.name;
    const view = (this.#value = new ValueView({
      value: entry.bytes && described(entry.bytes),
      size: entry.size,
      isNew,
      mayWrite,
      load: () => this.#load(),
      save: () => this.#save(),
      onCheck: (isRight) => (this.save.disabled = !isRight),
    }));
    this.name = h("input", { value: this.key ?? this.prefix, spellcheck: "false", autocomplete: "off" });
    this.expires = h("span", { class: "expires" });
    this.lifetime = h("input", { inputmode: "numeric", size: 10, placeholder: "none", disabled: !mayWrite });
    this.metadata = h("input", {
      placeholder: '{"a": "JSON object"}',
      disabled: !mayWrite,
      spellcheck: "false",
    });
    this.conflict = h("div", { id: "conflict" });
    this.lifetime.value = lifetime;
    this.metadata.value = metadata ?? this.#savedMetadata;
    this.save = button("Save", () => attempt(() => this.#save()), { class: "primary" });
    this.element.replaceChildren(
      ...[
        h(
          "div",
          { class: "bar" },
          this.key === null ? field("Key", this.name, { class: "name" }) : h("h2", {}, shown(this.key)),
          !isNew && h("span", {}, "version ", h("code", { title: entry.version, id: "version" }, `${entry.version.slice(0, 8)}…`)),
          !isNew && h("span", {}, bytesText(entry.size)),
          view.names.length > 0 && field("Show as", view.select),
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
          mayWrite && !isNew && view.isNumber && this.#may("read") && this.#counting(by),
        ),
        view.element,
        view.problem,
        this.key !== null && this.#may("read") && snippetsView(this.#session, this.namespace, this.key),
      ].filter(Boolean),
    );
    view.show(typed, viewBefore);
    this.#tick();
    if (focused) this.#focusLike(focused);
  }

  /** Return the element that has the focus, and which of its kind it is. */
  #focused() {
    const element = document.activeElement;
    if (!this.element.contains(element)) return null;
    return { element, index: [...this.element.querySelectorAll(element.tagName)].indexOf(element) };
  }

  /** Focus the element that has taken the place of another. */
  #focusLike({ element, index }) {
    const { tagName, textContent } = element;
    const elements = [...this.element.querySelectorAll(tagName)];
    const isNamed = tagName !== "INPUT";
    const found = isNamed ? elements.find((one) => one.textContent === textContent) : elements[index];
    (found ?? this.#value.text)?.focus();
    if (tagName === "TEXTAREA") found?.setSelectionRange(element.selectionStart, element.selectionEnd);
  }

  #folder() {
    return this.key === null ? this.prefix : this.key.slice(0, this.key.lastIndexOf("/") + 1);
  }

  #counting(value) {
    this.by = h("input", { inputmode: "numeric", size: 5, value, "aria-label": "Add" });
    return h("span", { class: "counting" }, button("Increment by", () => attempt(() => this.#increment(this.by.value))), this.by);
  }

  async #load() {
    const whole = await this.#read(Infinity);
    if (whole) this.#show(whole);
  }

  #tick() {
    if (!this.#entry || !this.expires) return;
    const { expiresAt } = this.#entry;
    this.expires.textContent = expiresAt ? `expires in ${remaining(expiresAt)}` : "";
  }

  // Changes

  async #save() {
    if (this.#isSaving) return;
    const edited = this.#value;
    if (!edited.isEditable) {
      if (this.isDirty) await this.#saveFields();
      return;
    }
    if (!edited.check()) return;
    const { version, expiresAt } = this.#entry;
    const key = this.key ?? this.name.value;
    if (!key) {
      notify("A key needs a name.", { isError: true });
      this.name.focus();
      return;
    }
    const typed = edited.text.value;
    const { value, isBytes } = edited.written();
    const fields = this.#fields();
    const ttl = secondsIn(this.lifetime.value);
    // Other programs may have written metadata that are no object.
    const metadata = this.#isMetadataTyped ? metadataIn(this.metadata.value) : this.#entry.metadata;
    const lifetime = ttl === null ? { expiresAt } : { ttl };
    this.#isSaving = true;
    this.save.disabled = true;
    try {
      const written = { version, metadata, ...lifetime, isBytes };
      const newVersion = await this.#session.put(this.namespace, key, value, written);
      this.#entry = { ...this.#entry, version: newVersion };
    } catch (error) {
      if (error.status !== 412) throw error;
      if (this.key === null) throw new Error("This key has a value already; open it to change it.");
      const take = this.#showConflict(await this.#read(SHOWN_BYTES));
      // The next key that somebody types would press it.
      if (document.activeElement !== edited.text) take.focus();
      return;
    } finally {
      this.#isSaving = false;
      this.save.disabled = false;
    }
    this.#value?.noteSaved(typed); // another view may have come meanwhile
    this.#noteSaved(fields);
    if (this.key === null) location.hash = keyPlace(this.namespace, key);
    else await this.#reload();
    notify("Saved.");
  }

  /** Save the metadata and the lifetime of a value that is not edited here. */
  async #saveFields() {
    const ttl = secondsIn(this.lifetime.value);
    const fields = this.#fields();
    const metadata = this.#isMetadataTyped ? metadataIn(fields.metadata) : undefined;
    await this.#change({ metadata, ...(ttl !== null && { ttl }) });
    this.#noteSaved(fields);
    await this.#reload();
    notify("Saved.");
  }

  #fields() {
    return { lifetime: this.lifetime.value, metadata: this.metadata.value };
  }

  /** Take note of what was saved; the user may have typed since. */
  #noteSaved({ lifetime, metadata }) {
    if (this.lifetime.value === lifetime) this.lifetime.value = "";
    if (metadata === this.#savedMetadata) return;
    const stored = metadataIn(metadata) ?? "";
    if (this.metadata.value === metadata) this.metadata.value = stored;
    this.#savedMetadata = stored;
  }

  /** Show the entry as it is now, and what was typed since it was read. */
  async #reload() {
    const entry = await this.#read(SHOWN_BYTES);
    const isTheirs = entry?.version !== this.#entry?.version;
    if (this.#isTextTyped && isTheirs) this.#showConflict(entry);
    else if (entry) this.#show(entry, { typed: this.#isTextTyped ? this.#value.text.value : undefined });
    else this.#showMissing();
  }

  /**
   * Show the value of somebody else beside the typed text; nothing is overwritten without being seen.
   *
   * Returns the first button.
   */
  #showConflict(theirs) {
    const typed = this.#value?.text?.value ?? "";
    const value = theirs?.bytes && described(theirs.bytes);
    const text = theirs === null ? "" : value ? formatted(value).slice(0, SHOWN_BYTES) : bytesText(theirs.size);
    const words = theirs === null ? "Somebody else deleted this key." : "Somebody else changed this key.";
    const take = button("Take theirs", () => (theirs === null ? this.#showMissing() : this.#show(theirs)));
    const keep = button("Edit mine over theirs", () => {
      const missing = { ...this.#entry, version: null, bytes: new Uint8Array(), expiresAt: null };
      this.#show(theirs ?? missing, { typed: this.#value.text?.value ?? typed });
      this.#value.text.focus();
    });
    this.conflict.replaceChildren(conflictView(words, { theirs: text, yours: typed }, [take, keep]));
    this.save.disabled = true;
    return take;
  }

  async #change(change) {
    this.#checkIdle();
    this.#isSaving = true;
    try {
      const { data, version } = await this.#session.patch(this.namespace, this.key, this.#entry.version, change);
      this.#entry = { ...this.#entry, version };
      return data;
    } catch (error) {
      if (error.status !== 412) throw error;
      await this.#reload();
      throw new Error(BEATEN);
    } finally {
      this.#isSaving = false;
    }
  }

  #checkIdle() {
    if (this.#isSaving) throw new Error("The change before is still being saved; try again.");
  }

  async #touch() {
    this.#value.checkClean();
    const ttl = secondsIn(this.lifetime.value);
    const { lifetime } = this.#fields();
    await this.#change(ttl === null ? { expires_at: null } : { ttl });
    if (this.lifetime.value === lifetime) this.lifetime.value = "";
    await this.#reload();
    notify(ttl === null ? "It no longer expires." : "Lifetime set.");
  }

  async #increment(text) {
    this.#value.checkClean();
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
    this.#checkIdle();
    this.#isSaving = true;
    try {
      await session.delete(namespace, key, entry.version);
    } catch (error) {
      if (error.status !== 412) throw error;
      await this.#reload();
      throw new Error(BEATEN);
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
