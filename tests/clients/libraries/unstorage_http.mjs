// Uses unstorage's driver for the REST API, and prints what came of it.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [, , apiURL, namespaceId, apiToken] = process.argv;
const { resolve } = createRequire(import.meta.url);
const { createStorage } = await import(pathToFileURL(resolve("unstorage")));
const { default: http } = await import(
  pathToFileURL(resolve("unstorage/drivers/cloudflare-kv-http"))
);

const storage = createStorage({ driver: http({ apiURL, accountId: "any", namespaceId, apiToken }) });
await storage.setItem("a:b", { x: 1 }, { ttl: 120 });
await storage.setItem("c", "text");
const found = [await storage.getItem("a:b"), await storage.getItem("c"), await storage.hasItem("d")];
const keys = await storage.getKeys();
await storage.removeItem("c");
const fewer = await storage.getKeys();
await storage.clear();
console.log(JSON.stringify({ found, keys, fewer, left: await storage.getKeys() }));
