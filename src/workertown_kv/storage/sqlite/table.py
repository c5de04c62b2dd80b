"""The table `entry` through one connection: every statement there is, and what goes into it."""

from typing import Final, cast

import apsw

from ...entry import Entry, KeyInfo
from ...errors import PreconditionFailed
from ...operations import Delete, Get, List, Set
from ..contract import SWEEP_MARGIN_SECONDS, Clock
from ..version import new_version

SCANNED_ROWS: Final = 20_000
"""A step of a listing walks over no more rows than these, expired or not."""

SWEEP_BYTES: Final = 8 * 1024 * 1024
"""A step of the sweep stops once it has removed values of this many bytes."""

_ENTRY = "typeof(value) = 'text', version, expires_at, CAST(metadata AS BLOB)"
_THIS = "namespace = ?1 AND key = ?2 AND (expires_at IS NULL OR expires_at > ?3)"

# The casts let JSON be text in the file and bytes in Python, without decoding it on the way.
_GET = f"SELECT CAST(value AS BLOB), {_ENTRY} FROM entry WHERE {_THIS}"
_GET_UP_TO = f"""
    SELECT CASE WHEN octet_length(value) <= ?4 THEN CAST(value AS BLOB) END, {_ENTRY}
    FROM entry WHERE {_THIS}
"""
_GET_VERSION = f"SELECT version FROM entry WHERE {_THIS}"
_SET = """
    INSERT INTO entry (namespace, key, version, expires_at, metadata, value)
    VALUES (?1, ?2, ?3, ?4, CAST(?5 AS TEXT), iif(?7, CAST(?6 AS TEXT), ?6))
    ON CONFLICT DO UPDATE SET version = excluded.version, expires_at = excluded.expires_at,
        metadata = excluded.metadata, value = excluded.value
"""
_DELETE = "DELETE FROM entry WHERE namespace = ? AND key = ?"
# Every text sorts before every blob, so x'' is an end that no key reaches. The last row, which
# comes only where the others are too few, is the key to go on after.
_LIST = """
    SELECT * FROM (
        SELECT key, version, expires_at, CAST(metadata AS BLOB) FROM (
            SELECT key, version, expires_at, metadata {rows} LIMIT {scanned}
        ) WHERE expires_at IS NULL OR expires_at > ?4
    ) UNION ALL SELECT (SELECT key {rows} LIMIT 1 OFFSET {scanned} - 1), NULL, NULL, NULL
    LIMIT ?5
"""
_LISTED = """
    FROM entry WHERE namespace = ?1 AND key {start} ?2 AND key < coalesce(?3, x'') ORDER BY key
"""
_LIST_FROM = _LIST.format(rows=_LISTED.format(start=">="), scanned=SCANNED_ROWS)
_LIST_AFTER = _LIST.format(rows=_LISTED.format(start=">"), scanned=SCANNED_ROWS)
_EXPIRED = """
    SELECT rowid, octet_length(value) FROM entry WHERE expires_at <= ? ORDER BY expires_at LIMIT ?
"""
_Row = tuple[str, str, float | None, bytes | None]

_REMOVE = "DELETE FROM entry WHERE rowid = ?"


class EntryTable:
    """The acts on entries, synchronous. Transactions are the caller's."""

    def __init__(self, db: apsw.Connection, clock: Clock) -> None:
        self.db = db
        self._clock = clock

    def get(self, operation: Get) -> Entry | None:
        """The entry, whatever its size."""
        row = self.db.execute(_GET, self._this(operation)).get
        return None if row is None else _entry(operation.key, row)

    def get_up_to(self, operation: Get, value_bytes: int) -> Entry | bool | None:
        """The entry, or `False` where its value has more bytes than these."""
        row = self.db.execute(_GET_UP_TO, (*self._this(operation), value_bytes)).get
        if row is None:
            return None
        return False if row[0] is None else _entry(operation.key, row)

    def set(self, operation: Set) -> str:
        """Write the entry; its new version."""
        self._check_precondition(operation)
        version = new_version()
        self.db.execute(
            _SET,
            (
                operation.namespace,
                operation.key,
                version,
                operation.expires_at,
                operation.metadata,
                operation.value,
                operation.is_json,
            ),
        )
        return version

    def delete(self, operation: Delete) -> None:
        """Remove the entry."""
        self._check_precondition(operation)
        self.db.execute(_DELETE, (operation.namespace, operation.key))

    def list_some(
        self, operation: List, after: str | None, wanted: int
    ) -> tuple[list[KeyInfo], str | None]:
        """Return the first keys after this one, as many as are wanted, out of `SCANNED_ROWS` rows.

        With them comes the key to go on after, or `None` where there are enough or no more.
        """
        rows = self.db.execute(
            _LIST_FROM if after is None else _LIST_AFTER,
            (
                operation.namespace,
                operation.prefix if after is None else after,
                _end_of_prefix(operation.prefix),
                self._clock(),
                wanted,
            ),
        ).fetchall()
        going_on = None
        if len(rows) < wanted or rows[-1][1] is None:
            going_on = cast("str | None", rows.pop()[0])
        keys = [
            KeyInfo(key=key, version=version, expires_at=expires_at, metadata=metadata)
            for key, version, expires_at, metadata in cast("list[_Row]", rows)
        ]
        return keys, going_on

    def sweep(self, limit: int) -> int:
        """Remove expired entries, the oldest first; how many."""
        swept = size = 0
        before = self._clock() - SWEEP_MARGIN_SECONDS
        expired = self.db.execute(_EXPIRED, (before, limit)).fetchall()
        for rowid, value_bytes in cast("list[tuple[int, int]]", expired):
            self.db.execute(_REMOVE, (rowid,))
            swept += 1
            size += value_bytes
            if size > SWEEP_BYTES:
                break
        return swept

    def _check_precondition(self, operation: Set | Delete) -> None:
        if operation.precondition is not None:
            version = self.db.execute(_GET_VERSION, self._this(operation)).get
            if not operation.precondition.holds(cast("str | None", version)):
                raise PreconditionFailed

    def _this(self, operation: Get | Set | Delete) -> tuple[str, str, float]:
        return (operation.namespace, operation.key, self._clock())


def _entry(key: str, row: tuple[bytes, int, str, float | None, bytes | None]) -> Entry:
    value, is_json, version, expires_at, metadata = row
    return Entry(
        key=key,
        value=value,
        is_json=is_json == 1,
        version=version,
        expires_at=expires_at,
        metadata=metadata,
    )


def _end_of_prefix(prefix: str) -> str | None:
    """The first string after all that start with the prefix; `None` where there is none."""
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    # UTF-8 has no surrogates: U+E000 comes after U+D7FF.
    return stem[:-1] + chr(0xE000 if following == 0xD800 else following)
