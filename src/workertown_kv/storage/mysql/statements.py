"""What MySQL and MariaDB add to the statements of all engines."""

from ..sql import Statement, Statements
from ..sql.statements import COLUMNS
from ..sql.writing import Writing


class MysqlStatements(Statements):
    """Statements as MySQL wants them."""

    def mark(self, number: int) -> str:
        return "?"

    def replacing(self, condition: str | None) -> str:
        # The assignments are made from left to right. No version is used twice, so once the first
        # one is made, the others tell by the version whether it took the new one.
        first, *others = COLUMNS
        new, old = f"VALUES({first})", f"{self.table}.{first}"
        if condition is None:
            each = [f"{column} = VALUES({column})" for column in COLUMNS]
        else:
            each = [f"{first} = IF({condition}, {new}, {old})"]
            each += [
                f"{column} = IF({old} = {new}, VALUES({column}), {self.table}.{column})"
                for column in others
            ]
        return f"ON DUPLICATE KEY UPDATE {', '.join(each)}"

    def keeping(self) -> str:
        return f"ON DUPLICATE KEY UPDATE version = {self.table}.version"

    @property
    def now(self) -> Statement:
        # With a fraction it is a decimal.
        return "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) AS DOUBLE)", ()

    @property
    def careless(self) -> Statement:
        name = "innodb_flush_log_at_trx_commit"
        return f"SELECT '{name}', @@{name} FROM DUAL WHERE @@{name} <> 1", ()

    def sweep_claim(self, before: float) -> Statement:
        to = Writing(self.mark)
        return to.statement(
            f"SELECT GET_LOCK({self._sweeper}, 0) FROM {self.table} "
            f"WHERE expires_at <= {to.add(before)} LIMIT 1"
        )

    def sweep_release(self) -> Statement:
        return f"SELECT RELEASE_LOCK({self._sweeper})", ()

    @property
    def _sweeper(self) -> str:
        # Locks are of the whole server, and their names have at most 64 characters.
        table = self.table.strip('"')
        return f"CONCAT('workertown-kv sweep ', SHA1(CONCAT(DATABASE(), '.{table}')))"

    def sweep(self, before: float, limit: int) -> Statement:
        to = Writing(self.mark)
        return to.statement(
            f"DELETE FROM {self.table} WHERE expires_at <= {to.add(before)} "
            f"ORDER BY expires_at LIMIT {to.add(limit)}"
        )
