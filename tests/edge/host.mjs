// Runs pytest inside Pyodide, which is Python as Cloudflare runs it, with a KV namespace and a D1
// database of miniflare as the bindings. Arguments: the folder of npm's packages, that of Python's,
// that of the suites, that of the example, and that of the report; what becomes of a null of
// JavaScript, `null` or `none`, as the embedder has it; and which tests.
import { createRequire } from "node:module";

const [modules, packages, suites, example, reports, nulls, some] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { loadPyodide } = require("pyodide");
const { Miniflare } = require("miniflare");

// By way of `D1` itself each prepare() and bind() is a request that this process waits for.
const relay = `
  import { WorkerEntrypoint } from "cloudflare:workers";
  export default {};
  export class Relay extends WorkerEntrypoint {
    run(statements) {
      const { D1 } = this.env;
      return D1.batch(statements.map(([text, values]) => D1.prepare(text).bind(...values)));
    }
  }`;
const miniflare = new Miniflare({
  workers: [
    {
      name: "relay",
      modules: true,
      script: relay,
      compatibilityDate: "2026-04-01",
      kvNamespaces: ["KV"],
      d1Databases: ["D1"],
      serviceBindings: { RELAY: { name: "relay", entrypoint: "Relay" } },
    },
  ],
});
const { KV, D1, RELAY } = await miniflare.getBindings();
const RELAYED_D1 = {
  prepare: (text) => ({ bind: (...values) => [text, values] }),
  batch: async (statements) => await RELAY.run(statements),
};

const pyodide = await loadPyodide({ convertNullToNone: nulls === "none" });
pyodide.registerJsModule("miniflare", { KV, D1, RELAYED_D1 });
for (const [path, folder] of Object.entries({ packages, suites, example, reports })) {
  pyodide.mountNodeFS(`/${path}`, folder);
}
pyodide.globals.set("SOME", some);
await pyodide.runPythonAsync(`
  import os, sys
  os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
  sys.path[:0] = ["/packages", "/suites"]
  sys.dont_write_bytecode = True
  import importing
  import pytest
  pytest.main(["--rootdir=/suites", "-q", "-p", "awaiting", "-p", "no:cacheprovider", "--tb=short",
               "-W", "error", "--junitxml=/reports/report.xml", "-k", SOME,
               "/suites/worker.py", "/suites/promises.py"])
`);
await miniflare.dispose();
process.exit(0);
