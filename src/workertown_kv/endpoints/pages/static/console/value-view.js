// The value of a key, as a text that can be edited, as an image or as bytes.

import { attempt, bytesText, button, h } from "./dom.js";
import { parse } from "./json.js";
import { SHOWN_BYTES, formatted, hexView, imageView } from "./values.js";

const isText = (view) => view === "JSON" || view === "Text";

export class ValueView {
  #value;
  #size;
  #mayWrite;
  #load;
  #save;
  #onCheck;
  #saved = "";
  #lineEnd = "\n";

  /**
   * `value` is null if it is too large to be loaded without being asked for, which `load` does. Ctrl+S
   * calls `save`. `onCheck` is told whether the text could be saved.
   */
  constructor({ value, size, isNew, mayWrite, load, save, onCheck }) {
    this.#value = value;
    this.#size = size;
    this.#mayWrite = mayWrite;
    this.#load = load;
    this.#save = save;
    this.#onCheck = onCheck;
    this.names = isNew ? ["JSON", "Text"] : (value?.views ?? []);
    this.name = "";
    this.text = null;
    this.element = h("div", { class: "view" });
    this.problem = h("p", { class: "problem", id: "value-problem", role: "status" });
    this.select = h(
      "select",
      { change: () => attempt(async () => this.#change(this.select.value)) },
      this.names.map((name) => h("option", {}, name)),
    );
  }

  get isEditable() {
    return this.text !== null && !this.text.readOnly;
  }

  get isTyped() {
    return this.isEditable && this.text.value !== this.#saved;
  }

  get isNumber() {
    const { tokens } = this.#value ?? {};
    return tokens?.length === 1 && /^-?\d/.test(tokens[0]);
  }

  /** Show the value or, over it, a text that was typed in a view of this name. */
  show(typed, name) {
    const [first, second] = this.names;
    if (typed === undefined) this.#draw(first === "Text" && second === "Image" ? "Image" : first);
    // A text that was typed can be saved over a value of any kind.
    else this.#draw(name === "JSON" && this.names.includes("JSON") ? "JSON" : "Text", typed);
  }

  checkClean() {
    if (this.isTyped) throw new Error("Save the value first, or take your changes back.");
  }

  /** Say where the text is no JSON, and return whether it can be saved. */
  check() {
    const { error } = this.name === "JSON" ? parse(this.text.value) : {};
    this.problem.textContent = error ? `Line ${error.line}, column ${error.column}: ${error.message}` : "";
    this.text.setAttribute("aria-invalid", String(Boolean(error)));
    this.#onCheck(!error);
    return !error;
  }

  /** Return the value that the text stands for. A text that was JSON stays JSON if it can. */
  written() {
    const typed = this.text.value;
    if (this.name === "JSON") return { value: parse(typed).tokens.join(""), isBytes: false };
    return { value: typed.replaceAll("\n", this.#lineEnd), isBytes: !this.#value?.tokens };
  }

  /** Take note that a text was saved; the user may have typed since. */
  noteSaved(typed) {
    this.#saved = typed;
  }

  #change(name) {
    const typed = this.isTyped ? this.text.value : undefined;
    if (!isText(name)) {
      this.select.value = this.name;
      this.checkClean();
    }
    this.#draw(name, typed);
  }

  #draw(name, typed) {
    this.select.value = this.name = name;
    this.problem.textContent = "";
    this.text = null;
    if (!this.#value && typed === undefined) {
      const load = button("Load and show it", () => attempt(this.#load));
      const words = `The value has ${bytesText(this.#size)}, so it is not loaded. `;
      this.element.replaceChildren(h("p", {}, words, load));
    } else if (name === "Image") {
      this.element.replaceChildren(imageView(this.#value.bytes, this.#value.image));
    } else if (name === "Hex") {
      this.element.replaceChildren(hexView(this.#value.bytes));
    } else this.#drawText(typed);
  }

  #drawText(typed) {
    const text = this.name === "JSON" ? formatted(this.#value) : (this.#value?.text ?? "");
    const isLarge = text.length > SHOWN_BYTES;
    // A text area has only line feeds.
    const lineEnds = new Set(text.match(/\r\n?|\n/g));
    const isMixed = lineEnds.has("\r") || lineEnds.size > 1;
    this.#lineEnd = lineEnds.has("\r\n") ? "\r\n" : "\n";
    this.#saved = text.slice(0, SHOWN_BYTES).replace(/\r\n?/g, "\n");
    this.text = h("textarea", {
      rows: Math.min(16, Math.max(3, this.#saved.split("\n", 20).length + 1)),
      spellcheck: "false",
      autocapitalize: "off",
      dir: "auto",
      "aria-label": "Value",
      "aria-describedby": "value-problem",
      readonly: (typed === undefined && (isLarge || isMixed)) || !this.#mayWrite,
      input: () => this.check(),
      keydown: (event) => this.#key(event),
    });
    this.text.value = typed ?? this.#saved;
    this.element.replaceChildren(this.text);
    if (typed !== undefined) this.check();
    else if (isLarge) this.problem.textContent = "Only the beginning is shown, which cannot be edited.";
    else if (isMixed) this.problem.textContent = "The lines end in different ways, which a text area would change. Edit the value elsewhere.";
  }

  #key(event) {
    if (event.key === "s" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      attempt(this.#save);
    }
  }
}
