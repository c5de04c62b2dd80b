// Runs a Worker in Cloudflare's emulator, until its standard input ends. Prints where.

import { Miniflare } from "miniflare";

const [, , scriptPath, compatibilityDate] = process.argv;
const emulator = new Miniflare({
  modules: true,
  scriptPath,
  compatibilityDate,
  kvNamespaces: ["KV"],
  host: "127.0.0.1",
  port: 0,
  cf: false,
});
console.log((await emulator.ready).href);

for await (const _ of process.stdin);
await emulator.dispose();
