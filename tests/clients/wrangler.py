"""Run Cloudflare's wrangler as a command."""

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from .sdk import ACCOUNT


def quiet(folder: Path) -> Mapping[str, str]:
    """Return an environment in which wrangler uses only this folder and no network."""
    # wrangler asks the network for a newer version unless it has done so recently.
    (folder / "update-check").mkdir()
    found = {"latest": "4.86.0", "lastUpdate": time.time() * 1000}
    (folder / "update-check" / "wrangler-latest.json").write_bytes(msgspec.json.encode(found))
    return {
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "CI": "1",
        "NO_COLOR": "1",
        "WRANGLER_SEND_METRICS": "false",
    }


class Wrangler:
    """Runs wrangler's commands in a folder of its own, which is also its home."""

    def __init__(self, node: str, packages: Path, url: str, folder: Path) -> None:
        self.folder = folder
        self.namespace = "0" * 32
        """The id of the namespace that the commands for keys use."""
        self._command = [node, str(packages / "wrangler" / "bin" / "wrangler.js")]
        self.env: Mapping[str, str] = {
            "PATH": os.environ["PATH"],
            **quiet(folder),
            "CLOUDFLARE_API_BASE_URL": f"{url}/client/v4",
            "CLOUDFLARE_API_TOKEN": "test-key",
            "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
        }

    def ran(self, *args: str, **env: str) -> subprocess.CompletedProcess[bytes]:
        """Run `wrangler kv` with these arguments."""
        return self.ran_any("kv", *args, **env)

    def ran_any(self, *args: str, **env: str) -> subprocess.CompletedProcess[bytes]:
        """Run any command of wrangler."""
        return subprocess.run(
            [*self._command, *args],
            cwd=self.folder,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=120,
        )

    def __call__(self, *args: str, **env: str) -> bytes:
        """Return the output of a command that succeeds. Commands for keys get the namespace."""
        if args[0] != "namespace":
            args = (*args[:2], "--remote", "--namespace-id", self.namespace, *args[2:])
        ran = self.ran(*args, **env)
        assert ran.returncode == 0, (ran.stdout + ran.stderr).decode()
        return ran.stdout

    def refused(self, *args: str, **env: str) -> str:
        """Return the message of a command that fails."""
        if args[0] != "namespace":
            args = (*args[:2], "--remote", "--namespace-id", self.namespace, *args[2:])
        ran = self.ran(*args, **env)
        assert ran.returncode == 1, (ran.stdout + ran.stderr).decode()
        return (ran.stdout + ran.stderr).decode()

    def file(self, name: str, content: object) -> str:
        """Write a JSON file for a command, and return its name."""
        (self.folder / name).write_bytes(msgspec.json.encode(content))
        return name

    def list(self, *args: str) -> "list[dict[str, Any]]":
        """Return all keys, as `kv key list` prints them."""
        return msgspec.json.decode(self("key", "list", *args), type=list[dict[str, Any]])

    def read(self, *keys: str) -> dict[str, str | None]:
        """Return the output of `kv bulk get` for these keys, at most a hundred."""
        printed = self("bulk", "get", self.file("read.json", keys))
        # A warning stands before the JSON, and a message of success after it.
        text = printed[printed.index(b"{") : printed.rindex(b"}") + 1]
        return msgspec.json.decode(text, type=dict[str, str | None])
