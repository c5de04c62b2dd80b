"""Start a database of each kind by its name, for tests that run over all of them."""

from contextlib import ExitStack
from pathlib import Path
from typing import Final

from caller import API_KEY

from .dynamodb import RunningDynamoDB
from .etcd import RunningMember
from .installed import Find, python_packages
from .libsql import TOKEN, StandInLibsql
from .mariadb import RunningMariadb
from .postgres import RunningPostgres, postgres_programs
from .redis import RunningRedis
from .redis_cluster import RunningCluster
from .upstash import StandInUpstash

TOKENS: Final = {"http": API_KEY, "libsql": TOKEN}
"""The tokens that storages need beside their URLs; the key of another server is that of tests."""


def database(name: str, require_program: Find, folder: Path, running: ExitStack) -> str:
    """Start the servers of a database until `running` is closed, and return its URL."""
    match name:
        case "memory":
            return "memory://"
        case "sqlite":
            return str(folder / "kv.sqlite")
        case "postgres":
            return running.enter_context(RunningPostgres(postgres_programs(require_program))).url
        case "mariadb":
            program = require_program("mariadbd", "mariadb-server")
            return running.enter_context(RunningMariadb(program)).url
        case "etcd":
            program = require_program("etcd", "etcd-server")
            return running.enter_context(RunningMember(program, folder)).url
        case "dynamodb":
            packages = python_packages(Path(__file__).parent / "ministack.txt")
            return running.enter_context(RunningDynamoDB(packages, folder)).url("store")
        case "libsql":
            return running.enter_context(StandInLibsql(folder / "libsql.sqlite")).url
    program = require_program("redis-server", "redis-server")
    if name == "cluster":
        return running.enter_context(RunningCluster(program, folder)).url
    redis = running.enter_context(RunningRedis(program, folder))
    if name == "redis":
        return redis.url
    # The largest value needs a plan that accepts more than 10 MB at once.
    upstash = StandInUpstash(redis.port, "s3cr3t", request_bytes=64_000_000)
    return running.enter_context(upstash).url
