// What the client does in every environment. `run` returns the failure of each case, or null.

export const cases = {
  async "text is stored as it is"({ kv }) {
    for (const text of ["dark", "", "é ☕ \u0000\r\n", ' [1,\n 2.50, "\\u00e9"] ', "\ufeffmark"]) {
      await kv.put("text", text);
      const bytes = new Uint8Array(await kv.get("text", "arrayBuffer"));
      same([...bytes], [...new TextEncoder().encode(text)]);
      same(await kv.get("text"), text.replace("\ufeff", ""));
      same(await kv.get("text", { type: "text" }), text.replace("\ufeff", ""));
    }
  },

  async "other values are stored as JSON"({ kv }) {
    for (const value of [{ on: true, list: [1, null, "é"] }, [], 1.5, true, null]) {
      await kv.put("json", value);
      same(await kv.get("json", "json"), value);
      same((await kv.entry("json")).value, value);
      same(await kv.get("json"), JSON.stringify(value));
    }
    await kv.put("json", "dark", { type: "json" });
    same(await kv.get("json"), '"dark"');
    same(await kv.entry("json", "json").then((entry) => entry.value), "dark");
    await kv.put("json", "\ufeff1"); // which the server does not take for JSON
    same((await kv.entry("json")).value.byteLength, 4);
  },

  async "bytes are stored as they are"({ kv }) {
    const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
    const padded = Uint8Array.from([9, ...bytes, 9]);
    for (const value of [
      bytes,
      bytes.buffer,
      new DataView(padded.buffer, 1, 256),
      new Blob([bytes], { type: "text/plain" }),
      new Response(bytes).body,
    ]) {
      await kv.put("bytes", value);
      same(await kv.get("bytes", "arrayBuffer"), bytes.buffer);
      same((await kv.entry("bytes")).value, bytes.buffer);
    }
    same(await new Response(await kv.get("bytes", "stream")).arrayBuffer(), bytes.buffer);
    const error = await thrown(() => kv.get("bytes", "json"));
    same([error.name, error.status], ["KVError", 406]);
  },

  async "a store of the type json reads and writes JSON"({ kv, url, options, KV }) {
    const store = new KV(url, { ...options, type: "json" });
    await store.put("typed", "dark");
    same(await store.get("typed"), "dark");
    same(await kv.get("typed"), '"dark"');
    same((await store.getWithMetadata("typed")).value, "dark");
    same((await store.get(["typed"])).get("typed"), "dark");
  },

  async "every key names its own value"({ kv, vectors }) {
    const dots = ["..", ".", "a/..", ".a", "a/.b", "%2e%2e"];
    const slashes = ["a//b", "/", "a/b", "a/b/"];
    const keys = [...new Set([...dots, ...slashes, ...vectors])];
    const values = keys.map((_, index) => `${index}`);
    await Promise.all(keys.map((key, index) => kv.put(key, values[index])));
    same(await Promise.all(keys.map((key) => kv.get(key))), values);
    same(
      [...(await kv.get(keys))],
      keys.map((key, index) => [key, values[index]]),
    );
    await Promise.all(keys.map((key) => kv.delete(key)));
    same(
      await Promise.all(keys.map((key) => kv.get(key))),
      keys.map(() => null),
    );
  },

  async "a key or a value that cannot be sent is refused before it is"({ kv }) {
    for (const key of ["", "\ud800", "a/\udc00b", undefined, null, 5, {}]) {
      const error = await thrown(() => kv.put(key, "x"));
      same([error.name, /The key/.test(error.message)], ["TypeError", true]);
    }
    for (const value of ["\ud800", undefined, () => {}, NaN, Infinity]) {
      const error = await thrown(() => kv.put("refused", value));
      same([error.name, /The value/.test(error.message)], ["TypeError", true]);
    }
    for (const type of ["jsonn", "toString"]) {
      const error = await thrown(() => kv.get("refused", type));
      same([error.name, /expected text, json/.test(error.message)], ["TypeError", true]);
    }
    same(await kv.get("refused"), null);
  },

  async "metadata and lifetimes come back"({ kv }) {
    const expiration = Math.floor(Date.now() / 1000) + 3600;
    const metadata = { note: "é ☕ \u007f", nested: { n: [1] } };
    await kv.put("dressed", "x", { metadata, expiration });
    const got = await kv.getWithMetadata("dressed");
    same([got.value, got.metadata, got.expiration], ["x", metadata, expiration]);
    same((await kv.getWithMetadata(["dressed", "none"])).get("dressed").metadata, metadata);
    const { keys } = await kv.list({ prefix: "dressed" });
    same([keys[0].name, keys[0].metadata, keys[0].expiration], ["dressed", metadata, expiration]);
    await kv.put("dressed", "x", { expirationTtl: 60 });
    const { expiration: until, metadata: none } = await kv.entry("dressed");
    same([Math.abs(until - Date.now() / 1000 - 60) < 30, none], [true, undefined]);
  },

  async "there is nothing where there is no value"({ kv }) {
    same(await kv.get("none"), null);
    same(await kv.get("none", "json"), null);
    same(await kv.getWithMetadata("none"), { value: null, metadata: null });
    same(await kv.entry("none"), null);
    same(await kv.take("none"), null);
    await kv.delete("none");
  },

  async "several keys come with one request, in the text that was stored"({ kv, requests }) {
    const stored = {
      "many/1": ' {"value": [1, "}", {"value": 2}], "x":"\\\\\\""} ',
      "many/2": "dark",
      "many/3": "12345678901234567890",
    };
    for (const [key, text] of Object.entries(stored)) await kv.put(key, text);
    const before = requests.length;
    const keys = [...Object.keys(stored), "many/4", "many/1"];
    same([...(await kv.get(keys))], [...Object.entries(stored), ["many/4", null]]);
    same(requests.length, before + 1);
    same((await kv.get(["many/1"], "json")).get("many/1"), JSON.parse(stored["many/1"]));
    same(
      (await kv.get(["many/3", "many/2"], "arrayBuffer")).get("many/2"),
      new TextEncoder().encode("dark").buffer,
    );
    same((await thrown(() => kv.get(["many/2"], "json"))).status, 406);
    same((await thrown(() => kv.get(["many/2"], "stream"))).name, "TypeError");
    same((await kv.get([])).size, 0);
  },

  async "a write can depend on a version"({ kv }) {
    await kv.delete("guarded");
    const version = await kv.put("guarded", "1", { ifVersion: null });
    same((await thrown(() => kv.put("guarded", "2", { ifVersion: null }))).status, 412);
    const next = await kv.put("guarded", "2", { ifVersion: version });
    same((await thrown(() => kv.put("guarded", "3", { ifVersion: version }))).status, 412);
    same((await thrown(() => kv.delete("guarded", { ifVersion: version }))).status, 412);
    await kv.put("guarded", "3", { ifVersion: "*" });
    same((await kv.entry("guarded", "text")).value, "3");
    same(next === version, false);
    await kv.delete("guarded", { ifVersion: "*" });
    same((await thrown(() => kv.put("guarded", "4", { ifVersion: "*" }))).status, 412);
  },

  async "updates of several clients at once all count"({ kv }) {
    await kv.delete("cart");
    await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        kv.update("cart", (cart) => ({ ...cart, [index]: 1 })),
      ),
    );
    same(Object.keys(await kv.get("cart", "json")).length, 8);
    same(await kv.update("cart", () => undefined), await kv.get("cart", "json"));
    same(await kv.update("cart", async (cart, entry) => [typeof cart, entry.key]), [
      "object",
      "cart",
    ]);
  },

  async "an update keeps lifetime and metadata"({ kv }) {
    const expiration = Math.floor(Date.now() / 1000) + 3600;
    await kv.put("kept", 1, { metadata: { a: "é" }, expiration });
    same(await kv.update("kept", (n) => n + 1), 2);
    let entry = await kv.entry("kept");
    same([entry.value, entry.metadata, entry.expiration], [2, { a: "é" }, expiration]);
    await kv.update("kept", (n) => n + 1, { metadata: null, expiration: null });
    entry = await kv.entry("kept");
    same([entry.value, entry.metadata, entry.expiration], [3, undefined, undefined]);
    await kv.put("kept", "dark");
    same(await kv.update("kept", (text) => `${text}!`, { type: "text" }), "dark!");
    same(await kv.get("kept"), "dark!");
  },

  async "the acts of the native API work"({ kv }) {
    await kv.delete("hits");
    same(await kv.increment("hits"), 1);
    same(await kv.increment("hits", 4, { initial: 100, max: 5 }), 5);
    same((await thrown(() => kv.increment("hits", 1, { max: 5 }))).status, 409);
    const idempotencyKey = `${Math.random()}`;
    same(await kv.increment("hits", 1, { idempotencyKey }), 6);
    same(await kv.increment("hits", 1, { idempotencyKey }), 6);
    same(await kv.increment("hits", 1, { idempotencyKey: true }), 7);
    await kv.put("doc", { a: 1, b: [1] });
    same(await kv.patch("doc", { a: null, c: 2 }), { b: [1], c: 2 });
    same(await kv.patch("doc", [{ op: "add", path: "/b/-", value: "é" }]), { b: [1, "é"], c: 2 });
    const { version } = await kv.entry("doc");
    await kv.touch("doc", { expirationTtl: 60 });
    const touched = await kv.entry("doc");
    same([touched.version, touched.expiration > 0], [version, true]);
    await kv.touch("doc", { expiration: null, metadata: { a: 1 } });
    const last = await kv.entry("doc");
    same([last.expiration, last.metadata], [undefined, { a: 1 }]);
    const taken = await kv.take("doc");
    same(
      [taken.value, taken.metadata, taken.version],
      [{ b: [1, "é"], c: 2 }, { a: 1 }, last.version],
    );
    same(await kv.take("doc"), null);
    await kv.put("doc", "dark");
    const kept = await thrown(() => kv.take("doc", { type: "json" }));
    same([kept.status, await kv.get("doc")], [406, "dark"]);
    await kv.put("doc", [1.5], { metadata: { n: 1 } });
    const json = await kv.take("doc", { type: "json" });
    same([json.value, json.metadata, await kv.get("doc")], [[1.5], { n: 1 }, null]);
    same((await thrown(() => kv.touch("doc", { expirationTtl: 60 }))).status, 404);
  },

  async "a batch runs all operations in one request"({ kv }) {
    const bytes = Uint8Array.from([255, 0, 1]);
    const results = await kv.batch([
      { op: "set", key: "batch/a", value: { n: 1 }, metadata: { m: 1 }, expirationTtl: 60 },
      { op: "set", key: "batch/b", value: bytes },
      { op: "get", key: "batch/b" },
      { op: "patch", key: "batch/a", merge: { n: 2 } },
      { op: "patch", key: "batch/a", jsonPatch: [{ op: "add", path: "/o", value: 1 }] },
      { op: "increment", key: "batch/n", by: 2, initial: 1 },
      { op: "set", key: "batch/a", value: 0, ifVersion: null },
      { op: "take", key: "batch/b" },
    ]);
    same(
      results.map((one) => one.value),
      [undefined, undefined, bytes.buffer, { n: 2 }, { n: 2, o: 1 }, 3, undefined, bytes.buffer],
    );
    same([results[6].error.name, results[6].error.status], ["KVError", 412]);
    same([results[4].metadata, results[4].expiration > 0], [{ m: 1 }, true]);
    const error = await thrown(() =>
      kv.batch(
        [
          { op: "set", key: "batch/c", value: 1 },
          { op: "delete", key: "batch/a", ifVersion: "no" },
        ],
        { atomic: true },
      ),
    );
    same([error.status, error.errors.length, await kv.get("batch/c")], [409, 1, null]);
    await kv.batch([{ op: "set", key: "batch/blob", value: new Blob([bytes]) }]);
    same(await kv.get("batch/blob", "arrayBuffer"), bytes.buffer);
    const nan = await thrown(() => kv.batch([{ op: "set", key: "batch/nan", value: NaN }]));
    same(nan.name, "TypeError");
    await kv.deletePrefix("batch/");
  },

  async "listings have pages, folders and values"({ kv }) {
    const names = Array.from({ length: 5 }, (_, index) => `list/${index}/x`);
    for (const name of names) await kv.put(name, { name });
    const first = await kv.list({ prefix: "list/", limit: 2 });
    same(
      [first.keys.map(({ name }) => name), first.list_complete, typeof first.cursor],
      [names.slice(0, 2), false, "string"],
    );
    const second = await kv.list({ prefix: "list/", limit: 3, cursor: first.cursor });
    same(
      [second.keys.map(({ name }) => name), second.list_complete, "cursor" in second],
      [names.slice(2), true, false],
    );
    const all = [];
    for await (const { name, value } of kv.keys({ prefix: "list/", limit: 2, values: true }))
      all.push([name, value.name]);
    same(
      all,
      names.map((name) => [name, name]),
    );
    same((await kv.list({ prefix: "list/", delimiter: "/" })).prefixes.length, 5);
    const last = await kv.list({ prefix: "list/", reverse: true, limit: 1, startAfter: names[3] });
    same(last.keys[0].name, names[2]);
    same(await kv.deletePrefix("list/", { dryRun: true }), 5);
    same(await kv.deletePrefix("list/"), 5);
  },

  async "an error says what the server said"({ kv, url, options, KV }) {
    const error = await thrown(() => kv.list({ limit: 5000 }));
    same([error.name, error.status, error.errors[0].path], ["KVError", 400, ["limit"]]);
    same(/Invalid query: limit: Expected/.test(error.message), true);
    const wrong = await thrown(() => new KV(url, { ...options, token: "wrong" }).get("a"));
    same(wrong.status, 401);
    const missing = await thrown(() => kv.namespace("no such é").get("a"));
    same([missing.status, /no such é/.test(missing.message)], [404, true]);
    const path = await thrown(() => new KV(`${url}/else`, options).get("a"));
    same([path.status, /else/.test(path.message)], [404, true]);
  },

  async "a request ends with its signal"({ kv }) {
    const reason = new Error("no longer needed");
    same(await thrown(() => kv.get("a", { signal: AbortSignal.abort(reason) })), reason);
    const end = new AbortController();
    const got = thrown(() =>
      kv
        .update("a", () => end.abort(reason), { signal: end.signal, attempts: 3 })
        .then(() => kv.get("a", { signal: end.signal })),
    );
    same(await got, reason);
  },

  async "changes come as they happen"({ kv }) {
    await kv.put("watch/old", { n: 1 }, { metadata: { m: 1 } });
    const seen = [];
    let cursor;
    for await (const change of kv.watch("watch/", { initial: true })) {
      cursor = change.cursor ?? cursor;
      if (change.event === "bookmark") continue;
      seen.push([change.event, change.key, change.value]);
      if (change.event === "ready") {
        await kv.put("watch/new", "dark");
        await kv.put("elsewhere", "dark");
        await kv.delete("watch/old");
      }
      if (change.event === "delete") break;
    }
    const dark = new TextEncoder().encode("dark").buffer;
    same(
      seen,
      [
        ["set", "watch/old", { n: 1 }],
        ["ready"],
        ["set", "watch/new", dark],
        ["delete", "watch/old", undefined],
      ].map(filled),
    );
    await kv.put("watch/late", 1);
    for await (const change of kv.watch(["watch/", "other/"], { since: cursor, values: false })) {
      if (change.event === "bookmark") continue;
      same([change.event, change.key, change.value], ["set", "watch/late", undefined]);
      break;
    }
  },

  async "a watch ends with its signal, without an error"({ kv }) {
    const end = new AbortController();
    for await (const { event } of kv.watch("quiet/", { signal: end.signal }))
      if (event === "ready") end.abort();
    for await (const change of kv.watch("quiet/", { signal: end.signal }))
      throw new Error(change.event);
  },

  async "a copy follows the changes"({ applyChange }) {
    const copy = new Map();
    for (const key of ["a/1", "a/2", "b"])
      applyChange(copy, { event: "set", key, value: 1, version: "1" });
    applyChange(copy, { event: "touch", key: "b", value: 2, version: "1" });
    applyChange(copy, { event: "delete_prefix", prefix: "a/" });
    same(
      [...copy].map(([key, { value }]) => [key, value]),
      [["b", 2]],
    );
    applyChange(copy, { event: "ready" });
    applyChange(copy, { event: "expire", key: "b" });
    same(copy.size, 0);
    same(applyChange(new Map([["a", {}]]), { event: "reset" }).size, 0);
  },
};

const filled = ([event, key, value]) => [event, key, value];

/** Run cases, and return the failure of each, or null. */
export async function run(cases, client, url, options, vectors) {
  const requests = [];
  const send = (...request) => {
    requests.push(request);
    return fetch(...request);
  };
  const kv = new client.KV(url, { ...options, fetch: send });
  const failures = {};
  for (const [name, test] of Object.entries(cases)) {
    try {
      await within(60_000, test({ ...client, kv, url, options, vectors, requests }));
      failures[name] = null;
    } catch (error) {
      failures[name] = `${error?.stack ?? error}`;
    }
  }
  return failures;
}

export function same(got, expected) {
  const [one, other] = [got, expected].map((value) => JSON.stringify(shown(value)));
  if (one !== other) throw new Error(`expected ${other}\n     got ${one}`);
}

export async function thrown(act) {
  try {
    await act();
  } catch (error) {
    return error;
  }
  throw new Error("expected an error");
}

function within(milliseconds, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("too late")), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Return a value in the JSON of which different values differ. */
function shown(value) {
  if (value === undefined) return "undefined!";
  if (value instanceof Error) return value.message;
  if (value instanceof ArrayBuffer) return { bytes: [...new Uint8Array(value)] };
  if (Array.isArray(value)) return value.map(shown);
  if (value && typeof value === "object") {
    return Object.fromEntries(
      Object.entries(value)
        .sort()
        .map(([name, one]) => [name, shown(one)]),
    );
  }
  return value;
}
