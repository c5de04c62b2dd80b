// Runs a Worker in Cloudflare's emulator, until it is told to end. Prints where.

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

async function end() {
  await emulator.dispose();
  process.exit();
}
process.on("SIGTERM", end);
process.stdin.on("end", end).resume();
