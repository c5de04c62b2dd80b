"""The statements on single entries, and on keys."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ....operations import Delete, Get, List, Precondition, Set
from ...contract import key_cursor
from .rows import VALUE_BYTES, Statement, Value, columns_of, namespace, place

ENTRY: Final = "namespace, key, version, expires_at, metadata, value"
REPLACE: Final = (
    "ON CONFLICT DO UPDATE SET version = excluded.version, expires_at = excluded.expires_at, "
    "metadata = excluded.metadata, value = excluded.value"
)
_KEY_INFO: Final = "namespace, key, version, expires_at, metadata"
_THIS: Final = "namespace = ?1 AND key = ?2 AND (expires_at IS NULL OR expires_at > ?3)"


def get(operation: Get, now: float, value_bytes: int = VALUE_BYTES) -> Statement:
    """The entry; `value` is null where it has more bytes than these."""
    return (
        (
            f"SELECT {_KEY_INFO}, iif(octet_length(value) <= ?4, value, NULL) AS value "
            f"FROM entry WHERE {_THIS}"
        ),
        (*place(operation), now, value_bytes),
    )


def set(operation: Set, version: str, now: float) -> Statement:
    """Write the entry if its precondition holds; there is a row if it did."""
    at, columns = place(operation), columns_of(operation.entry(version))
    if operation.precondition is None:
        values = "VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
        return f"INSERT INTO entry ({ENTRY}) {values} {REPLACE} RETURNING 1", (*at, *columns)
    holds, given = _holds(operation.precondition, 8)
    return (
        (
            f"INSERT INTO entry ({ENTRY}) SELECT ?1, ?2, ?4, ?5, ?6, ?7 WHERE {holds} "
            f"{REPLACE} RETURNING 1"
        ),
        (*at, now, *columns, *given),
    )


def delete(operation: Delete, now: float) -> Sequence[Statement]:
    """Remove the entry if its precondition holds; the first one has a row if it does."""
    at = place(operation)
    if operation.precondition is None:
        return [("DELETE FROM entry WHERE namespace = ?1 AND key = ?2", at)]
    holds, given = _holds(operation.precondition, 4)
    values: Sequence[Value] = (*at, now, *given)
    return [
        (f"SELECT 1 WHERE {holds}", values),
        (f"DELETE FROM entry WHERE namespace = ?1 AND key = ?2 AND {holds}", values),
    ]


def list(operation: List, now: float) -> Statement:
    """One key more than a page has."""
    after = key_cursor(operation)
    start, first = (">=", operation.prefix) if after is None else (">", after)
    # Every text sorts before every blob, so x'' is an end that no key reaches.
    return (
        (
            f"SELECT {_KEY_INFO} FROM entry WHERE namespace = ?1 AND key {start} ?2 "
            "AND key < coalesce(?3, x'') AND (expires_at IS NULL OR expires_at > ?4) "
            "ORDER BY key LIMIT ?5"
        ),
        (
            namespace(operation),
            first,
            _end_of_prefix(operation.prefix),
            now,
            operation.limit + 1,
        ),
    )


def sweep(before: float, limit: int) -> Statement:
    """Remove at most this many rows that expired before this time, or at it; a row for each."""
    return (
        (
            "DELETE FROM entry WHERE rowid IN (SELECT rowid FROM entry WHERE expires_at <= ?1 "
            "ORDER BY expires_at LIMIT ?2) RETURNING 1"
        ),
        (before, limit),
    )


def _holds(condition: Precondition, number: int) -> tuple[str, Sequence[str]]:
    """Whether it holds for the entry at `?1` and `?2` at the time `?3`, and what goes beside it.

    `number` is that of the next mark.
    """
    where, given = _THIS, []
    if condition.versions is not None:
        where += f" AND version IN (SELECT value FROM json_each(?{number}))"
        # No version has a NUL, at which SQLite ends a text of JSON.
        known = [version for version in condition.versions if "\0" not in version]
        given.append(msgspec.json.encode(known).decode())
    exists = "NOT EXISTS" if condition.negated else "EXISTS"
    return f"{exists} (SELECT 1 FROM entry WHERE {where})", given


def _end_of_prefix(prefix: str) -> str | None:
    """The first string after all that start with the prefix; `None` where there is none."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    # UTF-8 has no surrogates: U+E000 comes after U+D7FF.
    return stem[:-1] + chr(0xE000 if following == 0xD800 else following)
