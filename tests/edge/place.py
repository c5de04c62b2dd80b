"""Run Python as Cloudflare does, as far as that is possible without Cloudflare."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from servers.installed import unpack_wheels

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]


def unpack_own_wheel(folder: Path) -> None:
    """Build this package, and unpack it into a folder."""
    with tempfile.TemporaryDirectory() as wheels:
        command = (sys.executable, "-m", "hatchling", "build", "--target", "wheel")
        run(*command, "--directory", wheels, cwd=ROOT)
        unpack_wheels(Path(wheels), folder)


def run(*command: str, cwd: Path, seconds: int = 900) -> str:
    """Run a command, and return its output. Raises `RuntimeError`, with the output, if it fails."""
    ended = subprocess.run(
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=seconds,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stdout}")
    return ended.stdout


def jspi(node: str) -> str:
    """Return the flag with which this Node lets WebAssembly wait for JavaScript."""
    known = run(node, "--v8-options", cwd=HERE)
    flags = ("--experimental-wasm-jspi", "--experimental-wasm-stack-switching")
    return next(flag for flag in flags if flag in known)
