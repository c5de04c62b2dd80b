// Programs with the types of the client: right ones, and lines that a type checker has to refuse.

import {
  applyChange,
  KV,
  KVError,
  type Change,
  type Entry,
  type ListedKey,
  type Page,
} from "workertown-kv";

interface Cart {
  n: number;
}

const kv = new KV("https://kv.example.com", {
  token: async () => "s3cret",
  timeout: 5000,
});
const tenant: KV = kv.namespace("tenant-a");
const typed: KV<"json"> = new KV("https://kv.example.com", { type: "json" });
const parsed: { n: number } = (await typed.get("a")) ?? { n: 1 };

const text: string | null = await kv.get("a");
const same: string | null = await kv.get("a", { type: "text", signal: AbortSignal.timeout(1) });
const bytes: ArrayBuffer | null = await kv.get("a", "arrayBuffer");
const stream: ReadableStream<Uint8Array> | null = await kv.get("a", { type: "stream" });
const cart: Cart | null = await kv.get<Cart>("a", "json");
const many: Map<string, string | null> = await kv.get(["a", "b"]);
const carts: Map<string, Cart | null> = await kv.get<"json", Cart>(["a"], "json");
const { value, metadata } = await kv.getWithMetadata<"json", { by: string }>("a", "json");
const by: string | undefined = metadata?.by;

const version: string = await kv.put("a", "dark", {
  expirationTtl: 60,
  metadata: { by: "me" },
  ifVersion: null,
});
await kv.put("a", { n: 1 }, { expiration: 1, ifVersion: version });
await kv.put("a", new Uint8Array(1));
await kv.delete("a", { ifVersion: version });

const page: Page = await kv.list({ prefix: "a", limit: 1, delimiter: "/" });
const first: ListedKey | undefined = page.keys[0];
for await (const { name, expiration } of tenant.keys({ prefix: "a" }))
  console.log(name.length, expiration?.toFixed());

const entry: Entry<Cart | ArrayBuffer> | null = await kv.entry<"any", Cart>("a");
const updated: Cart | undefined = await kv.update<Cart>("a", (old) => ({ n: (old?.n ?? 0) + 1 }), {
  attempts: 3,
});
const count: number = await kv.increment("a", 1, { initial: 0, idempotencyKey: true });
const patched: Cart = await kv.patch<Cart>("a", { n: 2 });
await kv.patch("a", [{ op: "test", path: "/n", value: 2 }]);
await kv.touch("a", { expiration: null });
const taken = await kv.take<"json", Cart>("a", { type: "json" });
const n: number | undefined = taken?.value.n;
const deleted: number = await kv.deletePrefix("a/", { dryRun: true });
const results = await kv.batch([{ op: "set", key: "a", value: 1, expirationTtl: 60 }], {
  atomic: true,
});
const failed: KVError | undefined = results[0]?.error;

const copy = new Map<string, Change<Cart> & { event: "set" | "touch" }>();
for await (const change of kv.watch<Cart>(["a/", "b/"], { initial: true, shared: true })) {
  applyChange(copy, change);
  if (change.event === "set") console.log(change.key, change.value?.n);
  if (change.event === "delete") console.log(change.key);
}
try {
  await kv.get("a");
} catch (error) {
  if (error instanceof KVError && error.status === 412) console.log(error.errors[0]?.message);
}

// @ts-expect-error: there is no such type
await kv.get("a", "jsonn");
// @ts-expect-error: a key is a text
await kv.get(5);
// @ts-expect-error: without a type, a value is a text
const number: number | null = await kv.get("a");
// @ts-expect-error: there is no such option
await kv.put("a", "b", { ttl: 60 });
// @ts-expect-error: an operation has a name that is known
await kv.batch([{ op: "gett", key: "a" }]);
// @ts-expect-error: there is no stream of several keys
await kv.get(["a"], "stream");
// @ts-expect-error: an event of the stream has no key
for await (const change of kv.watch()) if (change.event === "ready") console.log(change.key);
// @ts-expect-error: the time limit is a number
new KV("https://kv.example.com", { timeout: "5s" });

console.log(
  parsed,
  number,
  text,
  same,
  bytes,
  stream,
  cart,
  many,
  carts,
  value,
  by,
  first,
  entry,
  updated,
  count,
  patched,
  n,
  deleted,
  failed,
);
