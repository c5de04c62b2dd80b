// The changes of a namespace as they happen.

import { h, shown } from "./dom.js";
import { keyPlace, listPlace } from "./place.js";

const MOST_ROWS = 200;

export class Feed {
  #stop = new AbortController();
  #session;

  constructor(session, namespace) {
    this.#session = session;
    this.namespace = namespace;
    this.state = h("span", { class: "live", role: "status" }, "connecting…");
    this.body = h("tbody");
    const heads = ["Time", "Event", "Key", "Version"].map((text) => h("th", { scope: "col" }, text));
    this.element = h(
      "section",
      { class: "page", "aria-label": "Changes" },
      h("div", { class: "bar" }, h("h1", {}, "Changes"), this.state, h("a", { href: listPlace(namespace) }, "Keys")),
      h("table", {}, h("caption", { class: "hidden" }, "Changes, the newest first"), h("thead", {}, h("tr", {}, heads)), this.body),
    );
  }

  close() {
    this.#stop.abort();
  }

  async open() {
    const { signal } = this.#stop;
    const onDisconnect = () => this.#say("reconnecting…", false);
    try {
      for await (const change of this.#session.watch(this.namespace, "", { signal, onDisconnect })) {
        if (change.event === "ready") this.#say("live", true);
        else if (change.event !== "bookmark") this.#add(change);
      }
    } catch (error) {
      if (!signal.aborted) this.#say(error.message, false);
    }
  }

  #say(text, isLive) {
    this.state.textContent = text;
    this.state.classList.toggle("on", isLive);
  }

  #add({ event, key, prefix, version }) {
    const name = key ?? prefix ?? "";
    const link = key ? h("a", { href: keyPlace(this.namespace, key) }, shown(key, 200)) : shown(name, 200);
    const cells = [new Date().toLocaleTimeString(), event, link, version ? h("code", {}, version.slice(0, 8)) : ""];
    this.body.prepend(h("tr", {}, cells.map((cell) => h("td", {}, cell))));
    if (this.body.rows.length > MOST_ROWS) this.body.lastChild.remove();
  }
}
