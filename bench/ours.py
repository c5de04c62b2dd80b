"""Starts `workertown-kv serve` with what a user gets by default, and fills it."""

import base64
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import apsw
from joserfc import jwt
from joserfc.jwk import OctKey

from workertown_kv.testing.served import free_port

from .data import Data
from .engines import Engine, StartEngine, sqlite
from .processes import running
from .requests import fill
from .server import Request, Server

NAME: Final = "workertown-kv"
UNRECORDED_NAME: Final = f"{NAME} that records no changes"
BASE_NAME: Final = f"{NAME}, base case"
"""The name of the server with the base case, beside another of ours in the same scenario."""
SECRET: Final = "a shared secret that has more than 32 bytes"
_MUCH: Final = 10_000_000
"""From this many bytes on, SQL fills the file before the server starts, and not requests."""


def _bearer() -> str:
    claims = {"sub": "bench", "exp": int(time.time()) + 24 * 3600}
    return "Bearer " + jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))


CREDENTIALS: Final[Mapping[str, tuple[Mapping[str, str], Callable[[], str]]]] = {
    "API key": ({"KV_API_KEY": "bench-key"}, lambda: "Bearer bench-key"),
    "Basic": (
        {"KV_USERNAME": "ada", "KV_PASSWORD": "engine"},
        lambda: "Basic " + base64.b64encode(b"ada:engine").decode(),
    ),
    "JWT": ({"KV_JWT_SECRET": SECRET}, _bearer),
}
"""The variables that each kind of credentials needs, and the field that carries them."""


def ours(
    *args: str,
    credentials: str = "API key",
    engine: StartEngine = sqlite,
    changes: bool = True,
) -> Callable[[Path, Data], AbstractContextManager[Server]]:
    """Return what starts the server: on SQLite or another engine, and with further flags."""
    env, authorization = CREDENTIALS[credentials]
    if not changes:
        env = {**env, "KV_OPTIONS__CHANGES": "false"}

    @contextmanager
    def start(folder: Path, data: Data) -> Iterator[Server]:
        with (
            engine(folder) as behind,
            _filled(behind, folder, data, args, env, authorization) as server,
        ):
            yield server

    return start


def command(port: int, database: str | Path, *args: str) -> list[str]:
    """Return the command line of a server."""
    serve = [sys.executable, "-m", "workertown_kv", "serve", "--port", str(port)]
    return [*serve, "--database", str(database), *args]


@contextmanager
def _filled(
    engine: Engine,
    folder: Path,
    data: Data,
    args: tuple[str, ...],
    env: Mapping[str, str],
    authorization: Callable[[], str],
) -> Iterator[Server]:
    port = free_port()
    is_much = data.keys * data.size >= _MUCH
    if is_much:
        with running(command(port, engine.url), port, folder, env):
            pass  # makes the schema
        _fill_file(Path(engine.url), data)
    with running(command(port, engine.url, *args), port, folder, env) as pid:
        server = Server(
            name=NAME,
            port=port,
            pids=(pid,),
            get=lambda key: Request("GET", f"/v1/kv/{key}"),
            put=lambda key, value: Request("PUT", f"/v1/kv/{key}", f'{{"value":{value}}}'),
            headers={"Authorization": authorization(), "Content-Type": "application/json"},
            engine_pids=engine.pids,
        )
        if not is_much:
            for request in fill(data):
                server.expect(request)
        yield server


def _fill_file(database: Path, data: Data) -> None:
    """Write the rows as the storage would, but all at once: a million take seconds, not minutes."""
    version = "0" * 32
    db = apsw.Connection(str(database))
    db.execute("PRAGMA synchronous = OFF; PRAGMA cache_size = -500000")
    with db:
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)"
            "INSERT INTO entry (namespace, key, version, value)"
            "SELECT 'default', format('key%08d', i), ?, ? FROM n",
            (data.keys, version, data.value),
        )
    db.close()
