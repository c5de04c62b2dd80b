// Code to paste elsewhere, in several languages.

import { button, h, notify } from "./dom.js";

/** Quote a text for a shell. */
export const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/**
 * Return buttons that show a text for each name, or hide it again.
 *
 * `make` returns the texts by name. `redraw` makes them again; `first` is the name that is shown at
 * the start, if any is.
 */
export function samplesView(make, first) {
  const text = h("pre", { tabindex: "0", role: "region", "aria-label": "Snippet", id: "snippet", hidden: true });
  const copy = button("Copy", async () => {
    await navigator.clipboard.writeText(text.textContent);
    notify("Copied.");
  });
  const buttons = Object.keys(make()).map((name) =>
    button(name, () => show(name === current ? null : name), { "aria-controls": "snippet" }),
  );
  let current = null;

  function show(name) {
    current = name;
    for (const one of buttons) one.setAttribute("aria-expanded", String(one.textContent === name));
    text.hidden = name === null;
    copy.hidden = name === null || !navigator.clipboard;
    redraw();
  }

  function redraw() {
    text.textContent = current === null ? "" : make()[current];
  }

  show(first ?? null);
  return { element: h("div", { class: "snippets" }, h("span", {}, "Snippets"), buttons, copy, text), redraw };
}
