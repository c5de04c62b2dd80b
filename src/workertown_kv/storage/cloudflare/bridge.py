"""Between Python and JavaScript, as Pyodide has it: values there and back, and null."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import js  # type: ignore[import-not-found]  # only Pyodide has it
from pyodide import ffi  # type: ignore[import-not-found]  # only Pyodide has it

JsError: Final[type[Exception]] = ffi.JsException
"""What JavaScript throws."""

# By the embedder's choice a null comes to Python as this or as `None`; it goes out as this alone,
# since `None` becomes `undefined`, which is something else.
_NULL: Final = ffi.jsnull


def unwrapped(binding: Any) -> Any:
    """The JavaScript object itself: Cloudflare's SDK puts one of its own around each binding."""
    if isinstance(binding, ffi.JsProxy) or "workers" not in sys.modules:
        return binding
    return importlib.import_module("workers").python_to_rpc(binding)


def is_null(value: Any) -> bool:
    """Whether it is JavaScript's null or undefined."""
    return value is None or value is _NULL


def plain(value: Any) -> Any:
    """Text and numbers as they are, and `None` for null."""
    return None if is_null(value) else value


def argument(value: bytes | str | float | None) -> Any:
    """A value as JavaScript takes it; bytes are copied into an array of its own."""
    if value is None:
        return _NULL
    return ffi.to_js(value) if isinstance(value, bytes) else value


def made_object(members: Mapping[str, Any]) -> Any:
    """A JavaScript object with these members."""
    return ffi.to_js(members, dict_converter=js.Object.fromEntries)


def made_array(items: Sequence[Any]) -> Any:
    """A JavaScript array."""
    return ffi.to_js(items)


def parsed(text: str) -> Any:
    """What JavaScript makes of JSON text."""
    return js.JSON.parse(text)


def stringified(value: Any) -> str:
    """JSON text, as JavaScript writes it."""
    text: str = js.JSON.stringify(value)
    return text


def survives(text: str) -> bool:
    """Whether JSON text is the same once JavaScript has parsed it and written it anew.

    Numbers such as `1.0`, escapes, and names that are numbers are not.
    """
    try:
        return stringified(parsed(text)) == text
    except JsError:
        return False


def bytes_of(value: Any) -> bytes:
    """The bytes of an `ArrayBuffer`, or of an array of numbers."""
    if not hasattr(value, "to_bytes"):
        value = js.Uint8Array.new(value)
    found: bytes = value.to_bytes()
    return found
