"""Test the URL of a Redis, and the errors for wrong ones."""

import subprocess
import sys

import pytest
from redis.exceptions import BusyLoadingError, ClusterDownError, MovedError, ResponseError

from extras import install_command
from workertown_kv.errors import OptionsError, StorageError, StorageUnavailable
from workertown_kv.storage.redis.failures import translated
from workertown_kv.storage.redis.settings import parse_url
from workertown_kv.storage.url import storage_from_url


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis:///0",
        "redis://:hunter2@",
        "redis://:hunter2@a:port",
        "redis://:hunter2@a:99999",
        "redis://:hunter2@a,b",
        "redis://:hunt/er2@a",
        "redis://:hunt?er2@a",
        "redis://:hunt#er2@a",
        "redis://:hunter2@a/x",
        "redis://:hunter2@a/1/2",
        "redis://:hunter2@a?prefix",
        "redis+sentinel://:hunter2@a",
        "redis+sentinel://:hunter2@a/",
        "redis+sentinel://:hunter2@a/s/x",
        "redis+cluster://:hunter2@a,,b",
        "redis+cluster://:hunter2@a/1",
    ],
)
def test_a_malformed_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(OptionsError, match="expected") as caught:
        storage_from_url(url)
    assert "er2" not in caught.value.message
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("conections=1", "a parameter 'conections'; did you mean connections. Expected one of"),
        ("pool=1", "a parameter 'pool'; expected one of timeout, prefix, connections, wait"),
        ("er2=1@a", "a parameter that is not known; expected one of timeout, prefix"),
        ("timeout=er2&x=1@a", "timeout in the URL of Redis is wrong; expected seconds"),
        ("ssl_ca_certs=/x", "needs TLS; expected rediss://"),
        ("sentinel_password=x", "are for sentinels; expected them in a URL"),
        (
            "connections=0",
            "connections in the URL of Redis is '0'; expected a whole number from 1 to 10,000",
        ),
        ("connections=many", "connections in the URL of Redis is 'many'; expected a whole number"),
        ("timeout=0", "timeout in the URL of Redis is .*; expected seconds"),
        ("timeout=nan", "timeout in the URL of Redis is .*; expected seconds"),
        ("timeout=soon", "timeout in the URL of Redis is .*; expected seconds"),
        ("wait=-1", "wait in the URL of Redis is .*; expected a whole number from 0"),
        ("buckets=0", "buckets in the URL of Redis is .*; expected a whole number from 1 to 1,024"),
        ("buckets=null", "buckets in the URL of Redis is 'null'; expected a whole number"),
        ("prefix=", "prefix in the URL of Redis is .*; expected printable ASCII"),
        ("prefix={a}", "prefix in the URL of Redis is .*; expected printable ASCII"),
        ("prefix=a%20b", "prefix in the URL of Redis is .*; expected printable ASCII"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused(query: str, message: str) -> None:
    with pytest.raises(OptionsError, match=message) as caught:
        storage_from_url(f"redis://:hunter2@a?{query}")
    assert "er2" not in caught.value.message


def test_an_ipv6_address_may_come_after_another_host() -> None:
    settings = parse_url("redis+cluster://kv:a%40b@one,[::1]:7000,[::2]")
    assert settings.hosts == (("one", 6379), ("::1", 7000), ("::2", 6379))
    assert settings.password.reveal() == "a@b"


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("redis://a:port", "has a port that is not a whole number from 1 to 65535"),
        ("redis://a:0", "has a port that is not a whole number from 1 to 65535"),
        ("redis://a,b", "has several hosts, which only sentinels and a cluster have"),
        ("redis://a/x", "has a database that is not a number"),
        ("redis://:x#y@a", "has a #, which is %23 in a password"),
        ("redis://hunter2@a", "has a user without a password"),
        ("redis:///0", "has no host"),
        ("redis+sentinel://a", "does not name the service"),
        ("redis+sentinel://a/s?sentinel_username=x", "expected sentinel_password too"),
        ("redis+cluster://a/1", "has a database, and a cluster has only one"),
    ],
)
def test_what_is_wrong_with_a_url_is_named(url: str, wrong: str) -> None:
    with pytest.raises(OptionsError, match="expected") as caught:
        storage_from_url(url)
    assert wrong in caught.value.message
    assert "hunter2" not in caught.value.message


_WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())

from workertown_kv.errors import MissingExtra
from workertown_kv.storage.url import storage_from_url

try:
    storage_from_url("redis://localhost")
except MissingExtra as error:
    print(error)
"""


@pytest.mark.parametrize("package", ["redis", "hiredis"])
def test_without_its_packages_it_says_which_to_install(package: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT, package], check=True, capture_output=True, text=True
    )
    needs = "Redis needs packages that are not installed"
    assert done.stdout == f"{needs}: {install_command('redis')}\n"


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (BusyLoadingError("Redis is loading the dataset in memory"), StorageUnavailable, "loading"),
        (ClusterDownError("Hash slot not served"), StorageUnavailable, "cluster is down"),
        (ResponseError("BUSY Redis is busy running a script"), StorageUnavailable, "busy"),
        (ResponseError("MASTERDOWN Link with MASTER is down"), StorageUnavailable, "lost"),
        (MovedError("1 127.0.0.1:6379"), StorageError, r"redis\+cluster://"),
        (ResponseError("ERR what is this"), StorageError, "ERR what is this"),
    ],
)
def test_a_refusal_of_redis_has_a_message(
    error: Exception, kind: type[StorageError], message: str
) -> None:
    told = translated(error, writes=True)
    assert type(told) is kind
    assert told.__cause__ is error
    with pytest.raises(kind, match=message):
        raise told
