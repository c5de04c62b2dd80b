// A client of workertown-kv for browsers, Node, Deno, Bun and Workers. No build step, no packages.
// MIT License. Copyright (c) 2026 The workertown-kv team
// The types and the documentation of each method are in workertown-kv.d.ts.

const VALUES = "/v1/kv";
const CHANGES = "/v1/changes";
const BYTES = "application/octet-stream";
const JSON_TYPE = "application/json";

/** What the server says of a key without a value; another 404 is a wrong URL or namespace. */
const NOT_FOUND = "Not found";

/** Whether a failure may be over in a moment. The status 0 stands for a request without a response. */
const isPassing = (status) => status === 0 || status === 429 || (status >= 500 && status !== 501);
const LONGEST_PAUSE = 30_000;

/** The server sends at least a comment every 15 seconds. */
const LONGEST_SILENCE = 45_000;

/** The largest number of operations in a batch. */
const MOST_OPERATIONS = 1000;

export class KVError extends Error {
  constructor(status, message, { errors = [], retryAfter, cause } = {}) {
    super(message, cause && { cause });
    this.name = "KVError";
    this.status = status;
    this.errors = errors;
    this.retryAfter = retryAfter;
  }
}

export class KV {
  #url;
  #options;

  constructor(url, options = {}) {
    const parsed = new URL(url, globalThis.location?.href);
    if (!/^https?:$/.test(parsed.protocol) || parsed.username || parsed.password || parsed.search) {
      throw new TypeError(
        "Expected a URL such as https://kv.example.com, without credentials and query",
      );
    }
    const isSecret = options.token || new Headers(options.headers).has("Authorization");
    if (isSecret && !options.insecure && parsed.protocol === "http:" && !isLoopback(parsed)) {
      throw new TypeError(
        `The credentials would go to ${parsed.origin} unencrypted; expected https://, or the ` +
          "option insecure: true if nobody else can read that network",
      );
    }
    this.#url = parsed.origin + parsed.pathname.replace(/\/+$/, "");
    this.#options = {
      fetch: (...request) => globalThis.fetch(...request),
      type: "text",
      timeout: 30_000,
      retries: 2,
      ...options,
    };
    readerOf(this.#options.type);
  }

  namespace(name) {
    return new KV(this.#url, { ...this.#options, namespace: name });
  }

  // The methods of Workers KV

  async get(key, options) {
    const given = optionsOf(options);
    const type = given.type ?? this.#options.type;
    if (Array.isArray(key))
      return mapped(await this.#many(key, type, given), (one) => one?.value ?? null);
    return (await this.#one(key, type, given))?.value ?? null;
  }

  async getWithMetadata(key, options) {
    const given = optionsOf(options);
    const type = given.type ?? this.#options.type;
    const shown = (one) => ({ value: null, metadata: null, ...one });
    if (Array.isArray(key)) return mapped(await this.#many(key, type, given), shown);
    return shown(await this.#one(key, type, given));
  }

  async put(key, value, options = {}) {
    const { expiration, expirationTtl, metadata, ifVersion, type = this.#options.type } = options;
    const headers = { "Content-Type": BYTES, Prefer: "return=minimal", ...condition(ifVersion) };
    if (metadata != null) headers["X-KV-Metadata"] = asciiJson(metadata);
    return this.#request("PUT", options, {
      key,
      headers,
      query: { ttl: expirationTtl, expires_at: expiration },
      body: await bodyOf(value, type),
      repeats: ifVersion === undefined,
      async read(response) {
        await textOf(response);
        return versionOf(response);
      },
    });
  }

  async delete(key, options = {}) {
    await this.#request("DELETE", options, {
      key,
      headers: condition(options.ifVersion),
      repeats: options.ifVersion === undefined,
    });
  }

  async list(options = {}) {
    const { prefix, limit, cursor, startAfter, reverse, delimiter, values } = options;
    const page = await this.#request("GET", options, {
      query: { prefix, limit, cursor, start_after: startAfter, reverse, delimiter, values },
      read: dataOf,
    });
    return {
      keys: page.keys.map((item) => {
        const { key, ...entry } = entryOf(item);
        return { name: key, ...entry };
      }),
      ...(page.prefixes && { prefixes: page.prefixes }),
      list_complete: page.complete,
      ...(page.complete ? {} : { cursor: page.cursor }),
    };
  }

  // What the native API adds

  async entry(key, options) {
    const given = optionsOf(options);
    return this.#one(key, given.type ?? "any", given);
  }

  async *keys(options = {}) {
    let page = { cursor: options.cursor };
    do {
      page = await this.list({ ...options, cursor: page.cursor });
      yield* page.keys;
    } while (page.cursor);
  }

  async update(key, change, options = {}) {
    const { type = "any", attempts = 100, ...given } = options;
    for (let attempt = 1; ; attempt++) {
      const entry = await this.#one(key, type, given);
      const value = await change(entry?.value, entry);
      if (value === undefined) return entry?.value;
      const keeps = entry?.expiration && !("expiration" in given || "expirationTtl" in given);
      try {
        await this.put(key, value, {
          metadata: entry?.metadata,
          ...(keeps && { expiration: entry.expiration }),
          ...given,
          type: type === "any" ? "json" : type,
          ifVersion: entry?.version ?? null,
        });
        return value;
      } catch (error) {
        // The lifetime that is kept may have ended since.
        const hasEnded = keeps && error.errors?.some(({ path }) => path?.includes("expires_at"));
        if ((error.status !== 412 && !hasEnded) || attempt >= attempts) throw error;
        await pause(Math.random() * Math.min(10 * attempt, 250), given.signal);
      }
    }
  }

  async increment(key, by = 1, options = {}) {
    const { initial, min, max } = options;
    return this.#patch(
      key,
      JSON_TYPE,
      { increment: by, initial, min, max, ...lifetime(options) },
      options,
    );
  }

  async patch(key, patch, options = {}) {
    const type = Array.isArray(patch)
      ? "application/json-patch+json"
      : "application/merge-patch+json";
    return this.#patch(key, type, patch, options);
  }

  async touch(key, options = {}) {
    const { metadata } = options;
    await this.#patch(key, JSON_TYPE, { ...lifetime(options), metadata }, options);
  }

  async take(key, options = {}) {
    const { type = "any", ifVersion, idempotencyKey } = options;
    // The server keeps a value that is not JSON if only JSON is accepted.
    const accepted = type === "json" ? JSON_TYPE : BYTES;
    return this.#request("DELETE", options, {
      key,
      query: { take: true },
      headers: { Accept: accepted, ...condition(ifVersion), ...idempotency(idempotencyKey) },
      repeats: idempotencyKey !== undefined,
      read: entryReader(key, type, { isEnvelope: type === "json" }),
    }).catch(nothing);
  }

  async deletePrefix(prefix, options = {}) {
    let deleted = 0;
    let page = {};
    do {
      page = await this.#request("DELETE", options, {
        query: { prefix, dry_run: options.dryRun, cursor: page.cursor },
        read: dataOf,
      });
      deleted += page.deleted;
    } while (!page.complete);
    return deleted;
  }

  async batch(operations, options = {}) {
    const { atomic, idempotencyKey } = options;
    const results = await this.#request("POST", options, {
      headers: { "Content-Type": JSON_TYPE, ...idempotency(idempotencyKey) },
      body: JSON.stringify({ operations: await Promise.all(operations.map(wireOperation)), atomic }),
      repeats: idempotencyKey !== undefined,
      read: dataOf,
    });
    return results.map(({ status, error, ...result }) =>
      error === undefined ? entryOf(result) : { ...result, error: new KVError(status, error) },
    );
  }

  async *watch(prefix = "", options = {}) {
    const watched = { initial: false, values: true, ...options, prefixes: [prefix].flat() };
    if (options.shared && globalThis.navigator?.locks && globalThis.BroadcastChannel) {
      yield* this.#share(watched);
    } else {
      yield* this.#follow(watched);
    }
  }

  // Changes

  async *#follow(watched) {
    const { signal } = watched;
    let cursor = watched.since;
    let delay = 1000;
    let failures = 0;
    let isRenewing = false;
    while (!signal?.aborted) {
      try {
        for await (const { event, data, id, retry } of this.#events(watched, cursor)) {
          failures = 0;
          if (retry !== undefined) delay = retry;
          if (event === "revoked") {
            // The function may know a newer token.
            isRenewing = typeof this.#options.token === "function" && !isRenewing;
            if (!isRenewing) throw new KVError(401, "The credentials are no longer valid");
            break;
          }
          if (event) isRenewing = false;
          if (id !== undefined) cursor = id;
          if (event === "reset") cursor = undefined;
          if (event)
            yield { event, ...entryOf(data), ...(id && event !== "reset" && { cursor: id }) };
        }
      } catch (error) {
        if (signal?.aborted) return;
        if (error.status === 400 && cursor !== undefined) {
          // The store behind the URL is another one now, which does not know the cursor.
          cursor = undefined;
          yield { event: "reset" };
          continue;
        }
        if (!isPassing(error.status)) throw error;
        watched.onDisconnect?.(error);
        if (error.retryAfter) delay = error.retryAfter * 1000;
        failures++;
      }
      const longest = Math.min(
        (watched.retryDelay ?? delay) * 2 ** Math.max(failures - 1, 0),
        LONGEST_PAUSE,
      );
      await pause(longest * (0.5 + Math.random() / 2), signal).catch(() => {});
    }
  }

  /** Read the events of one connection. */
  async *#events({ prefixes, initial, values, silence = LONGEST_SILENCE, signal }, cursor) {
    const silent = new AbortController();
    let timer;
    const listen = () => {
      timer = setTimeout(() => {
        silent.abort(new DOMException(`The stream was silent for ${silence} ms`, "TimeoutError"));
      }, silence);
    };
    // The stream is not silent while the events that it has sent are being used.
    const heard = () => clearTimeout(timer);
    const headers = { Accept: "text/event-stream" };
    if (cursor !== undefined) headers["Last-Event-ID"] = cursor;
    let isOpen = false;
    try {
      listen();
      const stream = await this.#request(
        "GET",
        { signal: either(signal, silent.signal), timeout: 0 },
        {
          path: CHANGES,
          query: { prefix: prefixes, initial, values },
          headers,
          repeats: false,
          read: (response) => response.body,
        },
      );
      isOpen = true;
      heard();
      for await (const lines of blocksOf(stream, { listen, heard })) {
        const fields = {};
        for (const line of lines) {
          const [, name, text] = /^([^:]*):? ?(.*)$/s.exec(line);
          fields[name] =
            name === "data" && fields.data !== undefined ? `${fields.data}\n${text}` : text;
        }
        const isEvent = fields.data !== undefined;
        yield {
          id: fields.id,
          event: isEvent ? fields.event : undefined,
          data: isEvent ? JSON.parse(fields.data) : undefined,
          retry: fields.retry && Number(fields.retry),
        };
      }
    } catch (error) {
      const isBroken = isOpen || silent.signal.aborted;
      throw isBroken && !(error instanceof KVError) ? this.#noResponse(error) : error;
    } finally {
      clearTimeout(timer);
      silent.abort();
    }
  }

  /** Follow changes together with other tabs of this origin. The tab with the lock connects, for all. */
  async *#share(watched) {
    const { initial, signal } = watched;
    const name = await this.#sharedName(watched);
    const me = crypto.randomUUID();
    const channel = new BroadcastChannel(name);
    const stop = new AbortController();
    const entries = new Map();
    const queue = [];
    let cursor = watched.since;
    let isLeader = false;
    let isUpToDate = false; // with the leader
    let isReady = false;
    let failure;
    let wake = () => {};
    const take = (change) => {
      if (change.event === "ready") isReady = true;
      if (change.event === "reset") isReady = false;
      if (change.cursor) cursor = change.cursor;
      if (initial) applyChange(entries, change);
      queue.push(change);
      wake();
    };
    channel.onmessage = ({ data }) => {
      if (data.leader && !isUpToDate) channel.postMessage({ hello: me });
      if (data.hello && isLeader) {
        channel.postMessage({ to: data.hello, entries: [...entries.values()], cursor, isReady });
      }
      if (data.to === me && !isUpToDate) {
        isUpToDate = true;
        data.entries.forEach(take);
        if (data.isReady) take({ event: "ready", cursor: data.cursor });
        cursor = data.cursor;
      }
      if (data.change && isUpToDate && !isLeader) take(data.change);
    };
    const lead = async () => {
      isLeader = true;
      channel.postMessage({ leader: me });
      if (cursor === undefined) {
        // There is no position to continue from, so all tabs begin again.
        channel.postMessage({ change: { event: "reset" } });
        if (isUpToDate) take({ event: "reset" });
      }
      isUpToDate = true;
      for await (const change of this.#follow({ ...watched, since: cursor, signal: stop.signal })) {
        channel.postMessage({ change });
        take(change);
      }
    };
    const end = () => {
      stop.abort();
      wake();
    };
    signal?.addEventListener("abort", end);
    if (signal?.aborted) end();
    channel.postMessage({ hello: me });
    navigator.locks.request(name, { signal: stop.signal }, lead).catch((error) => {
      failure = error;
      wake();
    });
    try {
      while (!stop.signal.aborted) {
        while (queue.length) yield queue.shift();
        if (failure && !stop.signal.aborted) throw failure;
        if (!queue.length && !stop.signal.aborted) await new Promise((resolve) => (wake = resolve));
      }
    } finally {
      signal?.removeEventListener("abort", end);
      stop.abort();
      channel.close();
    }
  }

  /** Name what tabs share: tabs with other credentials share another connection. */
  async #sharedName({ shared, prefixes, initial, values, since }) {
    const { namespace, headers } = this.#options;
    const user = typeof shared === "string" ? { shared } : await this.#token();
    const told = [this.#url, namespace, headers, user, prefixes, initial, values, since];
    const digest = await crypto.subtle.digest(
      "SHA-256",
      new TextEncoder().encode(JSON.stringify(told)),
    );
    return `workertown-kv ${btoa(String.fromCharCode(...new Uint8Array(digest)))}`;
  }

  // Requests

  #one(key, type, options) {
    return this.#request("GET", options, {
      key,
      headers: { Accept: BYTES },
      read: entryReader(key, type),
    }).catch(nothing);
  }

  async #many(keys, type, options) {
    if (type === "stream") throw new TypeError("Streams of several keys: get each key by itself");
    const read = readerOf(type);
    const found = new Map(keys.map((key) => [key, null]));
    for (let start = 0; start < keys.length; start += MOST_OPERATIONS) {
      const operations = keys
        .slice(start, start + MOST_OPERATIONS)
        .map((key) => ({ op: "get", key }));
      const text = await this.#request("POST", options, {
        headers: { "Content-Type": JSON_TYPE },
        body: JSON.stringify({ operations }),
        read: textOf,
      });
      const isParsed = type === "json" || type === "any";
      const texts = isParsed ? [] : valueTexts(text);
      for (const [index, result] of dataIn(text).entries()) {
        const { key, status, error, base64, version } = result;
        if (status === 413) found.set(key, await this.#one(key, type, options));
        else if (error !== undefined) throw new KVError(status, error);
        else if (version !== null) {
          const entry = entryOf(result);
          if (base64 !== undefined || !isParsed) {
            entry.value = await read(
              new Response(entry.value instanceof ArrayBuffer ? entry.value : texts[index]),
              key,
            );
          }
          found.set(key, entry);
        }
      }
    }
    return found;
  }

  #patch(key, type, patch, options) {
    const { ifVersion, idempotencyKey } = options;
    return this.#request("PATCH", options, {
      key,
      headers: { "Content-Type": type, ...condition(ifVersion), ...idempotency(idempotencyKey) },
      body: JSON.stringify(patch),
      repeats: idempotencyKey !== undefined,
      read: dataOf,
    });
  }

  /** Send a request, and repeat it after failures that may be over, if it `repeats` without harm. */
  async #request(method, { signal, timeout = this.#options.timeout }, request) {
    const { path = VALUES, query, headers, body, repeats = true, read = textOf } = request;
    const place = "key" in request ? placeOf(request.key) : {};
    const parameters = { ...place.query, ...query, namespace: this.#options.namespace };
    const url = this.#url + path + (place.path ?? "") + queryOf(parameters);
    const end = either(signal, timeout ? AbortSignal.timeout(timeout) : undefined);
    const send = this.#options.fetch;
    for (let attempt = 0; ; attempt++) {
      const token = await this.#token();
      let failure;
      try {
        const response = await send(url, {
          method,
          headers: {
            ...this.#options.headers,
            ...(token && { Authorization: `Bearer ${token}` }),
            ...headers,
          },
          body,
          // The token goes to no other server. Workers have no redirect: "error".
          redirect: "manual",
          signal: end,
        });
        if (response.ok) return await read(response);
        failure = await errorOf(response);
      } catch (cause) {
        if (signal?.aborted || cause instanceof KVError) throw cause;
        failure = this.#noResponse(cause);
      }
      const wait = Math.max(
        (failure.retryAfter ?? 0) * 1000,
        (0.5 + Math.random()) * 100 * 4 ** attempt,
      );
      const isOver = end?.aborted || attempt >= this.#options.retries || wait > LONGEST_PAUSE;
      if (!repeats || isOver || !isPassing(failure.status)) throw failure;
      await pause(wait, end).catch(() => {
        throw signal?.aborted ? signal.reason : failure;
      });
    }
  }

  async #token() {
    const { token } = this.#options;
    let text = token;
    if (typeof token === "function") {
      try {
        text = await token();
      } catch (cause) {
        // A watch asks again, as after a request without a response.
        throw new KVError(0, `There is no token: ${cause?.message ?? cause}`, { cause });
      }
    }
    // The error of fetch would show the token.
    if (text && !/^[\x21-\x7e]+$/.test(text)) {
      throw new TypeError("The token has characters that a header field cannot carry");
    }
    return text;
  }

  #noResponse(cause) {
    const why = [cause?.cause?.message, cause?.cause?.code, cause?.message].find(Boolean) ?? cause;
    return new KVError(0, `No response from ${this.#url}: ${why}`, { cause });
  }
}

export function applyChange(entries, change) {
  const { event, key, prefix } = change;
  if (event === "set" || event === "touch") entries.set(key, change);
  else if (event === "delete" || event === "expire") entries.delete(key);
  else if (event === "reset") entries.clear();
  else if (event === "delete_prefix") {
    for (const one of [...entries.keys()]) if (one.startsWith(prefix)) entries.delete(one);
  }
  return entries;
}

// Requests

const isLoopback = ({ hostname }) =>
  /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);

/** Return where a key stands in a URL. */
function placeOf(key) {
  if (typeof key !== "string" || !key) {
    throw new TypeError(
      `The key is ${JSON.stringify(key) ?? typeof key}; expected a text that is not empty`,
    );
  }
  // Clients and proxies rewrite the paths of other keys, such as "..", "a//b" and "%".
  return /^[\w-][\w.~-]*(\/[\w-][\w.~-]*)*$/.test(key) ? { path: `/${key}` } : { query: { key } };
}

function queryOf(parameters) {
  const pairs = [];
  for (const [name, values] of Object.entries(parameters)) {
    for (const value of [values].flat()) {
      if (value !== undefined && value !== null)
        pairs.push([name, wellFormed(String(value), name)]);
    }
  }
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
}

/** Refuse a text that UTF-8 cannot carry: fetch would replace a part of it. */
function wellFormed(text, name) {
  if (/\p{Surrogate}/u.test(text)) {
    throw new TypeError(
      `The ${name} has half of a surrogate pair; expected a text that UTF-8 can carry`,
    );
  }
  return text;
}

/** Return the value as the body of a request: JSON, text or bytes. */
async function bodyOf(value, type) {
  if (typeof value === "string" && type !== "json") return wellFormed(value, "value");
  const kind = Object.prototype.toString.call(value).slice(8, -1);
  if (kind === "ReadableStream") return new Response(value).arrayBuffer();
  if (kind === "Blob" || kind === "File" || isBytes(value)) return value;
  const text = JSON.stringify(value);
  if (text === undefined || (typeof value === "number" && !Number.isFinite(value))) {
    throw new TypeError(`The value is ${String(value)}; expected a text, bytes, or a JSON value`);
  }
  return text;
}

function isBytes(value) {
  // Those of another page or context are no instances of the ArrayBuffer here.
  return (
    ArrayBuffer.isView(value) || Object.prototype.toString.call(value) === "[object ArrayBuffer]"
  );
}

function condition(version) {
  if (version === undefined) return {};
  if (version === null) return { "If-None-Match": "*" };
  return { "If-Match": version === "*" ? version : `"${version}"` };
}

function idempotency(key) {
  if (key === undefined) return {};
  const random = () =>
    [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16)).join("-");
  return { "Idempotency-Key": key === true ? random() : key };
}

function lifetime({ expirationTtl, expiration }) {
  return { ttl: expirationTtl, expires_at: expiration };
}

/** By the metadata that were read: their text, which may have numbers that JavaScript rounds. */
const metadataTexts = new WeakMap();

/** Return metadata as a header field can carry it. */
function asciiJson(metadata) {
  const text = JSON.stringify(metadata);
  const original = typeof metadata === "object" && metadataTexts.get(metadata);
  if (original && JSON.stringify(JSON.parse(original)) === text) return original;
  return text.replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Return the value of an operation: bytes as Base64, or what JSON.stringify turns into JSON. */
async function wireValue(value) {
  if (value === undefined) return {};
  const body = await bodyOf(value, "json");
  if (typeof body === "string") return { value };
  return { base64: base64Of(await new Response(body).arrayBuffer()) };
}

async function wireOperation(operation) {
  const { value, expirationTtl, expiration, ifVersion, jsonPatch, ...rest } = operation;
  return {
    ...rest,
    ...(await wireValue(value)),
    ...lifetime({ expirationTtl, expiration }),
    if_version: ifVersion,
    json_patch: jsonPatch,
  };
}

const optionsOf = (options = {}) => (typeof options === "string" ? { type: options } : options);

// Responses

const readers = {
  text: (response) => response.text(),
  arrayBuffer: (response) => response.arrayBuffer(),
  stream: (response) => response.body,
  async json(response, key) {
    try {
      return JSON.parse(await response.text());
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause;
      const message = `The value of ${JSON.stringify(key)} is not JSON; read it with the type text or arrayBuffer`;
      throw new KVError(406, message, { cause });
    }
  },
  /** Return a JSON value or, if the value is not JSON, its bytes. */
  async any(response) {
    const bytes = await response.arrayBuffer();
    try {
      return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
    } catch {
      return bytes;
    }
  },
};

function readerOf(type) {
  if (!Object.hasOwn(readers, type)) {
    throw new TypeError(
      `The type is ${JSON.stringify(type)}; expected text, json, arrayBuffer, stream or any`,
    );
  }
  return readers[type];
}

/** Return a function that makes an entry of the response with the bytes of a value, or its envelope. */
function entryReader(key, type, { isEnvelope = false } = {}) {
  const read = isEnvelope ? dataOf : readerOf(type);
  return async (response) => {
    const { headers } = response;
    const expires = headers.get("expires");
    const text = headers.get("x-kv-metadata");
    const metadata = text && JSON.parse(text);
    if (metadata && typeof metadata === "object") metadataTexts.set(metadata, text);
    return {
      key,
      value: await read(response, key),
      version: versionOf(response),
      ...(text !== null && { metadata }),
      ...(expires && { expiration: Date.parse(expires) / 1000 }),
    };
  };
}

// A proxy that compresses makes W/"version" of "version".
const versionOf = ({ headers }) => /"(.*)"/.exec(headers.get("etag"))?.[1];

const textOf = async (response) => response.text();

const dataOf = async (response) => dataIn(await response.text());

function dataIn(text) {
  try {
    return JSON.parse(text).data;
  } catch (cause) {
    throw new KVError(200, `This is not workertown-kv: ${text.slice(0, 100)}`, { cause });
  }
}

/** Return an entry or a change in the words of Workers KV. */
function entryOf({ expires_at: expiration, base64, value_bytes: valueBytes, ...rest } = {}) {
  if (expiration !== undefined) rest.expiration = expiration;
  if (base64 !== undefined) rest.value = bytesOf(base64).buffer;
  if (valueBytes !== undefined) rest.valueBytes = valueBytes;
  return rest;
}

async function errorOf(response) {
  const { status, headers } = response;
  if (response.type === "opaqueredirect" || (status >= 300 && status < 400)) {
    await response.body?.cancel();
    const target = headers.get("location") ?? "another URL";
    return new KVError(
      // A browser does not show the status of a redirect.
      status || 302,
      `The server redirects to ${target}; expected the URL of the store itself`,
    );
  }
  const retryAfter = Number(headers.get("retry-after")) || undefined;
  const text = await response.text();
  let told;
  try {
    told = JSON.parse(text);
  } catch {
    told = undefined;
  }
  if (typeof told?.error !== "string") {
    return new KVError(status, `The server responded with ${status}: ${text.slice(0, 100)}`, {
      retryAfter,
    });
  }
  const errors = told.errors ?? [];
  const details = errors.filter(({ message }) => message !== told.error);
  const lines = details.map(({ path, message }) =>
    [path?.join("."), message].filter(Boolean).join(": "),
  );
  const message = lines.length ? `${told.error}: ${lines.join("; ")}` : told.error;
  return new KVError(status, message, { errors, retryAfter });
}

/** Return null for a key without a value. Another 404 is a wrong URL or namespace. */
function nothing(error) {
  if (error.status === 404 && error.message === NOT_FOUND) return null;
  throw error;
}

const mapped = (map, change) => new Map([...map].map(([key, one]) => [key, change(one)]));

/** Return the texts of the values in the results of a batch, which JSON.parse does not keep. */
function valueTexts(text) {
  const texts = [];
  let depth = 0;
  let item = -1;
  let string = "";
  let start = -1;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '"') {
      const first = i;
      while (text[++i] !== '"') if (text[i] === "\\") i++;
      if (depth === 3) string = text.slice(first, i + 1);
    } else if (char === "{" || char === "[") {
      if (++depth === 3) item++;
    } else if (depth === 3 && char === ":") {
      if (string === '"value"') start = i + 1;
    } else if (depth === 3 && (char === "," || char === "}")) {
      if (start >= 0) texts[item] = text.slice(start, i);
      start = -1;
      if (char === "}") depth--;
    } else if (char === "}" || char === "]") {
      depth--;
    }
  }
  return texts;
}

/** Yield the lines of each event of a stream. */
async function* blocksOf(stream, { listen, heard }) {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let block = [];
  for (;;) {
    listen();
    const { done, value } = await reader.read();
    heard();
    if (done) return;
    const lines = (text + decoder.decode(value, { stream: true })).split("\n");
    text = lines.pop();
    for (const line of lines) {
      if (line) block.push(line);
      else {
        yield block;
        block = [];
      }
    }
  }
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
}

function base64Of(buffer) {
  let text = "";
  for (const byte of new Uint8Array(buffer)) text += String.fromCharCode(byte);
  return btoa(text);
}

// Time

function either(...signals) {
  const given = signals.filter(Boolean);
  return given.length > 1 ? AbortSignal.any(given) : given[0];
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", end);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", end, { once: true });
    if (signal?.aborted) end();
  });
}
