// The credentials of this tab, and requests with them.

import { Permissions } from "./scopes.js";
import { valuesOf } from "./json.js";

const BYTES = "application/octet-stream";
const JSON_TYPE = "application/json";
const STORED = "workertown-kv console";

/** The most bytes of values that a page of keys reads for its previews. */
const PREVIEW_BYTES = 1024 * 1024;

export class RequestError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Session extends EventTarget {
  #authorization = null;

  constructor(paths) {
    super();
    const at = (path) => path && new URL(path, document.baseURI).href;
    this.paths = Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, at(path)]));
    this.permissions = null;
    this.user = null;
  }

  // Who

  get isLoggedIn() {
    return this.user !== null;
  }

  /** Log in; `keeps` keeps the credentials in this tab over reloads. */
  async logIn(authorization, keeps) {
    this.#authorization = authorization;
    try {
      this.user = (await this.json("GET", this.paths.whoami)).data;
    } catch (error) {
      this.#authorization = null;
      throw error;
    }
    this.permissions = new Permissions(this.user);
    if (keeps) sessionStorage.setItem(STORED, authorization);
  }

  /** Log in with the credentials that this tab has kept, if it has. */
  async resume() {
    const kept = sessionStorage.getItem(STORED);
    if (kept) await this.logIn(kept, true).catch((error) => this.#forget(error));
  }

  logOut(why = "") {
    this.#authorization = this.user = this.permissions = null;
    sessionStorage.removeItem(STORED);
    this.dispatchEvent(new CustomEvent("ended", { detail: why }));
  }

  /** End the session, if there is one, since the server no longer accepts the credentials. */
  end() {
    if (this.isLoggedIn) this.logOut("Your credentials are no longer valid. Log in again.");
  }

  #forget(error) {
    if (error.status === 401) sessionStorage.removeItem(STORED);
    else throw error;
  }

  // Requests

  /** Send a request with the credentials of this tab, and say whether the server is there. */
  async send(url, { headers, ...init }) {
    const wasLoggedIn = this.isLoggedIn;
    const used = this.#authorization;
    let response;
    try {
      // The browser neither asks for a password itself, nor keeps values.
      const without = { credentials: "omit", cache: "no-store", redirect: "manual" };
      const authorization = used && { Authorization: used };
      response = await fetch(url, { ...init, ...without, headers: { ...headers, ...authorization } });
    } catch (error) {
      if (error.name === "AbortError" || init.signal?.aborted) throw error;
      this.#tell(false);
      throw new RequestError(0, "The server does not respond. Nothing is lost; try again.");
    }
    this.#tell(response.status !== 502 && response.status !== 504);
    if (response.status === 401 && wasLoggedIn) {
      if (this.#authorization === used) this.end();
      // The form to log in says it already, also of other requests that were under way.
      throw new DOMException("Logged out", "AbortError");
    }
    return response;
  }

  #tell(isThere) {
    this.dispatchEvent(new CustomEvent("reached", { detail: isThere }));
  }

  async request(method, url, { namespace, query = {}, headers, body, signal } = {}) {
    const target = new URL(url);
    for (const [name, value] of Object.entries({ namespace, ...query })) {
      if (value != null && value !== false) target.searchParams.set(name, value);
    }
    const response = await this.send(target, { method, headers, body, signal });
    if (response.ok) return response;
    throw new RequestError(response.status, messageOf(await response.text(), response.status));
  }

  async json(method, url, { body, headers, ...options } = {}) {
    const type = body === undefined ? {} : { "Content-Type": JSON_TYPE };
    const text = body === undefined ? undefined : JSON.stringify(body);
    const response = await this.request(method, url, {
      ...options,
      headers: { ...type, ...headers },
      body: text,
    });
    return response.json();
  }

  // Entries

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
      metadata: metadata ? JSON.parse(metadata) : null,
    };
  }

  /** Write a value if the key has this version; `null`: if it has no value. Return the new version. */
  async put(namespace, key, value, { version, ttl, expiresAt, metadata, isBytes = false }) {
    const response = await this.request("PUT", this.paths.kv, {
      namespace,
      query: { key, ttl, expires_at: expiresAt, bytes: isBytes },
      headers: {
        "Content-Type": BYTES,
        Prefer: "return=minimal",
        ...condition(version),
        ...(metadata && { "X-KV-Metadata": ascii(JSON.stringify(metadata)) }),
      },
      body: value,
    });
    return versionOf(response);
  }

  async patch(namespace, key, version, change) {
    const options = { namespace, query: { key }, headers: condition(version), body: change };
    return (await this.json("PATCH", this.paths.kv, options)).data;
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
    request.setRequestHeader("Authorization", this.#authorization);
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
  async *watch(namespace, prefix, { signal, onDisconnect }) {
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
    yield* client.watch(prefix, { values: false, signal, onDisconnect });
  }
}

/** Return the message of an error, with its details. */
function messageOf(text, status) {
  let told = {};
  try {
    told = JSON.parse(text);
  } catch {
    // The page of a proxy.
  }
  const details = (told.errors ?? []).map(({ message }) => message).filter((one) => one !== told.error);
  return [told.error ?? `The server responded with ${status}`, ...details].join(": ");
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
