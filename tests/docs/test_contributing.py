"""Test that the map in CONTRIBUTING fits the code."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from docs.pages import ROOT, blocks

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PACKAGE = ROOT / "src" / "workertown_kv"


def test_everything_on_the_map_exists() -> None:
    found = list(_mapped())
    assert PACKAGE / "storage" / "sqlite" in found
    assert [path for path in found if not path.exists()] == []


def test_a_room_that_is_opened_on_the_map_shows_all_that_is_in_it() -> None:
    found = set(_mapped())
    opened = {path.parent for path in found if PACKAGE in path.parents}
    assert {PACKAGE, PACKAGE / "storage" / "sqlite"} <= opened
    missing = {path for folder in opened for path in _modules(folder)} - found
    assert missing == set()


def test_what_it_names_is_in_the_module_that_it_names() -> None:
    text = CONTRIBUTING.read_text()
    modules = re.findall(r"`((?:\w+/)+\w+\.py)`", text)
    assert "storage/url.py" in modules
    assert [one for one in modules if not _path(one).exists()] == []
    named = re.findall(r"`(?:\w+\.)?(\w+)(?:\(\))?`\s+(?:in|from)\s+`([\w/]+\.py)`", text)
    assert ("lifetime", "entry.py") in named
    assert [(name, one) for name, one in named if name not in _path(one).read_text()] == []


def test_it_has_the_layers_that_imports_are_checked_against() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [one["layers"] for one in contracts["contracts"] if one["type"] == "layers"][:1]
    (said,) = re.findall(r"Imports point one way: `([^`]+)`", CONTRIBUTING.read_text())
    assert [set(rank.split(", ")) for rank in " ".join(said.split()).split(" → ")] == [
        set(rank.split(" | ")) for rank in layers if rank != "__main__"
    ]


def _path(name: str) -> Path:
    below = PACKAGE / name
    return below if below.exists() else ROOT / name


def _modules(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        is_module = path.suffix == ".py" and (path.name != "__init__.py" or folder == PACKAGE)
        if is_module or (path / "__init__.py").exists():
            yield path


def _mapped() -> Iterator[Path]:
    folders: list[Path] = []
    for line in next(blocks(CONTRIBUTING)).text.splitlines():
        depth = (len(line) - len(line.lstrip())) // 4
        path = (folders[depth - 1] if depth else ROOT) / line.split()[0]
        folders[depth:] = [path]
        yield path
