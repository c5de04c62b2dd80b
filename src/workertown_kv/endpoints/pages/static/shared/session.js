// The credentials of this tab, and requests with them.

import { Permissions } from "./scopes.js";

export const JSON_TYPE = "application/json";
const STORED = "workertown-kv console";

export class RequestError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Session extends EventTarget {
  authorization = null;

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

  /**
   * Log in; `keeps` keeps the credentials in this tab over reloads.
   *
   * A server that does not say what the credentials permit refuses wrong ones later.
   */
  async logIn(authorization, keeps) {
    this.authorization = authorization;
    const { whoami } = this.paths;
    try {
      this.user = whoami ? (await this.json("GET", whoami)).data : { id: null, scopes: null };
    } catch (error) {
      this.authorization = null;
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
    this.authorization = this.user = this.permissions = null;
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
  async fetch(url, { headers, ...init }) {
    let response;
    try {
      // The browser neither asks for a password itself, nor keeps values.
      const without = { credentials: "omit", cache: "no-store", redirect: "manual" };
      const authorization = this.authorization && { Authorization: this.authorization };
      response = await fetch(url, { ...init, ...without, headers: { ...headers, ...authorization } });
    } catch (error) {
      if (error.name === "AbortError" || init.signal?.aborted) throw error;
      this.#tell(false);
      const isRead = ["GET", "HEAD"].includes(init.method ?? "GET");
      const advice = isRead ? "try again." : "it may have done this or not. Look before you repeat it.";
      throw new RequestError(0, `The server does not respond; ${advice}`);
    }
    this.#tell(response.status !== 502 && response.status !== 504);
    return response;
  }

  /** Send a request in the same way, and end the session if the server refuses the credentials. */
  async send(url, init) {
    const wasLoggedIn = this.isLoggedIn;
    const used = this.authorization;
    const response = await this.fetch(url, init);
    if (response.status === 401 && wasLoggedIn) {
      if (this.authorization === used) this.end();
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
    if (response.type === "opaqueredirect") {
      throw new RequestError(302, "The server redirects to another page, perhaps to log in there. Load this page again.");
    }
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
}

/** Return the message of an error, with its details. */
export function messageOf(text, status) {
  let told = {};
  try {
    told = JSON.parse(text);
  } catch {
    // The page of a proxy.
  }
  const details = (told.errors ?? []).map(({ message }) => message).filter((one) => one !== told.error);
  return [told.error ?? `The server responded with ${status}`, ...details].join(": ");
}
