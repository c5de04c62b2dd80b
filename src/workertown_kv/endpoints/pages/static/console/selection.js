// Which keys of a page are selected, and the button that deletes them.

import { button, h } from "./dom.js";

export class Selection {
  #keys = new Set();
  #rows;

  /** `rows` returns the rows of the page by their keys; `onDelete` gets the keys to delete. */
  constructor(rows, onDelete) {
    this.#rows = rows;
    this.box = h("input", {
      type: "checkbox",
      "aria-label": "Select all keys of this page",
      change: () => this.#selectAll(),
    });
    this.deleting = button("Delete selected", () => onDelete([...this.#keys]), { disabled: true });
  }

  select(key, isSelected) {
    if (isSelected) this.#keys.add(key);
    else this.#keys.delete(key);
    this.#count();
  }

  clear() {
    this.#keys.clear();
    this.box.checked = false;
    this.#count();
  }

  #count() {
    const count = this.#keys.size;
    this.deleting.disabled = !count;
    this.deleting.textContent = count ? `Delete ${count} selected` : "Delete selected";
  }

  #selectAll() {
    for (const [key, { box }] of this.#rows()) {
      if (!box) continue;
      box.checked = this.box.checked;
      this.select(key, box.checked);
    }
  }
}
