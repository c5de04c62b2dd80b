"""Test that the reference pages are complete and up to date."""

import asyncio
import re
import tomllib
from importlib.util import find_spec
from typing import Any

import click
from docs.generate import REFERENCE, commands, error_classes, options, pages
from docs.pages import PAGES, ROOT, name_of

import workertown_kv
from workertown_kv import kv, runtime
from workertown_kv.cli import main
from workertown_kv.options import Options


def test_the_pages_that_are_made_from_the_code_are_up_to_date() -> None:
    stale = [name_of(page) for page, text in pages().items() if page.read_text() != text]
    assert not stale, "run `make docs`"


def test_every_option_is_documented() -> None:
    page = (REFERENCE / "options.md").read_text()
    paths = [option.path for option in options(Options)]
    assert "limits.value_bytes" in paths
    assert [path for path in paths if f"\n| `{path}` |" not in page] == []


def test_every_command_and_flag_is_documented() -> None:
    page = (REFERENCE / "cli.md").read_text()
    found = dict(commands(main, "workertown-kv"))
    assert {"workertown-kv", *(f"workertown-kv {one}" for one in main.commands)} <= set(found)
    for name, text in found.items():
        assert f"## {name}\n" in page
        assert text in page
    groups = [one for one in main.commands.values() if isinstance(one, click.Group)]
    below = [one for group in groups for one in group.commands.values()]
    for command in (*main.commands.values(), *below):
        assert command.help
        for parameter in command.params:
            is_option = isinstance(parameter, click.Option)
            metavar = parameter.make_metavar(click.Context(command))
            shown = parameter.opts if is_option else [metavar]
            assert all(name in page for name in shown)
            assert not isinstance(parameter, click.Option) or parameter.help, parameter.name


def test_every_package_that_this_one_needs_is_on_the_page_of_dependencies() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text()
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = declared["project"]
    extras = project["optional-dependencies"]
    groups = (project["dependencies"], *extras.values(), *declared["dependency-groups"].values())
    needed = {
        re.split("[<>=;]", one)[0]
        for group in groups
        for one in group
        if isinstance(one, str) and not one.startswith(project["name"])
    }
    assert {"starlette", "joserfc", "ruff"} <= needed
    assert [one for one in needed if not re.search(rf"[|,\[] ?{one}[],]? ?", page)] == []
    assert [one for one in extras if f"`{one}`" not in page] == []


def test_every_python_name_that_the_pages_import_is_from_a_public_module() -> None:
    page = (REFERENCE / "python.md").read_text()
    public = set(re.findall(r"^\| `(workertown_kv[\w.]*)` \|", page, re.MULTILINE))
    assert [name for name in public if find_spec(name) is None] == []
    assert [name for name in workertown_kv.__all__ if f"`{name}`" not in page] == []
    examples = (ROOT / "examples").rglob("*.py")
    texts = [path.read_text() for path in (*PAGES, *examples)]
    imported = {
        name
        for text in texts
        for name in re.findall(r"^from (workertown_kv[\w.]*)", text, re.MULTILINE)
    }
    assert "workertown_kv.runtime" in imported
    assert imported - public == set()


def test_a_default_that_a_page_says_in_parentheses_is_the_default() -> None:
    defaults = {one.path: one.default for one in options(Options)}
    flags = {
        name: one.default
        for one in main.commands["serve"].params
        if isinstance(one, click.Option)
        for name in (*one.opts, one.envvar)
    }
    said = [
        (page, name, int(number.replace(",", "")))
        for page in PAGES
        for name, number in re.findall(r"`([\w.-]+)`\s+\((\d[\d,]*)\b", page.read_text())
    ]
    wrong = []
    known = 0
    for page, name, number in said:
        # Without its path, only a name of several words is surely the name of an option.
        paths = [one for one in defaults if f".{one}".endswith(f".{name}") and "_" in name]
        expected = {flags[name]} if name in flags else {defaults[path] for path in paths}
        known += bool(expected)
        if expected and number not in expected:
            wrong.append(f"{name_of(page)}: {name} ({number}), which is {expected}")
    assert known > 5
    assert wrong == []


def test_every_error_is_documented_with_its_status() -> None:
    page = (REFERENCE / "errors.md").read_text()
    for one in error_classes():
        assert f"`{one.__name__}`" in page
        has_no_status = one.__name__ in ("OptionsError", "MissingExtra", "ClientError")
        assert has_no_status or f"| {one.status} | `{one.__name__}` |" in page


def test_every_route_parameter_header_and_status_is_documented() -> None:
    async def describe() -> Any:
        async with kv(runtime=runtime.testing()) as server:
            return (await server.request("GET", "/open-api.json")).json()["paths"]

    page = (REFERENCE / "http.md").read_text() + (REFERENCE / "cloudflare.md").read_text()
    known = page + (REFERENCE / "errors.md").read_text()
    paths = asyncio.run(describe())
    assert "/v1/kv/{key}" in paths
    for path, methods in paths.items():
        for method, operation in methods.items():
            route = rf"\b{method.upper()}\b[^\n/]*{re.escape(path)}(?![\w/{{])"
            assert re.search(route, page), f"{method} {path}"
            assert all(one["name"] in page for one in operation["parameters"])
            for status, response in operation["responses"].items():
                assert status in known
                assert all(header in known for header in response.get("headers", ()))
