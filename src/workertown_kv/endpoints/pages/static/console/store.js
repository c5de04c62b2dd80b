// The entries of the store, with the credentials of this tab.

import { JSON_TYPE, RequestError, Session, messageOf } from "./session.js";
import { parse, valuesOf } from "./json.js";

const BYTES = "application/octet-stream";

/** The most bytes of values that a page of keys reads for its previews. */
const PREVIEW_BYTES = 1024 * 1024;

export class Store extends Session {
  async list(namespace, query, signal) {
    const { data } = await this.json("GET", this.paths.kv, { namespace, query, signal });
    return data;
  }

  /** Return what is known of keys: their versions, and their values if they are not too large. */
  async previews(namespace, keys, signal) {
    if (!keys.length) return new Map();
    const response = await this.request("POST", this.paths.kv, {
      namespace,
      signal,
      headers: { "Content-Type": JSON_TYPE },
      body: JSON.stringify({
        operations: keys.map((key) => ({ op: "get", key })),
        read_bytes: PREVIEW_BYTES,
      }),
    });
    const text = await response.text();
    const texts = valuesOf(text);
    const results = JSON.parse(text).data;
    return new Map(results.map((result, index) => [result.key, { ...result, text: texts[index] }]));
  }

  /** Return an entry with the bytes of its value, or without them if they are more than `longest`. */
  async entry(namespace, key, { longest = Infinity, signal } = {}) {
    let response;
    try {
      const options = { namespace, query: { key }, headers: { Accept: BYTES }, signal };
      response = await this.request("GET", this.paths.kv, options);
    } catch (error) {
      if (error.status === 404 && error.message === "Not found") return null;
      throw error;
    }
    const { headers } = response;
    const size = Number(headers.get("content-length"));
    const isLarge = size > longest;
    const expires = headers.get("expires");
    const metadata = headers.get("x-kv-metadata");
    if (isLarge) await response.body.cancel();
    return {
      key,
      version: versionOf(response),
      size,
      bytes: isLarge ? null : new Uint8Array(await response.arrayBuffer()),
      expiresAt: expires ? Date.parse(expires) / 1000 : null,
      metadata: metadata ? unescaped(metadata) : null,
    };
  }

  /** Write a value if the key has this version; `null`: if it has no value. Return the new version. */
  async put(namespace, key, value, { version, ttl, expiresAt, metadata, isBytes = false }) {
    const response = await this.request("PUT", this.paths.kv, {
      namespace,
      // With `precise`, metadata may be any JSON, as other programs write it.
      query: { key, ttl, expires_at: expiresAt, bytes: isBytes, precise: true },
      headers: {
        "Content-Type": BYTES,
        Prefer: "return=minimal",
        ...condition(version),
        ...(metadata && { "X-KV-Metadata": ascii(metadata) }),
      },
      body: value,
    });
    return versionOf(response);
  }

  /**
   * Change a part of an entry; return the result and the new version.
   *
   * `metadata` is JSON text, whose numbers stay what they are.
   */
  async patch(namespace, key, version, { metadata, ...change }) {
    const parts = Object.entries(change).map(([name, value]) => `"${name}":${JSON.stringify(value)}`);
    if (metadata !== undefined) parts.push(`"metadata":${metadata}`);
    const headers = { "Content-Type": JSON_TYPE, ...condition(version) };
    const options = { namespace, query: { key }, headers, body: `{${parts.join()}}` };
    const response = await this.request("PATCH", this.paths.kv, options);
    return { data: (await response.json()).data, version: versionOf(response) };
  }

  async delete(namespace, key, version) {
    const options = { namespace, query: { key }, headers: condition(version) };
    await this.request("DELETE", this.paths.kv, options);
  }

  /** Delete keys that still have their versions; return the results. */
  async deleteAll(namespace, entries) {
    const operations = entries.map(({ key, version }) => ({
      op: "delete",
      key,
      if_version: version,
    }));
    return (await this.json("POST", this.paths.kv, { namespace, body: { operations } })).data;
  }

  /** Delete or count the keys with a prefix, or all keys; report how many it were so far. */
  async deletePrefix(namespace, prefix, { onlyCounts = false, report = () => {}, signal } = {}) {
    let found = 0;
    let cursor;
    do {
      const query = { ...(prefix ? { prefix } : { all: true }), dry_run: onlyCounts, cursor };
      const { data } = await this.json("DELETE", this.paths.kv, { namespace, query, signal });
      found += data.deleted;
      cursor = data.cursor;
      report(found);
    } while (cursor);
    return found;
  }

  /** Send a file to an admin endpoint, and report how much of it has been sent, which fetch cannot. */
  async upload(endpoint, file, { query, report, signal }) {
    // The credentials are valid: the browser need not ask for others.
    await this.json("GET", this.paths.whoami, { signal });
    const target = new URL(`${this.paths.admin}/${endpoint}`);
    for (const [name, value] of Object.entries(query)) target.searchParams.set(name, value);
    const coding = { gz: "gzip", zst: "zstd" }[file.name.split(".").at(-1)];
    const request = new XMLHttpRequest();
    request.open("POST", target);
    request.setRequestHeader("Authorization", this.authorization);
    request.setRequestHeader("Content-Type", "application/x-ndjson");
    if (coding) request.setRequestHeader("Content-Encoding", coding);
    request.upload.onprogress = ({ loaded, total }) => report(loaded, total);
    signal.addEventListener("abort", () => request.abort(), { once: true });
    return new Promise((resolve, reject) => {
      request.onerror = () => reject(new RequestError(0, "The server did not respond. Import the file again."));
      request.onabort = () => reject(new DOMException("Left the page", "AbortError"));
      request.onload = () => {
        if (request.status === 200) resolve(JSON.parse(request.responseText));
        else reject(new RequestError(request.status, messageOf(request.responseText, request.status)));
      };
      request.send(file);
    });
  }

  /** Follow the changes of keys, also over restarts of the server. */
  async *watch(namespace, prefix, { since, signal, onDisconnect }) {
    const { KV } = await import("./workertown-kv.js");
    const { origin } = location;
    const { kv, changes } = this.paths;
    // The client knows only the paths of a server with default options.
    const client = new KV(origin, {
      insecure: true,
      namespace: namespace === "default" ? undefined : namespace,
      fetch: (url, init) =>
        this.send(url.replace(`${origin}/v1/changes`, changes).replace(`${origin}/v1/kv`, kv), init),
    });
    yield* client.watch(prefix, { since, values: false, signal, onDisconnect });
  }

  /** Return the position in the changes as of now. */
  async position(namespace, prefix, signal) {
    const query = { prefix: prefix || null };
    return (await this.json("GET", this.paths.changes, { namespace, query, signal })).data.cursor;
  }
}

const versionOf = ({ headers }) => /"(.*)"/.exec(headers.get("etag") ?? "")?.[1];

function condition(version) {
  if (version === null) return { "If-None-Match": "*" };
  return { "If-Match": `"${version}"` };
}

const ascii = (text) =>
  text.replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

/** Return JSON text with readable characters, and with the numbers as they are. */
const unescaped = (text) =>
  parse(text)
    .tokens.map((token) => (token[0] === '"' ? JSON.stringify(JSON.parse(token)) : token))
    .join("");
