"""Test clients that generators make from the OpenAPI document, and linters for it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from servers.installed import Find, npm_packages, python_packages
from workertown_kv.testing import ServedStore

pytestmark = pytest.mark.deep

HERE = Path(__file__).parent / "generated"
API_KEY = "test-key"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ServedStore]:
    with ServedStore(tmp_path / "kv.sqlite", api_key=API_KEY) as served:
        yield served


@pytest.fixture
def document(store: ServedStore, tmp_path: Path) -> Path:
    """Write the document of the store into a file."""
    path = tmp_path / "open-api.json"
    with store.client() as client:
        path.write_bytes(client.get("/open-api.json").content)
    return path


@pytest.fixture(scope="session")
def packages() -> Path:
    return python_packages(HERE / "python.txt")


@pytest.fixture(scope="session")
def modules(require_program: Find) -> Path:
    return npm_packages(HERE, require_program)


def run(
    command: Sequence[object], folder: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran


def test_openapi_python_client(
    store: ServedStore, document: Path, packages: Path, tmp_path: Path
) -> None:
    env = {"PYTHONPATH": f"{packages}{os.pathsep}{tmp_path}"}
    config = tmp_path / "config.json"
    lines_are_bytes = {"application/x-ndjson": "application/octet-stream"}
    config.write_text(json.dumps({"post_hooks": [], "content_type_overrides": lines_are_bytes}))
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning"]
    where = ["--meta", "none", "--output-path", tmp_path / "generated"]
    run([*command, "--config", config, "--path", document, *where], tmp_path, env)
    script = HERE / "use_openapi_python_client.py"
    run([sys.executable, script, store.url, API_KEY], tmp_path, env)


def test_openapi_generator(
    store: ServedStore, document: Path, packages: Path, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    env = {"PYTHONPATH": f"{packages}{os.pathsep}{made}"}
    program = "from openapi_generator_cli import cli; cli()"
    command = [sys.executable, "-c", program, "generate", "-g", "python"]
    where = ["-i", document, "-o", made, "--package-name", "generated"]
    run([*command, *where], tmp_path, env)
    run([sys.executable, HERE / "use_openapi_generator.py", store.url, API_KEY], tmp_path, env)


def test_openapi_typescript_with_openapi_fetch(
    store: ServedStore, document: Path, modules: Path, require_program: Find, tmp_path: Path
) -> None:
    (tmp_path / "node_modules").symlink_to(modules)
    shutil.copy(HERE / "use_openapi_fetch.mts", tmp_path / "use.mts")
    binaries = modules / ".bin"
    run([binaries / "openapi-typescript", document, "-o", "generated.d.ts"], tmp_path)
    run(
        [
            *(binaries / "tsc", "--strict", "--target", "es2022", "--module", "nodenext"),
            *("--types", "node", "--skipLibCheck", "use.mts"),
        ],
        tmp_path,
    )
    node = require_program("node", "nodejs")
    run([node, "use.mjs", store.url, API_KEY], tmp_path)


def test_spectral_finds_nothing(document: Path, modules: Path, tmp_path: Path) -> None:
    ruleset = tmp_path / "ruleset.json"
    ruleset.write_text(json.dumps({"extends": ["spectral:oas"]}))
    linted = ["lint", "--ruleset", ruleset, "--fail-severity", "hint", document]
    run([modules / ".bin" / "spectral", *linted], tmp_path)


def test_redocly_finds_nothing(document: Path, modules: Path, tmp_path: Path) -> None:
    # Except what the linter counts and looks up elsewhere.
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    linted = run(
        [modules / ".bin" / "redocly", "lint", "--format", "json", document], tmp_path, quiet
    )
    assert json.loads(linted.stdout)["problems"] == []
