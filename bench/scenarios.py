"""Lists what is measured: each scenario changes one factor of the base case.

The base case reads values of 100 bytes, 10 thousand of them, from SQLite, with an API key, the
access log on, one worker and 64 connections.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from . import clients, engines
from .data import MIB_25, Data
from .load import Load
from .measure import Setup, always, served
from .native import native
from .ours import BASE_NAME, UNRECORDED_NAME, ours
from .peers.bare import bare_protocol, bare_uvicorn, bare_writer
from .peers.etcd import etcd
from .peers.kinto import kinto
from .peers.nginx import nginx
from .peers.webdis import webdis
from .requests import batches, gets, missing, mix, pages, puts, unchanged
from .startup import START, startup

BASE: Final = "get"
_BASE_DATA: Final = Data()
_GET: Final = Load("GET", gets)
_PUT: Final = Load("PUT", puts)
_OURS: Final = served(ours())
_BASE_CASE: Final = always(ours(), BASE_NAME, _BASE_DATA, (_GET,))
_WEBDIS: Final = served(webdis)
_NGINX: Final = served(nginx)


@dataclass(frozen=True)
class Scenario:
    """Describes loads that run at the same time, and the subjects that they run against."""

    about: str
    setups: Sequence[Setup] = (_OURS,)
    loads: Sequence[Load] = (_GET,)
    data: Data = _BASE_DATA
    beside: str = BASE
    """The scenario whose figures of ours these are compared with, if ours is the only subject."""
    by_name_only: bool = False
    start_seconds: float = 2
    """How long a subject takes to start and to be filled, about."""


def _over(engine: engines.StartEngine, client: clients.Client, name: str) -> tuple[Setup, Setup]:
    return served(ours(engine=engine)), native(name, client, engine)


def _recording(engine: engines.StartEngine = engines.sqlite) -> tuple[Setup, Setup]:
    without = ours(engine=engine, changes=False)
    return served(ours(engine=engine)), always(without, UNRECORDED_NAME, _BASE_DATA, (_PUT,))


_POSTGRES: Final = _over(engines.postgres, clients.asyncpg_client, "asyncpg, one by one")
_MARIADB: Final = _over(engines.mariadb, clients.asyncmy_client, "asyncmy, one by one")
_REDIS: Final = _over(engines.redis, clients.redis_client, "redis-py, one by one")
_MEMORY: Final = (served(ours(engine=engines.memory)),)
_APSW: Final = native("apsw in process", clients.apsw_client, engines.sqlite)

_KB: Final = Data(size=1_000)
_100_KB: Final = Data(keys=100, size=100_000)
_LARGEST: Final = Data(keys=1, size=MIB_25)
_LARGE_GET: Final = Load("GET 25 MiB", gets, connections=1)
_LARGE_PUT: Final = Load("PUT", puts, connections=1)
_SMALL: Final = Load("GET 404", missing, connections=8, status=404)
"""Small requests beside large ones. All values there are large, so these ask for none."""

SCENARIOS: Final[Mapping[str, Scenario]] = {
    BASE: Scenario(
        "GET of 100 bytes: the base case",
        (_OURS, _WEBDIS, _NGINX, *map(served, (bare_protocol, bare_uvicorn, etcd, kinto))),
    ),
    "get-1": Scenario("GET by 1 connection", loads=(Load("GET", gets, 1),)),
    "get-8": Scenario("GET by 8 connections", loads=(Load("GET", gets, 8),)),
    "get-256": Scenario("GET by 256 connections", loads=(Load("GET", gets, 256),)),
    "get-1kb": Scenario("GET of 1 KB", (_OURS, _WEBDIS, _NGINX), data=_KB),
    "get-100kb": Scenario("GET of 100 KB", (_OURS, _WEBDIS, _NGINX), data=_100_KB),
    "get-25mib": Scenario("GET of 25 MiB", (_OURS, _NGINX), (_LARGE_GET,), _LARGEST),
    "get-25mib-beside": Scenario(
        "GET of 25 MiB, and small requests meanwhile", loads=(_LARGE_GET, _SMALL), data=_LARGEST
    ),
    "missing": Scenario(
        "GET of missing keys", (_OURS, _BASE_CASE), (Load("GET", missing, status=404),)
    ),
    "unchanged": Scenario(
        "GET that is answered 304", (_OURS, _BASE_CASE), (Load("GET", unchanged, status=304),)
    ),
    "list": Scenario("list a page of 100 keys", loads=(Load("GET", pages),)),
    "batch": Scenario("read 100 values with one request", loads=(Load("POST", batches),)),
    "keys-1m": Scenario(
        "GET, 1 million keys", (_OURS, _BASE_CASE), data=Data(keys=1_000_000), start_seconds=4
    ),
    "keys-10m": Scenario(
        "GET, 10 million keys",
        (_OURS, _BASE_CASE),
        data=Data(keys=10_000_000),
        by_name_only=True,
        start_seconds=20,
    ),
    "workers-2": Scenario("GET, 2 workers", (served(ours("--workers", "2")), _WEBDIS)),
    "log-off": Scenario(
        "GET without the access log", (served(ours("--no-access-log")), _BASE_CASE)
    ),
    "basic": Scenario("GET with a user name", (served(ours(credentials="Basic")),)),
    "jwt": Scenario("GET with a JSON Web Token", (served(ours(credentials="JWT")),)),
    "put": Scenario(
        "durable PUT of 100 bytes",
        (_OURS, _WEBDIS, *map(served, (bare_writer, etcd, kinto))),
        (_PUT,),
    ),
    "put-1": Scenario("PUT by 1 connection", (_OURS, _WEBDIS), (Load("PUT", puts, 1),)),
    "put-8": Scenario("PUT by 8 connections", (_OURS, _WEBDIS), (Load("PUT", puts, 8),)),
    "put-256": Scenario("PUT by 256 connections", (_OURS, _WEBDIS), (Load("PUT", puts, 256),)),
    "put-25mib": Scenario("PUT of 25 MiB", (_OURS, _APSW), (_LARGE_PUT,), _LARGEST),
    "put-25mib-beside": Scenario(
        "PUT of 25 MiB, and small requests meanwhile", loads=(_LARGE_PUT, _SMALL), data=_LARGEST
    ),
    "readers-and-writers": Scenario(
        "64 connections read, 4 write", (_OURS, _WEBDIS, _BASE_CASE), (_GET, Load("PUT", puts, 4))
    ),
    "mix-95-5": Scenario(
        "95% GET and 5% PUT, zipfian keys", (_OURS, _WEBDIS), (Load("mix", mix(0.95)),)
    ),
    "mix-50-50": Scenario(
        "50% GET and 50% PUT, zipfian keys", (_OURS, _WEBDIS), (Load("mix", mix(0.5)),)
    ),
    "changes": Scenario("PUT, and the cost of recording changes", _recording(), (_PUT,)),
    "changes-postgres": Scenario(
        "PUT over PostgreSQL, and the cost of recording changes",
        _recording(engines.postgres),
        (_PUT,),
        start_seconds=5,
    ),
    "changes-mariadb": Scenario(
        "PUT over MariaDB, and the cost of recording changes",
        _recording(engines.mariadb),
        (_PUT,),
        start_seconds=5,
    ),
    "changes-redis": Scenario(
        "PUT over Redis, and the cost of recording changes", _recording(engines.redis), (_PUT,)
    ),
    "get-memory": Scenario("GET, values in memory", _MEMORY),
    "put-memory": Scenario("PUT, values in memory", _MEMORY, (_PUT,), beside="put"),
    "get-postgres": Scenario("GET over PostgreSQL", _POSTGRES, start_seconds=5),
    "put-postgres": Scenario("PUT over PostgreSQL", _POSTGRES, (_PUT,), start_seconds=5),
    "get-mariadb": Scenario("GET over MariaDB", _MARIADB, start_seconds=5),
    "put-mariadb": Scenario("PUT over MariaDB", _MARIADB, (_PUT,), start_seconds=5),
    "get-redis": Scenario("GET over Redis", _REDIS),
    "put-redis": Scenario("PUT over Redis", _REDIS, (_PUT,)),
    "start": Scenario("start of a server", (startup(1),), (Load(START, gets),), beside=""),
    "start-2": Scenario("start of 2 workers", (startup(2),), (Load(START, gets),), beside=""),
}

GROWTH: Final[Mapping[str, Mapping[str, Mapping[float, str]]]] = {
    "bytes of a value": {"GET": {100: "get", 1_000: "get-1kb", 100_000: "get-100kb"}},
    "keys": {"GET": {1e4: "get", 1e6: "keys-1m", 1e7: "keys-10m"}},
    "connections": {
        "GET": {1: "get-1", 8: "get-8", 64: "get", 256: "get-256"},
        "PUT": {1: "put-1", 8: "put-8", 64: "put", 256: "put-256"},
    },
    "workers": {"GET": {1: "get", 2: "workers-2"}},
}
"""The scenarios that differ in one factor only, by factor and load."""


def is_over_engine(name: str) -> bool:
    """Return whether a scenario compares an engine's own client."""
    return name.rpartition("-")[2] in {"postgres", "mariadb", "redis"}
