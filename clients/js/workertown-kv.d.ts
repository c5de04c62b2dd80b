// The types of workertown-kv.js.
// MIT License. Copyright (c) 2026 The workertown-kv team

/** A JSON value. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** The form in which a value is read. `any` is a JSON value or, if the value is not JSON, an `ArrayBuffer`. */
export type ValueType = "text" | "json" | "arrayBuffer" | "stream" | "any";

/** The value that `get` returns for a type. `T` is the type of a JSON value. */
export type ValueOf<K extends ValueType, T = any> = K extends "text"
  ? string
  : K extends "json"
    ? T
    : K extends "arrayBuffer"
      ? ArrayBuffer
      : K extends "stream"
        ? ReadableStream<Uint8Array>
        : T | ArrayBuffer;

/** Bytes that are stored as they are. */
export type Bytes = ArrayBuffer | ArrayBufferView | Blob | ReadableStream;

export interface StoreOptions<D extends ValueType = ValueType> {
  /** An API key or a JSON Web Token, or a function that returns it before each request. If the function fails, so does
   * the request, with a KVError of the status 0, while `watch` goes on trying. If the token of a watch ends, `watch`
   * asks the function once for another. */
  token?: string | (() => string | Promise<string>);
  /** The id or title of a namespace. The default is `default`. */
  namespace?: string;
  /** The type of `get`, `getWithMetadata` and `put` that name none. With `json`, `put` writes texts as JSON too.
   * The default is `text`, as in Workers KV. */
  type?: D;
  /** The most milliseconds that a request may take, with its repetitions. 0 is no limit. The default is 30,000. */
  timeout?: number;
  /** How often a request is repeated after a passing failure, if a repetition does no harm. The default is 2. */
  retries?: number;
  /** More header fields of each request. */
  headers?: Record<string, string>;
  /** Whether credentials may go to another machine over `http://`. */
  insecure?: boolean;
  /** The function that sends requests, such as the `fetch` of a Worker's service binding. */
  fetch?: (url: string, request: RequestInit) => Promise<Response>;
}

export interface RequestOptions {
  /** Ends the request. */
  signal?: AbortSignal;
  /** As in {@link StoreOptions}. */
  timeout?: number;
}

export interface ReadOptions<K extends ValueType = ValueType> extends RequestOptions {
  type?: K;
}

export interface Lifetime {
  /** The end of the lifetime in Unix seconds. */
  expiration?: number | null;
  /** The lifetime in seconds, at least 1. */
  expirationTtl?: number;
}

export interface Condition {
  /** Act only if the value has this version; `null`: only if there is no value; `"*"`: only if there is one.
   * Otherwise the error has the status 412. */
  ifVersion?: string | null;
}

export interface Idempotent {
  /** Makes it safe to repeat the request, so that it is repeated after a passing failure. `true` makes a key. */
  idempotencyKey?: string | true;
}

export interface PutOptions extends RequestOptions, Lifetime, Condition {
  /** A JSON object of at most 1,024 bytes. */
  metadata?: object | null;
  type?: ValueType;
}

/** A value and what belongs to it. */
export interface Entry<V = any> {
  key: string;
  value: V;
  version: string;
  metadata?: any;
  /** The end of the lifetime in Unix seconds. */
  expiration?: number;
}

export interface ListOptions extends RequestOptions {
  prefix?: string;
  /** The largest number of keys on a page: 1 to 1,000. */
  limit?: number;
  cursor?: string;
  /** The listing begins after this key. */
  startAfter?: string;
  reverse?: boolean;
  /** A text such as `/`: `prefixes` has the folders of the keys that have it after the prefix. */
  delimiter?: string;
  /** Whether each key has its value. */
  values?: boolean;
}

export interface ListedKey {
  name: string;
  version: string;
  expiration?: number;
  metadata?: any;
  /** With `values`: a JSON value, or an `ArrayBuffer`. */
  value?: any;
}

export interface Page {
  keys: ListedKey[];
  list_complete: boolean;
  /** Only if `list_complete` is false. */
  cursor?: string;
  /** Only with `delimiter`. */
  prefixes?: string[];
}

export type Operation = Condition &
  (
    | { op: "get" | "delete" | "take"; key: string }
    | ({ op: "set"; key: string; value: unknown; metadata?: object } & Lifetime)
    | { op: "patch"; key: string; merge: unknown }
    | { op: "patch"; key: string; jsonPatch: object[] }
    | ({
        op: "increment";
        key: string;
        by: number;
        initial?: number;
        min?: number;
        max?: number;
      } & Lifetime)
    | ({ op: "touch"; key: string; metadata?: object | null } & Lifetime)
  );

export interface OperationResult {
  key: string;
  /** `null` where a `get` found no value. */
  value?: any;
  version?: string | null;
  expiration?: number;
  metadata?: any;
  /** Why the operation failed. */
  error?: KVError;
}

export interface WatchOptions {
  /** Whether to begin with the entries that exist already. The default is `false`. */
  initial?: boolean;
  /** Whether `set` and `touch` have the value. The default is `true`. */
  values?: boolean;
  /** The `cursor` of an earlier change, to continue after it. */
  since?: string;
  /** Ends the loop, without an error. */
  signal?: AbortSignal;
  /** Called after each failure, before `watch` connects again. With `shared`, only in the tab that has the
   * connection. */
  onDisconnect?: (error: KVError) => void;
  /** Whether the tabs of a browser share one connection, if they watch the same with the same token. A text is a
   * name that replaces the token, such as the name of a user whose token is renewed now and then. */
  shared?: boolean | string;
  /** The milliseconds before the first attempt to connect again. The default is what the server says. */
  retryDelay?: number;
  /** The milliseconds without a sign of life after which to connect again. The default is 45,000. */
  silence?: number;
}

/** What happened to an entry, or in the last four cases to the stream. */
export type Change<V = any> =
  | ({ event: "set" | "touch" } & Omit<Entry<V>, "value"> & {
        /** A JSON value, or an `ArrayBuffer`. Missing if another write has replaced it already, or if it is too
         * large. */
        value?: V;
        /** The size of a value of more than 64 KiB, which the change leaves out. */
        valueBytes?: number;
        cursor?: string;
      })
  | { event: "delete" | "expire"; key: string; version?: string; cursor?: string }
  | { event: "delete_prefix"; prefix: string; cursor?: string }
  /** All older changes, and the entries of `initial`, have come. Comes again after each new connection. */
  | { event: "ready"; cursor?: string }
  /** `cursor` is a newer position. */
  | { event: "bookmark"; cursor?: string }
  /** Changes were missed. Drop what you know; with `initial`, all entries come again. */
  | { event: "reset" };

/** Any failure of a request. */
export class KVError extends Error {
  constructor(
    status: number,
    message: string,
    more?: { errors?: object[]; retryAfter?: number; cause?: unknown },
  );
  /** The HTTP status; 0 if there was no response. */
  readonly status: number;
  /** The details that the server gave. */
  readonly errors: { location: string; path: (string | number)[]; message: string }[];
  /** How many seconds the server asks to wait. */
  readonly retryAfter?: number;
}

/** A store, or one namespace in it. */
export class KV<D extends ValueType = "text"> {
  /** Name a store by the URL of its server. In a page, a path such as `/store` is enough. */
  constructor(url: string | URL, options?: StoreOptions<D>);

  /** Return the same store with another namespace. */
  namespace(name: string): KV<D>;

  /** Return the value of a key, or `null`. */
  get(key: string, options?: RequestOptions): Promise<ValueOf<D> | null>;
  get<K extends ValueType, T = any>(
    key: string,
    type: K | ReadOptions<K>,
  ): Promise<ValueOf<K, T> | null>;
  get<T>(key: string, type: "json" | ReadOptions<"json">): Promise<T | null>;
  /** Return the values of several keys, with one request. */
  get(keys: string[], options?: RequestOptions): Promise<Map<string, ValueOf<D> | null>>;
  get<K extends Exclude<ValueType, "stream">, T = any>(
    keys: string[],
    type: K | ReadOptions<K>,
  ): Promise<Map<string, ValueOf<K, T> | null>>;

  /** Return the value and the metadata of a key; both are `null` if there is no value. */
  getWithMetadata<K extends ValueType = D, M = any>(
    key: string,
    type?: K | ReadOptions<K>,
  ): Promise<{
    value: ValueOf<K> | null;
    metadata: M | null;
    version?: string;
    expiration?: number;
  }>;
  getWithMetadata<K extends ValueType = D, M = any>(
    keys: string[],
    type?: K | ReadOptions<K>,
  ): Promise<
    Map<
      string,
      { value: ValueOf<K> | null; metadata: M | null; version?: string; expiration?: number }
    >
  >;

  /** Write a value and return its version. A text and bytes are stored as they are, anything else as JSON. */
  put(key: string, value: string | Bytes | unknown, options?: PutOptions): Promise<string>;

  /** Delete a value, whether or not there is one. */
  delete(key: string, options?: RequestOptions & Condition): Promise<void>;

  /** Return a page of keys. */
  list(options?: ListOptions): Promise<Page>;

  /** Yield all keys, page by page. */
  keys(options?: ListOptions): AsyncGenerator<ListedKey, void, void>;

  /** Return a value with its version, metadata and expiration, or `null`. The default type is `any`. */
  entry<K extends ValueType = "any", T = any>(
    key: string,
    type?: K | ReadOptions<K>,
  ): Promise<Entry<ValueOf<K, T>> | null>;

  /** Write what `change` makes of the present value, and repeat this until no other client wrote between.
   *
   * `change` gets `undefined` where there is no value. If it returns `undefined`, nothing is written. Lifetime and
   * metadata stay, unless the options have others. */
  update<T = any>(
    key: string,
    change: (
      value: T | undefined,
      entry: Entry<T> | null,
    ) => T | undefined | Promise<T | undefined>,
    options?: Omit<PutOptions, "ifVersion"> & { /** The default is 100. */ attempts?: number },
  ): Promise<T | undefined>;

  /** Add to a number and return the new number. Creates a missing key with `initial`, 0, plus `by`; only then do
   * `expiration` and `expirationTtl` take effect. */
  increment(
    key: string,
    by?: number,
    options?: RequestOptions &
      Lifetime &
      Condition &
      Idempotent & { initial?: number; min?: number; max?: number },
  ): Promise<number>;

  /** Apply a merge patch (an object, RFC 7396) or a JSON Patch (an array, RFC 6902), and return the new value. */
  patch<T = any>(
    key: string,
    patch: object | object[],
    options?: RequestOptions & Condition & Idempotent,
  ): Promise<T>;

  /** Change only the lifetime or the metadata. `expiration: null` removes the lifetime. */
  touch(
    key: string,
    options: RequestOptions & Lifetime & Condition & Idempotent & { metadata?: object | null },
  ): Promise<void>;

  /** Remove a value and return its entry, or `null`. Of many clients, only one gets it. With the type `json`, a value
   * that is not JSON is an error with the status 406, and stays where it is. */
  take<K extends ValueType = "any", T = any>(
    key: string,
    options?: ReadOptions<K> & Condition & Idempotent,
  ): Promise<Entry<ValueOf<K, T>> | null>;

  /** Delete all keys with a prefix, and return how many there were. */
  deletePrefix(
    prefix: string,
    options?: RequestOptions & { /** Whether only to count. */ dryRun?: boolean },
  ): Promise<number>;

  /** Run at most 1,000 operations in one request. Values are JSON values, or bytes. */
  batch(
    operations: Operation[],
    options?: RequestOptions &
      Idempotent & { /** All operations take effect, or none. */ atomic?: boolean },
  ): Promise<OperationResult[]>;

  /** Yield the changes of the keys with a prefix, or one of several prefixes. Connects again by itself, and continues
   * where it was. */
  watch<V = any>(
    prefix?: string | string[],
    options?: WatchOptions,
  ): AsyncGenerator<Change<V>, void, void>;
}

/** Apply a change to a copy of the entries, and return the copy. */
export function applyChange<V = any>(
  entries: Map<string, Change<V> & { event: "set" | "touch" }>,
  change: Change<V>,
): Map<string, Change<V> & { event: "set" | "touch" }>;
