"""Find the header fields that the server reads in its source, and compare them with the docs."""

import ast
import importlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import workertown_kv
from workertown_kv.http.fields import SINGLE
from workertown_kv.options.access import CORS_HEADERS

SOURCE = Path(workertown_kv.__file__).parent
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

FORWARDED = {"forwarded", "x-forwarded-for", "cf-connecting-ip"}
"""The fields that proxies write; `access/forwarded.py` reads them field by field."""

PREFLIGHT = {
    "access-control-request-method",
    "access-control-request-headers",
    "access-control-request-private-network",
}

NOT_FROM_A_PAGE = {
    *(
        "content-length",
        "expect",
        "host",
        "origin",
        "sec-fetch-site",
        "transfer-encoding",
        "upgrade",
    ),
    *FORWARDED,
    *PREFLIGHT,
    "accept-encoding",
    "cf-kv-flprod-405",
    "content-encoding",
    "idempotency-request",
}
"""Fields that a browser, a proxy, workerd or a server in front sets, or that are only refused."""

ALWAYS_ALLOWED = {"accept"}
"""Fields that every page may send (the Fetch standard, 2.2.2)."""


@cache
def modules() -> Mapping[str, Sequence[ast.AST]]:
    """Return the nodes of each module that has to do with requests."""
    names = {path.relative_to(SOURCE).as_posix(): path for path in SOURCE.rglob("*.py")}
    return {
        name: [*ast.walk(ast.parse(path.read_text()))]
        for name, path in names.items()
        if not name.startswith(("cli/", "client/", "storage/", "testing/"))
    }


def read() -> set[str]:
    """Return the fields that code looks up, by constants of bytes, in mappings of bytes."""
    found = set(FORWARDED)
    for name, nodes in modules().items():
        for node in nodes:
            match node:
                case ast.Call(ast.Attribute(ast.Name("parameters"), "get")):
                    continue  # of a media type
                case ast.Call(ast.Attribute(_, "get"), [looked_up, *_]):
                    found |= named(name, looked_up)
                case ast.Subscript(_, looked_up):
                    found |= named(name, looked_up)
                case ast.Compare(looked_up, [ast.In() | ast.NotIn()]):
                    found |= named(name, looked_up)
    return found | lists()


def lists() -> set[str]:
    """Return the fields that are read as lists."""
    return {
        field
        for name, nodes in modules().items()
        for node in nodes
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "list_field"
        for field in named(name, node.args[1])
    }


def named(module: str, looked_up: ast.expr) -> set[str]:
    value: object = None
    if isinstance(looked_up, ast.Constant):
        value = looked_up.value
    elif isinstance(looked_up, ast.Name):
        path = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        value = getattr(importlib.import_module(f"workertown_kv.{path}"), looked_up.id, None)
    text = value.decode("latin-1") if isinstance(value, bytes) else ""
    return {text} if NAME.fullmatch(text) else set()


def test_no_other_module_looks_through_the_fields_of_a_request() -> None:
    looking = {name for name, nodes in modules().items() if 'scope["headers"]' in subscripts(nodes)}
    assert looking == {
        "access/forwarded.py",
        "auth/hooks.py",
        "hosts/cloudflare_workers.py",
        "http/exchange.py",
    }


def subscripts(nodes: Sequence[ast.AST]) -> set[str]:
    found = {ast.unparse(node) for node in nodes if isinstance(node, ast.Subscript)}
    return {one.replace("'", '"') for one in found}


def test_a_page_may_send_whatever_the_server_reads() -> None:
    assert {"if-match", "prefer", "x-kv-namespace", "cf-kv-metadata"} <= read()
    assert read() - NOT_FROM_A_PAGE - ALWAYS_ALLOWED == {name.lower() for name in CORS_HEADERS}


def test_a_field_that_is_read_once_may_come_only_once() -> None:
    # The server only looks whether three fields are there; two credentials count as none.
    present = {"expect", "transfer-encoding", "upgrade"}
    # Whichever id of a request is taken, its answer and the log have it.
    others = {*present, "authorization", "x-request-id", *PREFLIGHT, *FORWARDED}
    assert {name.encode() for name in read() - lists() - others} <= SINGLE
