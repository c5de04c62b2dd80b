// The request for a key, to paste elsewhere. Never with the credentials of this tab.

import { button, h, notify } from "./dom.js";

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

export function snippetsOf(session, namespace, key) {
  const kv = session.paths.kv;
  const base = kv.endsWith("/v1/kv") ? kv.slice(0, -"/v1/kv".length) : kv;
  const url = new URL(kv);
  url.searchParams.set("key", key);
  const isDefault = namespace === "default";
  if (!isDefault) url.searchParams.set("namespace", namespace);
  const id = isDefault ? "0".repeat(32) : namespace;
  const [name, space] = [JSON.stringify(key), JSON.stringify(namespace)];
  return {
    curl: `curl -H "Authorization: Bearer $KV_TOKEN" ${quoted(url.href)}`,
    Python: [
      "import os",
      "from workertown_kv import Client",
      "",
      `with Client(${JSON.stringify(base)}, api_key=os.environ["KV_TOKEN"]) as store:`,
      isDefault ? `    print(store[${name}])` : `    print(store.namespace(${space})[${name}])`,
    ].join("\n"),
    JavaScript: [
      'import { KV } from "./workertown-kv.js";',
      "",
      `const kv = new KV(${JSON.stringify(base)}, { token: process.env.KV_TOKEN });`,
      isDefault
        ? `console.log(await kv.get(${name}));`
        : `console.log(await kv.namespace(${space}).get(${name}));`,
    ].join("\n"),
    wrangler: [
      `export CLOUDFLARE_API_BASE_URL=${quoted(`${base}/client/v4`)}`,
      'export CLOUDFLARE_API_TOKEN="$KV_TOKEN"',
      `wrangler kv key get --remote --namespace-id ${id} ${key.startsWith("-") ? "-- " : ""}${quoted(key)}`,
    ].join("\n"),
  };
}

/** Return buttons that show the snippets of a key. */
export function snippetsView(session, namespace, key) {
  const texts = snippetsOf(session, namespace, key);
  const text = h("pre", { tabindex: "0", "aria-label": "Snippet", id: "snippet", hidden: true });
  const copy = button("Copy", async () => {
    await navigator.clipboard.writeText(text.textContent);
    notify("Copied.");
  });
  copy.hidden = true;
  const buttons = Object.keys(texts).map((name) => {
    const toggle = button(name, show, { "aria-expanded": "false", "aria-controls": "snippet" });
    function show() {
      const isShown = toggle.getAttribute("aria-expanded") === "true";
      for (const one of buttons) one.setAttribute("aria-expanded", "false");
      toggle.setAttribute("aria-expanded", String(!isShown));
      text.hidden = isShown;
      copy.hidden = isShown || !navigator.clipboard;
      text.textContent = texts[name];
    }
    return toggle;
  });
  return h("div", { class: "snippets" }, h("span", {}, "Snippets"), ...buttons, copy, text);
}
