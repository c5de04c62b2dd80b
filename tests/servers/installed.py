"""Install packages that single tests need, when a test first asks for them.

They are kept until their pins change, in `.venv-packages/`, which `make clean` removes.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

KEPT = Path(__file__).parents[2] / ".venv-packages"

Find = Callable[[str, str], str]


def npm_packages(pins: Path, require_program: Find) -> Path:
    """Return the `node_modules` of the package-lock.json in the folder `pins`.

    The lock has no `resolved`, so that it names no registry: `npm install --package-lock-only
    --omit-lockfile-registry-resolved` writes it.
    """
    npm = require_program("npm", "npm")
    require_program("node", "nodejs")

    def install(folder: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(pins / name, folder / name)
        _run([npm, "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"], folder)

    return _installed(pins / "package-lock.json", "npm", install) / "node_modules"


def python_packages(pins: Path) -> Path:
    """Return a folder for PYTHONPATH with the packages of the file `pins`, which has hashes.

    `uv pip compile --universal --generate-hashes --no-header --no-annotate` writes it.
    """

    def install(folder: Path) -> None:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
        _run([*command, "--require-hashes", "--target", str(folder), "-r", str(pins)], folder)

    pins = pins.resolve()
    version = "python{}.{}".format(*sys.version_info)
    return _installed(pins, version, install)


def pyodide_packages(pins: Path) -> Path:
    """Return the same as `python_packages`, but with the wheels for Pyodide 314, unpacked."""

    def install(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as wheels:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            command += ["--only-binary", ":all:", "--python-version", "3.14", "--abi", "cp314"]
            command += ["--platform", "pyemscripten_2026_0_wasm32", "--dest", wheels]
            _run([*command, "--require-hashes", "--requirement", str(pins)], folder)
            unpack_wheels(Path(wheels), folder)

    return _installed(pins.resolve(), "pyodide", install)


def unpack_wheels(wheels: Path, folder: Path) -> None:
    """Unpack all the wheels of a folder into another."""
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)


def _installed(pins: Path, kind: str, install: Callable[[Path], None]) -> Path:
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()[:16]
    folder = KEPT / f"{kind}-{digest}"
    KEPT.mkdir(exist_ok=True)
    # Tests run side by side, and an interrupted test must not leave half of the packages behind.
    with (KEPT / f"{kind}-{digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_name(folder.name + ".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            install(unfinished)
            unfinished.rename(folder)
    return folder


def _run(command: Sequence[str], folder: Path) -> None:
    ran = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {ran.returncode}:\n{ran.stdout}")
