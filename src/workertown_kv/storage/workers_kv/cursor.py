"""Mark the cursors of Workers KV with the prefix of the listing."""

import hashlib

from ...errors import InputError
from ...operations import List


def cursor_for(prefix: str, cursor: str) -> str:
    """Mark a cursor of Workers KV with the prefix, which Workers KV does not check."""
    return f"{_mark(prefix)}{cursor}"


def cursor_in(operation: List) -> str | None:
    """Return the cursor of Workers KV in a marked cursor. Raises `InputError`."""
    if operation.cursor is None:
        return None
    mark = _mark(operation.prefix)
    if not operation.cursor.startswith(mark) or operation.cursor == mark:
        raise InputError("The cursor is not of a listing with this prefix")
    return operation.cursor[len(mark) :]


def _mark(prefix: str) -> str:
    return hashlib.sha256(prefix.encode()).hexdigest()[:8]
