"""Write entries as lines: of JSON, or of text for people and for other commands."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from ...entry import Entry, KeyInfo

_UNFIT: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Characters that end a line, or that a terminal may obey."""


def json_line(info: KeyInfo) -> str:
    """Return one line of JSON with all that is known of an entry."""
    return line_of(_described(info))


def line_of(fields: Mapping[str, object]) -> str:
    """Return one line of JSON without characters that a terminal may obey."""
    return _UNFIT.sub(_escaped, msgspec.json.encode(fields).decode())


def _described(info: KeyInfo) -> dict[str, object]:
    """Return all that is known of an entry, for JSON."""
    fields: dict[str, object] = {"key": info.key}
    if isinstance(info, Entry):
        fields |= described_value(info.value, is_json=info.is_json)
    fields["version"] = info.version
    if info.expires_at is not None:
        fields["expires_at"] = info.expires_at
    if info.metadata is not None:
        fields["metadata"] = msgspec.Raw(info.metadata)
    return fields


def described_value(value: bytes, *, is_json: bool) -> dict[str, object]:
    """Return a value for JSON: as it is, or as base64."""
    if is_json:
        return {"value": msgspec.Raw(_on_one_line(value))}
    return {"base64": base64.b64encode(value).decode()}


def shown_name(name: str) -> str:
    """Return the name of a key or a folder on one line.

    A name that would not fit into a line, or that would look like this, is written as JSON.
    """
    return json.dumps(name) if name.startswith('"') or _UNFIT.search(name) else name


def shown_value(value: bytes, *, is_json: bool) -> str:
    """Return a value on one line; of bytes that are not JSON, only how many there are."""
    if not is_json:
        return f"({len(value):,} bytes)"
    return _UNFIT.sub(_escaped, _on_one_line(value).decode())


def is_plain(text: str) -> bool:
    """Return whether a terminal shows a text of several lines, and obeys no part of it."""
    return _UNFIT.search(re.sub("[\t\r\n]", "", text)) is None


def _on_one_line(text: bytes) -> bytes:
    """Return JSON text without line breaks, which are only white space in JSON."""
    return text.replace(b"\r", b" ").replace(b"\n", b" ")


def _escaped(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]
