// The request for a key, to paste elsewhere. Never with the credentials of this tab.

import { quoted, samplesView } from "./samples.js";

function snippetsOf(session, namespace, key) {
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
      ...(key.startsWith("-") ? inFile(id, key) : [`wrangler kv key get --remote --namespace-id ${id} ${quoted(key)}`]),
    ].join("\n"),
  };
}

/** Return commands for a key that wrangler would take for an option. */
function inFile(id, key) {
  return [
    `printf '%s' ${quoted(JSON.stringify([key]))} > keys.json`,
    `wrangler kv bulk get --remote --namespace-id ${id} keys.json`,
  ];
}

/** Return buttons that show the snippets of a key. */
export function snippetsView(session, namespace, key) {
  return samplesView(() => snippetsOf(session, namespace, key)).element;
}
