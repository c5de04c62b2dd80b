// Runs pytest inside Pyodide, where all there is of a network is fetch. Arguments: the folder of npm's
// packages, that of Python's, that of the suites, that of the report, and the URL of a database.
import { createRequire } from "node:module";

const [modules, packages, suites, reports, database] = process.argv.slice(2);
const { loadPyodide } = createRequire(`${modules}/`)("pyodide");

const pyodide = await loadPyodide();
for (const [path, folder] of Object.entries({ packages, suites, reports })) {
  pyodide.mountNodeFS(`/${path}`, folder);
}
pyodide.globals.set("DATABASE", database);
await pyodide.runPythonAsync(`
  import os, sys
  os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
  os.environ["KV_DB"] = DATABASE
  sys.path[:0] = ["/packages", "/suites"]
  sys.dont_write_bytecode = True
  import pytest
  pytest.main(["--rootdir=/suites", "-q", "-p", "awaiting", "-p", "no:cacheprovider", "--tb=short",
               "-W", "error", "--junitxml=/reports/upstash.xml", "/suites/upstash.py"])
`);
process.exit(0);
