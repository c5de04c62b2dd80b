// Runs a Worker in Cloudflare's emulator, until its standard input ends. Prints where. The emulator
// serves parts of Cloudflare's REST API, without accounts: requests of any account go there.

import { createServer, request } from "node:http";
import { Miniflare } from "miniflare";

const [, , scriptPath, compatibilityDate] = process.argv;
const emulator = new Miniflare({
  modules: true,
  scriptPath,
  compatibilityDate,
  kvNamespaces: { KV: "0".repeat(32) },
  unsafeLocalExplorer: true,
  host: "127.0.0.1",
  port: 0,
  cf: false,
});
const { port } = await emulator.ready;
const server = createServer((asked, answer) => {
  const path = asked.url.replace(/^\/client\/v4\/accounts\/[^/]+/, "/cdn-cgi/explorer/api");
  const headers = { ...asked.headers, host: `127.0.0.1:${port}` };
  const sent = request({ host: "127.0.0.1", port, path, method: asked.method, headers }, (found) => {
    answer.writeHead(found.statusCode, found.headers);
    found.pipe(answer);
  });
  asked.pipe(sent);
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));

for await (const _ of process.stdin);
server.closeAllConnections();
server.close();
await emulator.dispose();
