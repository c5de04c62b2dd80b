"""CONTRIBUTING is the map of the house as it stands."""

import re
from collections.abc import Iterator
from pathlib import Path

from docs.pages import ROOT, blocks

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
PACKAGE = ROOT / "src" / "workertown_kv"


def test_everything_on_the_map_is_there() -> None:
    found = list(_mapped())
    assert PACKAGE / "storage" / "sqlite" in found
    assert [path for path in found if not path.exists()] == []


def test_every_room_is_on_the_map() -> None:
    rooms = {
        path
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert rooms - set(_mapped()) == set()


def test_every_module_that_it_names_is_there() -> None:
    names = re.findall(r"`((?:\w+/)+\w+\.py)`", CONTRIBUTING.read_text())
    assert "storage/url.py" in names
    assert [one for one in names if not ((PACKAGE / one).exists() or (ROOT / one).exists())] == []


def _mapped() -> Iterator[Path]:
    folders: list[Path] = []
    for line in next(blocks(CONTRIBUTING)).text.splitlines():
        depth = (len(line) - len(line.lstrip())) // 4
        path = (folders[depth - 1] if depth else ROOT) / line.split()[0]
        folders[depth:] = [path]
        yield path
