"""Cursors of listings: those of Workers KV, known as ones of a prefix."""

import hashlib

from ....errors import InputError
from ....operations import List


def cursor_for(prefix: str, cursor: str) -> str:
    """What we make of a cursor of Workers KV, which itself does not look at the prefix."""
    return f"{_mark(prefix)}{cursor}"


def cursor_in(operation: List) -> str | None:
    """The cursor of Workers KV in one of ours. Raises `InputError`."""
    if operation.cursor is None:
        return None
    mark = _mark(operation.prefix)
    if not operation.cursor.startswith(mark) or operation.cursor == mark:
        raise InputError("The cursor is not of a listing with this prefix")
    return operation.cursor[len(mark) :]


def _mark(prefix: str) -> str:
    return hashlib.sha256(prefix.encode()).hexdigest()[:8]
