// Runs the cases against a server, and prints what failed.

import { readFile } from "node:fs/promises";
import * as client from "../../../clients/js/workertown-kv.js";
import { cases, run } from "./cases.mjs";
import { nodeCases } from "./node_cases.mjs";

// With `deno run -A` and `bun run` too.
const [url, token, namespace] = process.argv.slice(2);
const vectors = JSON.parse(await readFile(new URL("../../vectors/keys.json", import.meta.url)));
const keys = vectors.map(({ key }) => key);
console.log(
  JSON.stringify(await run({ ...cases, ...nodeCases }, client, url, { token, namespace }, keys)),
);
process.exit();
