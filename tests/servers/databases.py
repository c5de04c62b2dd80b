"""Start a database of each kind by its name, for tests that run over all of them."""

from contextlib import ExitStack
from pathlib import Path

from .etcd import RunningMember
from .installed import Find
from .mariadb import RunningMariadb
from .postgres import RunningPostgres, postgres_programs
from .redis import RunningRedis
from .redis_cluster import RunningCluster
from .upstash import StandInUpstash


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
    program = require_program("redis-server", "redis-server")
    if name == "cluster":
        return running.enter_context(RunningCluster(program, folder)).url
    redis = running.enter_context(RunningRedis(program, folder))
    if name == "redis":
        return redis.url
    # The largest value needs a plan that accepts more than 10 MB at once.
    upstash = StandInUpstash(redis.port, "s3cr3t", request_bytes=64_000_000)
    return running.enter_context(upstash).url
