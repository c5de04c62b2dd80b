// Namespaces: made, renamed, and deleted once their title has been typed.

import { attempt, button, field, h, notify, shown } from "./dom.js";
import { listPlace } from "./place.js";

export class Namespaces {
  #session;

  constructor(session, changed) {
    this.#session = session;
    this.changed = changed;
    this.list = h("ul", { class: "items" });
    const title = h("input", { maxlength: 512, required: true });
    const create = async (event) => {
      event.preventDefault();
      await attempt(async () => {
        await this.#session.json("POST", this.#url(), { body: { title: title.value } });
        title.value = "";
        notify("Made the namespace.");
        await this.open();
      });
    };
    this.element = h(
      "section",
      { class: "page", "aria-label": "Namespaces" },
      h("h1", {}, "Namespaces"),
      h("form", { class: "bar", submit: create }, field("Title", title), h("button", { class: "primary" }, "Make a namespace")),
      this.list,
    );
  }

  #url(id) {
    return `${this.#session.paths.admin}/namespaces${id ? `/${id}` : ""}`;
  }

  close() {}

  async open() {
    await attempt(async () => {
      const { data } = await this.#session.json("GET", this.#url());
      this.list.replaceChildren(...data.map((namespace) => this.#item(namespace)));
      this.changed(data);
    });
  }

  #item({ id, title }) {
    const isDefault = title === "default" || id === "0".repeat(32);
    const name = h("input", { value: title, "aria-label": `Title of ${title}` });
    const panel = h("div");
    const rename = () =>
      attempt(async () => {
        await this.#session.json("PUT", this.#url(id), { body: { title: name.value } });
        notify("Renamed.");
        await this.open();
      });
    const remove = () => {
      const typed = h("input", { input: () => (confirm.disabled = typed.value !== title) });
      const confirm = button(
        "Delete it with all its keys",
        () =>
          attempt(async () => {
            await this.#session.json("DELETE", this.#url(id));
            notify("Deleted the namespace.");
            await this.open();
          }),
        { class: "danger", disabled: true },
      );
      panel.replaceChildren(
        h("div", { class: "panel" }, field("Type its title to delete it", typed), confirm, button("Cancel", () => panel.replaceChildren())),
      );
      typed.focus();
    };
    return h(
      "li",
      {},
      h("a", { href: listPlace(isDefault ? "default" : id) }, shown(title)),
      h("code", {}, id),
      !isDefault && [name, button("Rename", rename), button("Delete…", remove, { class: "danger" })],
      panel,
    );
  }
}
