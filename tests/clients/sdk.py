"""Run Cloudflare's SDKs, each in its own process, apart from the packages of the project."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
TYPESCRIPT = "TypeScript SDK 7.3.0"
PYTHON_4 = "Python SDK 4.3.1"
PYTHON_5 = "Python SDK 5.9.0"

_HERE = Path(__file__).parent


class SdkError(Exception):
    """An SDK raised this error. `kind` is its class; `status` is 0 if no request was made."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.kind: str = told["kind"]
        self.status: int = told["status"]
        self.codes = [one.get("code") for one in told["errors"]]
        self.messages = [one["message"] for one in told["errors"]]
        super().__init__(f"{self.kind}: {self.status} {self.messages}")


class Sdk:
    """Runs an SDK: `ask` calls any of its methods; some have a method here."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], url: str) -> None:
        self.name = name
        self.url = url + "/client/v4"
        self.credentials: Mapping[str, str] = {"api_token": "test-key"}
        self._process = subprocess.Popen(
            command,
            env={**_quiet_environment(), **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    @classmethod
    def in_python(cls, name: str, packages: Path, url: str) -> Self:
        # Without `site`, so that it does not see the packages of the tests.
        command = [sys.executable, "-S", str(_HERE / "python_agent.py")]
        return cls(name, command, {"PYTHONPATH": str(packages)}, url)

    @classmethod
    def in_typescript(cls, node: str, packages: Path, url: str) -> Self:
        command = [node, str(_HERE / "typescript_agent.cjs")]
        return cls(TYPESCRIPT, command, {"NODE_PATH": str(packages)}, url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()

    def ask(self, method: str, *positional: str, **named: Any) -> Any:
        """Call a method below `kv.namespaces`. Raises `SdkError`."""
        assert self._process.stdin
        assert self._process.stdout
        client = {"base_url": self.url, "max_retries": 0, **self.credentials}
        asked = {
            "client": client,
            "method": f"kv.namespaces.{method}",
            "positional": positional,
            "named": {"account_id": ACCOUNT} | {name: _sent(one) for name, one in named.items()},
        }
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        if "kind" in told:
            raise SdkError(told)
        return told["result"]

    def put(self, namespace: str, key: str, value: bytes | Path, **named: Any) -> None:
        """Write a value, by the SDK's own method wherever that works."""
        if self.name == PYTHON_4:
            # The SDK's own method sends JSON instead of the value.
            content = value if isinstance(value, bytes) else value.read_bytes()
            text = base64.b64encode(content).decode()
            pair = {"key": key, "value": text, "base64": True, **named}
            self.ask("bulk_update", namespace, body=[pair])
            return
        if self.name == TYPESCRIPT and not isinstance(named.get("metadata", ""), str):
            # The SDK splits an object into a field for each of its members.
            named["metadata"] = json.dumps(named["metadata"])
        self.ask("values.update", key, namespace_id=namespace, value=value, **named)

    def got(self, namespace: str, key: str) -> tuple[bytes, Mapping[str, str]]:
        """Return a value, and the header fields of its answer."""
        result = self.ask("values.get", key, namespace_id=namespace)
        return base64.b64decode(result["$bytes"]), result["headers"]

    def get(self, namespace: str, key: str) -> bytes:
        return self.got(namespace, key)[0]

    def delete(self, namespace: str, key: str) -> None:
        self.ask("values.delete", key, namespace_id=namespace)

    def metadata(self, namespace: str, key: str) -> Any:
        return self.ask("metadata.get", key, namespace_id=namespace)

    def keys(self, namespace: str, **named: Any) -> list[Any]:
        """Return all keys, page by page."""
        found: list[Any] = self.ask("keys.list", namespace, **named)
        return found


def _sent(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    return {"$path": str(value)} if isinstance(value, Path) else value


def _quiet_environment() -> dict[str, str]:
    """Return the environment, without variables that the SDK would take for credentials."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CLOUDFLARE", "CF_"))
    }
