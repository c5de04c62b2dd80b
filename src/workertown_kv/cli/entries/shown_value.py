"""Write a value to the standard output."""

import sys
from collections.abc import Callable
from typing import Any

import click
import msgspec

from ...entry import Entry, is_utf8
from ...errors import NotAcceptable
from .lines import is_plain, json_line


def value_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags that choose the form of a value."""
    text = click.option(
        "--text", "is_text", is_flag=True, help="Write a JSON string as its text, without quotes."
    )
    as_json = click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Write one line of JSON with the key, the value (bytes as base64), the version, the "
        "expiry and the metadata.",
    )
    return text(as_json(command))


def write_value(entry: Entry, *, is_text: bool, as_json: bool) -> None:
    """Write a value in the form that the flags choose.

    Raises `NotAcceptable` if the standard output is a terminal and the value is not text.
    """
    if is_text and as_json:
        raise click.UsageError("--text and --json exclude each other")
    if as_json:
        click.echo(json_line(entry))
        return
    value = _text_in(entry) if is_text else entry.value
    output = sys.stdout.buffer
    if sys.stdout.isatty():
        if not is_utf8(value) or not is_plain(value.decode()):
            raise NotAcceptable(
                f"The value has {len(value):,} bytes that are not text, which may confuse the "
                "terminal; write it to a file: workertown-kv get … > FILE"
            )
        value = value if value.endswith(b"\n") else value + b"\n"
    output.write(value)
    output.flush()


def _text_in(entry: Entry) -> bytes:
    """Return the text of a JSON string, and any other value as it is."""
    if entry.is_json and entry.value.startswith(b'"'):
        text: str = msgspec.json.decode(entry.value)
        return text.encode()
    return entry.value
