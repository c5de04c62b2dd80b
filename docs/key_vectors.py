"""The page of keys to try a client with: from `tests/vectors/keys.json`."""

import json
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import quote

import msgspec

from .pages import ROOT

VECTORS: Final = ROOT / "tests" / "vectors" / "keys.json"

_SHOWN: Final = 40


class Vector(msgspec.Struct, frozen=True):
    """A key, and how it stands in a path."""

    name: str
    key: str
    path: str
    defects: dict[str, str] = {}
    """Clients that cannot get this key right, each with the reason."""


def vectors() -> list[Vector]:
    """All of them, in the order of the file."""
    return msgspec.json.decode(VECTORS.read_bytes(), type=list[Vector])


def key_vectors_page() -> str:
    """Each key with its encoding, and the clients that cannot name it."""
    found = vectors()
    rows = [
        f"| {one.name} | `{_shown(one.key, _as_json)}` | `{_shown(one.key, _in_path)}` |"
        for one in found
    ]
    table, defects = "\n".join(rows), "\n".join(_defects(found))
    return f"""\
# Key vectors

{len(found)} keys that some client, proxy or storage is known to get wrong, and how to write each
in a path. To test your own client, use the same keys in
[`tests/vectors/keys.json`](../../tests/vectors/keys.json): send each `key`, and compare the path
that your client sends with `path`.

A path has the percent-encoding of a key's UTF-8 bytes. This table encodes every character that may
be encoded. You must encode `%`, `?`, `#`, control characters and characters outside ASCII. If a
part of a key between slashes is `.` or `..`, encode the slashes too, because clients resolve such
parts.

## The keys

Keys are shown as JSON text. Long keys are shortened.

| content | key | in a path |
|---|---|---|
{table}

Cloudflare's APIs refuse the keys `.` and `..`, as Cloudflare does; the native API accepts them
[in the query](../how-to/odd-keys.md#in-the-query).

## Defects of clients

These clients send the following keys wrongly to any server.

| client | keys | why |
|---|---|---|
{defects}
"""


def _defects(found: list[Vector]) -> Iterator[str]:
    names: dict[tuple[str, str], list[str]] = {}
    for one in found:
        for client, reason in one.defects.items():
            names.setdefault((client, reason), []).append(one.name)
    for (client, reason), keys in names.items():
        yield f"| {client} | {'; '.join(keys)} | {reason} |"


def _as_json(key: str) -> str:
    return json.dumps(key).replace("|", "\\u007c").replace("`", "\\u0060")


def _in_path(key: str) -> str:
    return quote(key, safe="")


def _shown(key: str, encoded: Callable[[str], str]) -> str:
    return encoded(key) if len(key) <= _SHOWN else f"{encoded(key[:8])}…{encoded(key[-4:])}"
