"""Write entries as lines: of JSON, or of text for people and for other commands."""

import base64
import json

import msgspec

from ...entry import Entry, KeyInfo


def json_line(info: KeyInfo) -> str:
    """Return one line of JSON with all that is known of an entry."""
    return msgspec.json.encode(described(info)).decode()


def described(info: KeyInfo) -> dict[str, object]:
    """Return all that is known of an entry, for JSON."""
    fields: dict[str, object] = {"key": info.key}
    if isinstance(info, Entry):
        if info.is_json:
            fields["value"] = msgspec.Raw(on_one_line(info.value))
        else:
            fields["base64"] = base64.b64encode(info.value).decode()
    fields["version"] = info.version
    if info.expires_at is not None:
        fields["expires_at"] = info.expires_at
    if info.metadata is not None:
        fields["metadata"] = msgspec.Raw(info.metadata)
    return fields


def on_one_line(text: bytes) -> bytes:
    """Return JSON text without line breaks, which are only white space in JSON."""
    return text.replace(b"\r", b" ").replace(b"\n", b" ")


def shown_name(name: str) -> str:
    """Return the name of a key or a folder on one line: quoted as JSON if it is not printable."""
    return name if name.isprintable() else json.dumps(name)


def shown_content(entry: Entry) -> str:
    """Return a value on one line; of bytes that are not JSON, only how many there are."""
    if entry.is_json:
        return on_one_line(entry.value).decode()
    return f"({len(entry.value):,} bytes)"
