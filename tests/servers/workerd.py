"""Run Cloudflare's Workers runtime, `workerd`, and its emulator, with the Worker of these tests.

The Worker, `caller.js`, makes calls of `env.KV` for the tests, and returns the results.
"""

import json
import subprocess
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Self

import httpx2

SOURCES: Final = Path(__file__).parents[1] / "workerd"
COMPATIBILITY_DATE: Final = "2026-04-26"

NOTHING: Final = {"undefined": True}
"""The result of a call that returned nothing."""


class CallFailed(Exception):
    """A call threw this error, such as `Error: KV PUT failed: 400 Bad Request`."""


class Worker:
    """Runs a Worker that makes calls. A context manager: it starts, and waits until it listens."""

    def __init__(self) -> None:
        self.url = ""
        self.folder = TemporaryDirectory()
        self._client = httpx2.Client(timeout=60)
        self._process: subprocess.Popen[str] | None = None

    def command(self) -> Sequence[str | Path]:
        raise NotImplementedError

    def told(self, line: str) -> str:
        """Return its URL, from the line that it prints when it listens."""
        raise NotImplementedError

    def end(self, process: "subprocess.Popen[str]") -> None:
        """Let the Worker end. Its standard input is closed then."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        try:
            line = self._process.stdout.readline()
            assert line, "It did not start"
            self.url = self.told(line)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._client.close()
        self.end(self._process)
        self._process.communicate(timeout=30)
        self.folder.cleanup()

    def calls(self, *calls: Sequence[Any], binding: str = "KV") -> list[Any]:
        """Return the outcome of each call, a method with its arguments: a `value` or an `error`."""
        asked = [{"binding": binding, "method": method, "args": args} for method, *args in calls]
        answer = self._client.post(self.url, content=json.dumps(asked).encode())
        assert answer.status_code == 200, answer.text
        told: list[Any] = answer.json()
        return told

    def call(self, *call: Any, binding: str = "KV") -> Any:
        """Return the result of a call. Raises `CallFailed` with the error that it threw."""
        told = self.calls(call, binding=binding)[0]
        if "error" in told:
            raise CallFailed(told["error"])
        return told["value"]


class RunningWorkerd(Worker):
    """Runs `workerd serve`, with a binding for each set of header fields that it injects.

    Another Worker than `caller.js` is one file, including all that it imports.
    """

    def __init__(
        self,
        modules: Path,
        server_url: str,
        bindings: Mapping[str, Mapping[str, str]],
        script: Path = SOURCES / "caller.js",
    ) -> None:
        super().__init__()
        self._modules = modules
        address = server_url.removeprefix("http://")
        services = "".join(
            f'(name = "{name}", external = (address = "{address}", '
            f"http = (injectRequestHeaders = [{_fields(fields)}]))), "
            for name, fields in bindings.items()
        )
        bound = ", ".join(f'(name = "{name}", kvNamespace = "{name}")' for name in bindings)
        folder = Path(self.folder.name)
        (folder / "worker.js").write_text(script.read_text())
        (folder / "config.capnp").write_text(
            'using Workerd = import "/workerd/workerd.capnp";\n'
            f'const config :Workerd.Config = (services = [{services} (name = "worker", worker = ('
            'modules = [(name = "worker", esModule = embed "worker.js")], '
            f'compatibilityDate = "{COMPATIBILITY_DATE}", bindings = [{bound}]))], '
            'sockets = [(name = "http", address = "127.0.0.1:0", http = (), '
            'service = "worker")]);\n'
        )

    def command(self) -> Sequence[str | Path]:
        config = Path(self.folder.name) / "config.capnp"
        return [workerd_program(self._modules), "serve", "--control-fd=1", config]

    def end(self, process: "subprocess.Popen[str]") -> None:
        process.terminate()

    def told(self, line: str) -> str:
        return f"http://127.0.0.1:{json.loads(line)['port']}"


class RunningEmulator(Worker):
    """Runs miniflare, Cloudflare's emulator, with an empty namespace behind `KV`."""

    def __init__(self, node: str, modules: Path, program: str = "miniflare.mjs") -> None:
        super().__init__()
        self._node = node
        folder = Path(self.folder.name)
        # Node looks for imports in the folder of a module and above.
        (folder / "node_modules").symlink_to(modules)
        self._program = folder / program
        self._program.write_text((SOURCES / program).read_text())

    def command(self) -> Sequence[str | Path]:
        return [self._node, self._program, SOURCES / "caller.js", COMPATIBILITY_DATE]

    def told(self, line: str) -> str:
        return line.strip()


def workerd_program(modules: Path) -> Path:
    """Return the program, of which npm has a build for each kind of machine."""
    return next((modules / "@cloudflare").glob("workerd-*/bin/workerd"))


def made(kind: str, value: bytes) -> dict[str, str]:
    """Return an argument that is an `array`, a `buffer`, a `view` of its middle, or a `stream`."""
    return {"make": kind, "base64": b64encode(value).decode()}


def seen(value: bytes) -> dict[str, Any]:
    """Return the form in which the Worker reports bytes."""
    if len(value) > 2000:
        return {"size": len(value), "sha256": sha256(value).hexdigest()}
    return {"base64": b64encode(value).decode()}


def _fields(fields: Mapping[str, str]) -> str:
    # Strings of JSON are also strings of Cap'n Proto.
    return ", ".join(
        f"(name = {json.dumps(name)}, value = {json.dumps(value)})"
        for name, value in fields.items()
    )
