// Uses libraries that keep things in Workers KV, and tells what came of it.

import { WorkersKVStore } from "@hono-rate-limiter/cloudflare";
import { createWorkersKVSessionStorage } from "@react-router/cloudflare";
import { Hono } from "hono";
import { rateLimiter } from "hono-rate-limiter";
import { createStorage } from "unstorage";
import binding from "unstorage/drivers/cloudflare-kv-binding";

export default {
  async fetch(_, { KV }) {
    return Response.json({
      unstorage: await unstorage(KV),
      sessions: await sessions(KV),
      limited: await limited(KV),
    });
  },
};

async function unstorage(KV) {
  const storage = createStorage({ driver: binding({ binding: KV, base: "unstorage" }) });
  await storage.setItem("a:b", { x: 1 }, { ttl: 120 });
  await storage.setItem("c", "text");
  const found = [await storage.getItem("a:b"), await storage.getItem("c"), await storage.hasItem("d")];
  const keys = await storage.getKeys();
  await storage.clear();
  return { found, keys, left: await storage.getKeys() };
}

async function sessions(KV) {
  const cookie = { name: "session", secrets: ["secret"] };
  const storage = createWorkersKVSessionStorage({ kv: KV, cookie });
  const session = await storage.getSession();
  session.set("user", "ada");
  const expires = new Date(Date.now() + 3_600_000);
  const sent = (await storage.commitSession(session, { expires })).split(";")[0];
  const again = await storage.getSession(sent);
  const user = again.get("user");
  await storage.destroySession(again);
  const gone = (await storage.getSession(sent)).get("user") ?? null;
  return { user, gone };
}

async function limited(KV) {
  const app = new Hono();
  // Its default window is a minute, to the second the least that a value may live.
  const store = new WorkersKVStore({ namespace: KV });
  app.use(rateLimiter({ store, limit: 1, keyGenerator: (call) => call.req.query("client") }));
  app.get("/", (call) => call.text("let in"));
  const statuses = [];
  for (let client = 0; client < 20; client++) {
    statuses.push((await app.request(`/?client=${client}`)).status);
  }
  return statuses;
}
