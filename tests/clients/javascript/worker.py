"""Run the cases of the JavaScript client in `workerd`."""

import json
import shutil
import subprocess
from pathlib import Path

from servers.workerd import COMPATIBILITY_DATE, Worker, workerd_program

from .cases import NEEDED


class ClientInWorkerd(Worker):
    """Runs the cases in `workerd` whenever it gets a request."""

    def __init__(self, modules: Path, url: str, options: object) -> None:
        super().__init__()
        self._program = workerd_program(modules)
        folder = Path(self.folder.name)
        for file in NEEDED:
            shutil.copy(file, folder)
        (folder / "worker.js").write_text(
            'import * as client from "workertown-kv.js";\n'
            'import { cases, run } from "cases.mjs";\n'
            'import vectors from "keys.json";\n'
            "const keys = vectors.map(({ key }) => key);\n"
            "export default {\n"
            "  async fetch() {\n"
            f"    const options = {json.dumps(options)};\n"
            f"    const told = await run(cases, client, {json.dumps(url)}, options, keys);\n"
            "    return Response.json(told);\n"
            "  },\n"
            "};\n"
        )
        modules_of_worker = ", ".join(
            f'(name = "{name}", {kind} = embed "{name}")'
            for name, kind in {
                "worker.js": "esModule",
                "cases.mjs": "esModule",
                "workertown-kv.js": "esModule",
                "keys.json": "json",
            }.items()
        )
        (folder / "config.capnp").write_text(
            'using Workerd = import "/workerd/workerd.capnp";\n'
            "const config :Workerd.Config = (services = ["
            '(name = "internet", network = (allow = ["private"])), '
            f'(name = "worker", worker = (modules = [{modules_of_worker}], '
            f'compatibilityDate = "{COMPATIBILITY_DATE}"))], '
            'sockets = [(name = "http", address = "127.0.0.1:0", http = (), '
            'service = "worker")]);\n'
        )

    def command(self) -> list[str | Path]:
        config = Path(self.folder.name) / "config.capnp"
        return [self._program, "serve", "--control-fd=1", config]

    def end(self, process: "subprocess.Popen[str]") -> None:
        process.terminate()

    def told(self, line: str) -> str:
        return f"http://127.0.0.1:{json.loads(line)['port']}"
