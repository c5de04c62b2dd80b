// Questions to the user before a change: whose value stays, and whether a deletion is meant.

import { button, h } from "./dom.js";

/** Show the value of somebody else beside the typed text, with what can be done. */
export function conflictView(words, { theirs, yours }, buttons) {
  return h(
    "section",
    { class: "panel conflict", role: "alert", "aria-label": "Conflict" },
    h("h3", {}, words),
    h("p", {}, "Nothing is overwritten. Take their value, or edit yours and save it over the value that you see here."),
    h(
      "div",
      { class: "sides" },
      h("div", {}, h("h4", {}, "Theirs"), h("pre", { id: "theirs", tabindex: "0" }, theirs)),
      h("div", {}, h("h4", {}, "Yours"), h("pre", { id: "yours", tabindex: "0" }, yours)),
    ),
    buttons,
  );
}

/** Ask in an element whether to delete a key, and return the answer. */
export function confirmed(element, words) {
  return new Promise((resolve) => {
    const answer = (result) => () => {
      element.replaceChildren();
      resolve(result);
    };
    const cancel = button("Cancel", answer(false));
    const confirm = button("Delete it", answer(true), { class: "danger" });
    element.replaceChildren(h("section", { class: "panel", "aria-label": "Confirm" }, h("p", {}, words), confirm, cancel));
    cancel.focus();
  });
}
