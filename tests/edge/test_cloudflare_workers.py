"""Test the example of a Cloudflare Worker in the interpreter that Cloudflare runs.

A process of Node has Pyodide, this package as a wheel, and the KV namespace and the D1 database of
miniflare. The tests that it runs are in `inside/`; the output here has their names.
"""

import importlib.metadata
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from packaging.requirements import Requirement

from edge.place import HERE, ROOT, jspi, run

EXAMPLE = ROOT / "examples" / "cloudflare-worker"
WHERE_NULLS_MATTER = (
    "keeps_values or tells_of or cannot_do or binding or never_set or comes_back_whole or order_of"
)


def test_a_worker_has_the_packages_that_it_needs() -> None:
    there = set(re.findall(r"^([\w-]+)==", (HERE / "wheels.txt").read_text(), re.MULTILINE))
    for text in importlib.metadata.requires("workertown-kv") or ():
        needed = Requirement(text)
        in_a_worker = {"sys_platform": "emscripten", "extra": ""}
        if needed.marker is None or needed.marker.evaluate(in_a_worker):
            assert needed.name in there


@pytest.mark.deep
@pytest.mark.parametrize(
    ("nulls", "some", "known"),
    [
        # Two halves, so that none comes near the time after which a test counts as hanging.
        ("null", "not TestD1", "test_a_worker_keeps_values"),
        ("null", "TestD1", "test_what_was_never_set_is_none"),
        ("none", WHERE_NULLS_MATTER, "test_a_worker_keeps_values"),
    ],
    ids=["the Worker and KV", "D1", "nulls as None"],
)
def test_a_worker_keeps_what_a_server_promises(
    node: str,
    modules: Path,
    packages: Path,
    tmp_path: Path,
    subtests: pytest.Subtests,
    nulls: str,
    some: str,
    known: str,
) -> None:
    folders = map(str, (modules, packages, HERE / "inside", EXAMPLE, tmp_path))
    command = (node, jspi(node), str(HERE / "host.mjs"), *folders, nulls, some)
    printed = run(*command, cwd=tmp_path)
    cases = list(ET.parse(tmp_path / "report.xml").iter("testcase"))
    assert known in {case.get("name", "").partition("[")[0] for case in cases}, printed
    for case in cases:
        with subtests.test(case=case.get("name")):
            wrong = [*case.iter("failure"), *case.iter("error")]
            assert not wrong, wrong[0].text


@pytest.mark.deep
@pytest.mark.parametrize(
    ("config", "binding"),
    [("wrangler.jsonc", "KV Namespace"), ("wrangler.d1.jsonc", "D1 Database")],
)
def test_wrangler_packs_the_example(
    node: str, modules: Path, packages: Path, tmp_path: Path, config: str, binding: str
) -> None:
    worker = shutil.copytree(EXAMPLE, tmp_path / "worker")
    # As `pywrangler deploy` does, which uses a registry and Pyodide's index.
    shutil.copytree(packages, worker / "python_modules")
    (worker / "python_modules" / "pyvenv.cfg").touch()
    wrangler = modules / "wrangler" / "bin" / "wrangler.js"
    packed = tmp_path / "packed"
    command = (node, str(wrangler), "deploy", "--config", config)
    printed = run(*command, "--dry-run", "--outdir", str(packed), cwd=worker)
    assert "env.KV_DB" in printed
    assert binding in printed
    assert (packed / "entry.py").read_text() == (EXAMPLE / "src" / "entry.py").read_text()
    inside = {str(file.relative_to(packed)) for file in packed.rglob("*.py")}
    assert "python_modules/workertown_kv/storage/cloudflare/kv/storage.py" in inside
