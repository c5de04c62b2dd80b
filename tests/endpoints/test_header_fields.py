"""Which header fields the server reads: found in its source, and compared with what it says."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import workertown_kv
from workertown_kv.auth.repeated_fields import SINGLE
from workertown_kv.options.access import CORS_HEADERS

SOURCE = Path(workertown_kv.__file__).parent
READERS = ("header", "header_list", "read_precondition")

READ_OTHERWISE: dict[str, set[str]] = {
    "access/forwarded.py": {"forwarded", "x-forwarded-for", "cf-connecting-ip"},
    "auth/guard.py": {"authorization", "content-type", "origin", "sec-fetch-site"},
    "auth/jwt/strategy.py": set(),  # the one that an option names
    "auth/strategy.py": {"authorization"},
    "endpoints/cloudflare/rest/credentials.py": {
        *("authorization", "x-auth-email", "x-auth-key", "x-auth-user-service-key")
    },
    "hosts/cloudflare_workers.py": {"cf-connecting-ip"},
}
"""The modules that look through all fields of a request, and what they look for."""

NOT_FROM_A_PAGE = {
    *("content-length", "expect", "host", "origin", "sec-fetch-site", "transfer-encoding"),
    *("forwarded", "x-forwarded-for", "cf-connecting-ip"),
    "cf-kv-flprod-405",
    "content-encoding",
}
"""What a browser sets, or a proxy, or only workerd; and a field whose only use is to be refused."""

ALWAYS_ALLOWED = {"accept"}
"""What every page may send (the Fetch standard, 2.2.2)."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        if not name.startswith(("cli/", "storage/", "testing/")):
            yield name, ast.parse(path.read_text())


def read_by(*functions: str) -> set[str]:
    """The fields that are read by calls of these functions."""
    found: set[str] = set()
    for name, tree in modules():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in functions
                and len(node.args) >= 2
            ):
                found |= named(name, node.args[1])
    return found


def named(module: str, argument: ast.expr) -> set[str]:
    if isinstance(argument, ast.Constant):
        return {argument.value.decode()}  # type: ignore[union-attr]
    assert isinstance(argument, ast.Name), (module, ast.unparse(argument))
    path = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    constant = getattr(importlib.import_module(f"workertown_kv.{path}"), argument.id, None)
    # One that has no value is the parameter of a reader.
    assert isinstance(constant, bytes) or module == "endpoints/conditions.py", argument.id
    return {constant.decode()} if isinstance(constant, bytes) else set()


def test_no_other_module_looks_through_the_fields_of_a_request() -> None:
    looking = {name for name, tree in modules() if 'scope["headers"]' in subscripts(tree)}
    assert looking == {*READ_OTHERWISE, "endpoints/request.py"}


def subscripts(tree: ast.Module) -> set[str]:
    found = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
    return {one.replace("'", '"') for one in found}


def test_a_page_may_send_whatever_the_server_reads() -> None:
    read = read_by(*READERS).union(*READ_OTHERWISE.values())
    assert {"if-match", "prefer", "x-kv-namespace", "cf-kv-metadata"} <= read
    assert read - NOT_FROM_A_PAGE - ALWAYS_ALLOWED == {name.lower() for name in CORS_HEADERS}


def test_a_field_that_is_read_once_may_come_only_once() -> None:
    # Of these two, only whether they are there is asked.
    read = read_by("header") - {"expect", "transfer-encoding"}
    assert {name.encode() for name in read} <= SINGLE
