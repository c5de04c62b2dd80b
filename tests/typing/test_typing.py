"""Test what type checkers report about a program that calls `kv()`."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest

from servers.installed import Find, npm_packages
from workertown_kv import Options
from workertown_kv.options import Secret, given

HERE = Path(__file__).parent
LINES = (HERE / "wrong.py").read_text().splitlines()
WRONG = {
    number
    for number, line in enumerate(LINES, 1)
    if line.startswith(("kv(", "options:", "workertown_kv."))
}


@pytest.fixture(scope="session")
def packages(require_program: Find) -> Path:
    """Return the `node_modules` with pyright."""
    return npm_packages(HERE / "npm", require_program)


def by_mypy(folder: Path) -> dict[str, set[int]]:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull]
    command += ["--cache-dir", str(folder), "--output", "json"]
    # A program in a folder of its own sees the package as it is installed.
    said = run([*command, "right.py", "wrong.py"], folder)
    found: dict[str, set[int]] = {}
    for line in said.splitlines():
        one = json.loads(line)
        if one["severity"] == "error":
            found.setdefault(Path(one["file"]).name, set()).add(one["line"])
    return found


def by_pyright(folder: Path, packages: Path, node: str) -> dict[str, set[int]]:
    index = packages / "pyright" / "index.js"
    command = [node, str(index), "--outputjson", "--pythonpath", sys.executable]
    found: dict[str, set[int]] = {}
    for one in json.loads(run([*command, "right.py", "wrong.py"], folder))["generalDiagnostics"]:
        line = one["range"]["start"]["line"] + 1
        found.setdefault(Path(one["file"]).name, set()).add(line)
    return found


def run(command: list[str], folder: Path) -> str:
    for name in ("right.py", "wrong.py"):
        (folder / name).write_text((HERE / name).read_text())
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.deep
def test_mypy_accepts_right_options_and_finds_each_wrong_one(tmp_path: Path) -> None:
    assert by_mypy(tmp_path) == {"wrong.py": WRONG}


@pytest.mark.deep
def test_pyright_accepts_right_options_and_finds_each_wrong_one(
    tmp_path: Path, packages: Path, require_program: Find
) -> None:
    assert by_pyright(tmp_path, packages, require_program("node", "nodejs")) == {"wrong.py": WRONG}


def test_the_mappings_have_the_fields_of_the_structs() -> None:
    structs = {one.__name__: one for one in structs_in(Options)}
    mappings = {name for name, one in vars(given).items() if hasattr(one, "__required_keys__")}
    bases = {"CredentialDict", "TokenRulesDict"}
    assert mappings == {f"{name}Dict" for name in structs} | bases
    for name, struct in structs.items():
        mapping = getattr(given, f"{name}Dict")
        fields = {field.name: field for field in msgspec.structs.fields(struct)}
        hints = get_type_hints(mapping)
        assert hints.keys() == fields.keys(), name
        assert mapping.__required_keys__ == {one.name for one in fields.values() if one.required}
        for field in fields.values():
            accepted = set(accepted_for(field.type))
            assert set(kinds_of(hints[field.name])) == accepted, f"{name}.{field.name}"


def accepted_for(kind: Any) -> Iterator[Any]:
    """Return the types that code may give for an option of this type."""
    kinds = kinds_of(kind)
    for one in kinds:
        if is_struct(one):
            yield from (one, mapping_of(one))
        elif one is Secret:
            yield from (Secret, str)
        elif get_origin(one) is tuple:
            yield from accepted_lists(get_args(one)[0])
        elif one == Literal[False] and any(map(is_struct, kinds)):
            yield bool
        else:
            yield one


def accepted_lists(inner: Any) -> Iterator[Any]:
    if inner is str:
        # A text is a sequence of texts too.
        yield from (list[str], tuple[str, ...])
        return
    each: Any = inner | mapping_of(inner) if is_struct(inner) else inner
    yield Sequence[each]


def structs_in(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """Return the structs in a type."""
    if is_struct(kind):
        yield kind
        for field in msgspec.structs.fields(kind):
            yield from structs_in(field.type)
    elif get_origin(kind) in (Union, UnionType, tuple):
        for one in get_args(kind):
            yield from structs_in(one)


def kinds_of(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and not get_origin(kind) and issubclass(kind, msgspec.Struct)


def mapping_of(struct: type[msgspec.Struct]) -> Any:
    return getattr(given, f"{struct.__name__}Dict")
