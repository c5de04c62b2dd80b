// API keys that the storage keeps: made, shown once, revoked.

import { attempt, button, field, h, notify, shown } from "./dom.js";
import { secondsIn } from "./fields.js";
import { Permissions } from "./scopes.js";

const VERBS = ["read", "write", "list", "admin"];

export class ApiKeys {
  #session;

  constructor(session) {
    this.#session = session;
    this.list = h("ul", { class: "items" });
    this.made = h("div");
    this.name = h("input", { required: true, maxlength: 200, autocomplete: "off" });
    this.prefixes = h("textarea", { rows: 2, spellcheck: "false" });
    this.ttl = h("input", { inputmode: "numeric", placeholder: "none" });
    this.verbs = new Map(VERBS.map((verb) => [verb, h("input", { type: "checkbox" })]));
    this.element = h(
      "section",
      { class: "page", "aria-label": "API keys" },
      h("h1", {}, "API keys"),
      h(
        "form",
        { class: "stack", submit: (event) => this.#create(event) },
        field("Name", this.name),
        h(
          "fieldset",
          {},
          h("legend", {}, "It may (none: everything that you may)"),
          VERBS.map((verb) => field(verb, this.verbs.get(verb), { class: "check" })),
        ),
        field("On keys that begin with (one prefix a line; none: all keys)", this.prefixes),
        field("Lifetime in seconds", this.ttl),
        h("button", { class: "primary" }, "Make an API key"),
      ),
      this.made,
      this.list,
    );
  }

  close() {}

  get #url() {
    return `${this.#session.paths.admin}/api-keys`;
  }

  async open() {
    await attempt(async () => {
      const { data } = await this.#session.json("GET", this.#url);
      const items = data.map((key) => this.#item(key));
      this.list.replaceChildren(...(items.length ? items : [h("li", {}, "The storage keeps no API keys yet.")]));
    });
  }

  #scopes() {
    const verbs = VERBS.filter((verb) => this.verbs.get(verb).checked);
    const prefixes = this.prefixes.value.split("\n").filter(Boolean);
    const onKeys = verbs.filter((verb) => verb !== "admin");
    if (!verbs.length) {
      if (prefixes.length) throw new Error("Choose what the key may do on these prefixes.");
      return undefined;
    }
    const scopes = onKeys.length ? [{ verbs: onKeys, ...(prefixes.length && { prefixes }) }] : [];
    return verbs.includes("admin") ? [...scopes, { verbs: ["admin"] }] : scopes;
  }

  async #create(event) {
    event.preventDefault();
    await attempt(async () => {
      const ttl = secondsIn(this.ttl.value) ?? undefined;
      const body = { name: this.name.value, scopes: this.#scopes(), ttl };
      const { data } = await this.#session.json("POST", this.#url, { body });
      const text = h("input", { readonly: true, value: data.api_key, class: "secret", id: "new-api-key" });
      const hide = () => this.made.replaceChildren();
      const copy = () => attempt(() => navigator.clipboard.writeText(data.api_key));
      this.made.replaceChildren(
        h(
          "div",
          { class: "panel" },
          h("p", {}, "Copy the key now: the server keeps only its hash, and nobody can show it again."),
          field(`The API key ${data.name}`, text, { class: "wide" }),
          navigator.clipboard && button("Copy", copy),
          button("Done", hide),
        ),
      );
      text.select();
      this.name.value = "";
      await this.open();
    });
  }

  #item({ name, scopes = null, expires_at: expiresAt, created_by: by }) {
    const panel = h("span");
    const revoke = () =>
      attempt(async () => {
        await this.#session.json("DELETE", `${this.#url}/${encodeURIComponent(name)}`);
        notify("Revoked the API key.");
        await this.open();
      });
    const ask = () => {
      const cancel = button("Cancel", () => panel.replaceChildren());
      panel.replaceChildren(button("Revoke it now", revoke, { class: "danger" }), cancel);
      cancel.focus();
    };
    const may = new Permissions({ scopes }).words;
    const until = expiresAt ? `, until ${new Date(expiresAt * 1000).toLocaleString()}` : "";
    return h(
      "li",
      {},
      h("strong", {}, shown(name)),
      h("span", {}, `may: ${may}${until}${by ? `, made by ${by}` : ""}`),
      button("Revoke…", ask, { class: "danger", "aria-label": `Revoke ${name}` }),
      panel,
    );
  }
}
