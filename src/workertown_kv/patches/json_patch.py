"""Apply a JSON Patch (RFC 6902)."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import PatchConflict, ValueTooLarge
from .tree import Tree, parsed, written

_SHOWN = 200


def patched(text: bytes, operations: Sequence[Mapping[str, Any]], *, copied_bytes: int) -> bytes:
    """Return the JSON text of a value after the operations of a patch, which `parsed` has made.

    The `copy` operations may copy `copied_bytes` of JSON text together: a few of them could double
    a value again and again. Raises `PatchConflict` if an operation cannot be done.
    """
    from jsonpatch import JsonPatch, JsonPatchException  # noqa: PLC0415  (few requests need it)
    from jsonpointer import EndOfList, JsonPointer, JsonPointerException  # noqa: PLC0415

    tree: Tree = parsed(text)
    copied = 0
    for index, operation in enumerate(operations):
        try:
            if operation["op"] == "copy":
                source = JsonPointer(operation["from"]).resolve(tree)
                if isinstance(source, EndOfList):
                    raise PatchConflict(f"Operation {index} cannot be done: nothing is at its from")
                copied += len(written(source))
                if copied > copied_bytes:
                    raise ValueTooLarge(
                        f"The copy operations copy more than {copied_bytes:,} bytes together"
                    )
            tree = JsonPatch([operation]).apply(tree, in_place=True)
        except (JsonPatchException, JsonPointerException) as error:
            raise PatchConflict(f"Operation {index} cannot be done: {_reason(error)}") from error
        except RecursionError as error:
            raise PatchConflict("The value is nested too deep for JSON Patch") from error
    return written(tree)


def _reason(error: Exception) -> str:
    if isinstance(error, AssertionError):
        return "the test failed"
    reason = str(error)
    return reason if len(reason) <= _SHOWN else f"{reason[:_SHOWN]}…"
