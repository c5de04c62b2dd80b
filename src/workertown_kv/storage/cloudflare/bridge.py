"""Convert values between Python and JavaScript, by Pyodide."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import js  # type: ignore[import-not-found]  # only Pyodide has it
from pyodide import ffi  # type: ignore[import-not-found]  # only Pyodide has it

JsError: Final[type[Exception]] = ffi.JsException
"""The error that Python raises for an exception of JavaScript."""

# JavaScript's null becomes this or `None` in Python, as the embedder chooses. Only this becomes
# null again, since `None` becomes `undefined`.
_NULL: Final = ffi.jsnull


def unwrapped(binding: Any) -> Any:
    """Return the JavaScript object itself. Cloudflare's SDK wraps each binding in an object."""
    if isinstance(binding, ffi.JsProxy) or "workers" not in sys.modules:
        return binding
    return importlib.import_module("workers").python_to_rpc(binding)


def is_null(value: Any) -> bool:
    """Return whether a value is JavaScript's null or undefined."""
    return value is None or value is _NULL


def plain(value: Any) -> Any:
    """Return text and numbers as they are, and `None` for null."""
    return None if is_null(value) else value


def argument(value: bytes | str | float | None) -> Any:
    """Convert a value for JavaScript. Bytes are copied into an array of JavaScript."""
    if value is None:
        return _NULL
    return ffi.to_js(value) if isinstance(value, bytes) else value


def made_object(members: Mapping[str, Any]) -> Any:
    """Make a JavaScript object with these members."""
    return ffi.to_js(members, dict_converter=js.Object.fromEntries)


def made_array(items: Sequence[Any]) -> Any:
    """Make a JavaScript array."""
    return ffi.to_js(items)


def parsed(text: str) -> Any:
    """Parse JSON text into a value of JavaScript."""
    return js.JSON.parse(text)


def stringified(value: Any) -> str:
    """Return the JSON text that JavaScript writes for a value."""
    text: str = js.JSON.stringify(value)
    return text


def survives(text: str) -> bool:
    """Return whether JSON text stays the same when JavaScript parses it and writes it again.

    Numbers such as `1.0`, escapes, and names that are numbers change.
    """
    try:
        return stringified(parsed(text)) == text
    except JsError:
        return False


def bytes_of(value: Any) -> bytes:
    """Return the bytes of an `ArrayBuffer`, or of an array of numbers."""
    if not hasattr(value, "to_bytes"):
        value = js.Uint8Array.new(value)
    found: bytes = value.to_bytes()
    return found
