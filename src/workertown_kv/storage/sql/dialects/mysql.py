"""Write statements for MySQL and MariaDB. `docs/storages/mysql.md` explains the layout.

These engines change a schema outside of transactions. So a statement of a migration must do no harm
if it has run before, but its record was lost.
"""

from collections.abc import Sequence
from typing import ClassVar, Final

from ....entry import Entry
from ...gathered_operations import JOB_BYTES
from ...snapshot import EntryKey
from ..changes.mysql import CHANGES
from ..migrations import Script
from ..server_statements import ServerStatements
from ..statements import MOST_BYTES, alive
from ..writing import Statement, Writing

RECORD: Final = """
    CREATE TABLE IF NOT EXISTS "{table}_migration" (
        name        VARCHAR(64) CHARACTER SET ascii NOT NULL PRIMARY KEY,
        executed_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
    ) ENGINE = InnoDB
"""
"""The table that has the names of the migrations that have run."""

MIGRATIONS: Final = {
    "0001_entry": Script(
        up=[
            # VARBINARY, since comparisons of a VARCHAR ignore spaces at its end.
            """
            CREATE TABLE IF NOT EXISTS "{table}" (
                namespace  VARBINARY(255) NOT NULL,
                "key"      VARBINARY(2048) NOT NULL,  -- in UTF-8
                version    VARBINARY(64) NOT NULL,
                expires_at DOUBLE,                    -- Unix seconds; NULL: never
                metadata   TEXT,                      -- a JSON object
                value      LONGTEXT,                  -- where it is JSON
                bytes      LONGBLOB,                  -- where it is not
                PRIMARY KEY (namespace, "key"),
                KEY "{table}_expires_at" (expires_at),
                CHECK ((value IS NULL) <> (bytes IS NULL))
            ) ENGINE = InnoDB ROW_FORMAT = DYNAMIC
            CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
            """,
            # A table that existed before may belong to another application.
            """
            SELECT namespace, "key", version, expires_at, metadata, value, bytes
            FROM "{table}" LIMIT 0
            """,
        ],
        down=['DROP TABLE IF EXISTS "{table}"'],
    ),
    "0002_changes": CHANGES,
}
"""Every change of the schema, in order."""


class MysqlStatements(ServerStatements):
    """Statements in the dialect of MySQL."""

    same: ClassVar = "<=>"
    whole: ClassVar = "SIGNED"

    def mark(self, number: int) -> str:
        return "?"

    def replacing(self, condition: str | None) -> str:
        # The server runs the assignments from left to right. No version is used twice, so the later
        # assignments see by the version whether the first assignment took the new row.
        first, *others = self.columns
        new, old = f"VALUES({first})", f"{self.table}.{first}"
        if condition is None:
            each = [f"{column} = VALUES({column})" for column in self.columns]
        else:
            each = [f"{first} = IF({condition}, {new}, {old})"]
            each += [
                f"{column} = IF({old} = {new}, VALUES({column}), {self.table}.{column})"
                for column in others
            ]
        return f"ON DUPLICATE KEY UPDATE {', '.join(each)}"

    def read(self, keys: Sequence[EntryKey], now: float, value_bytes: int) -> Statement:
        to = Writing(self.mark)
        limit = min(value_bytes, MOST_BYTES)
        return to.statement(
            'SELECT entry.namespace, entry."key", '
            "entry.version, entry.expires_at, entry.metadata, "
            f"CASE WHEN upto.bytes <= {to.add(limit)} THEN entry.value END, "
            f"CASE WHEN upto.bytes <= {to.add(limit)} THEN entry.bytes END "
            'FROM (SELECT namespace, "key", '
            "sum(coalesce(octet_length(value), octet_length(bytes))) "
            'OVER (ORDER BY namespace, "key") AS bytes '
            f"FROM {self.table} WHERE {self.at_any(to, keys)} AND {alive(to.add(now))}) AS upto "
            f"JOIN {self.table} AS entry "
            'ON entry.namespace = upto.namespace AND entry."key" = upto."key"'
        )

    def read_each(self, keys: Sequence[EntryKey], now: float) -> Statement:
        to = Writing(self.mark)
        values = [
            f"CASE WHEN octet_length({one}) <= {JOB_BYTES} THEN {one} END" for one in self.contents
        ]
        return to.statement(
            f'SELECT namespace, "key", {self.about}, {", ".join(values)} FROM {self.table} '
            f"WHERE {self.at_any(to, keys)} AND {alive(to.add(now))}"
        )

    def put_each(self, entries: Sequence[tuple[EntryKey, Entry]]) -> Statement:
        smallest = min(entries, key=lambda one: len(one[1].value))
        return self.put([*entries, *[smallest] * _missing(len(entries))])

    def claim(self, keys: Sequence[EntryKey], placeholder: str) -> Statement:
        to = Writing(self.mark)
        rest = (self.text(placeholder), 0.0, b"null")
        repeated = [*keys, *[keys[-1]] * _missing(len(keys))]
        rows = ", ".join([to.row((*self.key_values(at), *rest)) for at in repeated])
        return to.statement(
            f'INSERT INTO {self.table} (namespace, "key", version, expires_at, value) '
            f"VALUES {rows} ON DUPLICATE KEY UPDATE version = {self.table}.version"
        )

    @property
    def now(self) -> Statement:
        # Without the cast, a time with a fraction is a decimal.
        return "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) AS DOUBLE)", ()

    @property
    def careless(self) -> Statement:
        name = "innodb_flush_log_at_trx_commit"
        return f"SELECT '{name}', @@{name} FROM DUAL WHERE @@{name} <> 1", ()

    @property
    def sweep_claim(self) -> Statement:
        return f"SELECT GET_LOCK({self._sweeper}, 0)", ()

    @property
    def sweep_release(self) -> Statement:
        return f"SELECT RELEASE_LOCK({self._sweeper})", ()

    @property
    def _sweeper(self) -> str:
        # A lock belongs to the whole server, and its name has at most 64 characters.
        table = self.table.strip('"')
        return f"CONCAT('workertown-kv sweep ', SHA1(CONCAT(DATABASE(), '.{table}')))"

    def sweep(self, before: float, limit: int) -> Statement:
        to = Writing(self.mark)
        return to.statement(
            f"DELETE FROM {self.table} WHERE expires_at <= {to.add(before)} "
            f"ORDER BY expires_at LIMIT {to.add(limit)}"
        )


def _missing(rows: int) -> int:
    """Return how many rows to repeat, so that the server prepares few different texts.

    To write a row again changes nothing.
    """
    return (1 << (rows - 1).bit_length()) - rows
