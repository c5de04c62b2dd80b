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


def check_form(*, is_text: bool, as_json: bool) -> None:
    """Raise `click.UsageError` for flags that contradict each other."""
    if is_text and as_json:
        raise click.UsageError("--text and --json exclude each other")


def check_shown(entry: Entry, *, as_json: bool) -> None:
    """Raise `NotAcceptable` if a terminal would get bytes that are not text."""
    if as_json or not sys.stdout.isatty():
        return
    if not is_utf8(entry.value) or not is_plain(entry.value.decode()):
        raise not_shown(len(entry.value))


def not_shown(size: int | None = None) -> NotAcceptable:
    """Return the error for bytes that are not text, on a terminal."""
    has = "has" if size is None else f"has {size:,}"
    return NotAcceptable(
        f"The value {has} bytes that are not text, which may confuse the terminal; write it to a "
        "file: workertown-kv … > FILE"
    )


def write_value(entry: Entry, *, is_text: bool, as_json: bool) -> None:
    """Write a value in the form that the flags choose; a terminal also gets a line feed."""
    if as_json:
        click.echo(json_line(entry))
        return
    value = _text_in(entry) if is_text else entry.value
    if sys.stdout.isatty() and not value.endswith(b"\n"):
        value += b"\n"
    sys.stdout.buffer.write(value)
    sys.stdout.buffer.flush()


def _text_in(entry: Entry) -> bytes:
    """Return the text of a JSON string, and any other value as it is."""
    if entry.is_json and entry.value.startswith(b'"'):
        text: str = msgspec.json.decode(entry.value)
        return text.encode()
    return entry.value
