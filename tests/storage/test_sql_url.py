"""Test the URLs of storages on database servers, and the errors for wrong ones."""

import subprocess
import sys

import pytest

from extras import install_command
from workertown_kv.errors import OptionsError
from workertown_kv.storage.mysql import MysqlStorage
from workertown_kv.storage.postgres import PostgresStorage
from workertown_kv.storage.sql.url import ServerUrl, parse_url
from workertown_kv.storage.url import storage_from_url


def parsed(url: str) -> ServerUrl:
    return parse_url(url, "postgres|postgresql", 5432)


@pytest.mark.parametrize(
    ("scheme", "kind"),
    [
        ("postgres", PostgresStorage),
        ("postgresql", PostgresStorage),
        ("mysql", MysqlStorage),
        ("mariadb", MysqlStorage),
    ],
)
def test_the_scheme_chooses_the_storage(scheme: str, kind: type) -> None:
    assert type(storage_from_url(f"{scheme}://kv:secret@localhost/kv?timeout=1.5")) is kind


def test_every_part_of_a_url_is_understood() -> None:
    url = parsed(
        "postgresql://a%40b:p%2Fw%3A%40@db.example:6000/my%20kv?connections=3&timeout=0.5"
        "&table=my_2&migrate=manual"
    )
    assert (url.user, url.hosts, url.database) == ("a@b", (("db.example", 6000),), "my kv")
    assert url.password is not None
    assert url.password.reveal() == "p/w:@"
    parameters = url.parameters
    assert (parameters.connections, parameters.timeout) == (3, 0.5)
    assert (parameters.table, parameters.migrate) == ("my_2", "manual")
    assert url.address == "db.example:6000"


def test_what_is_left_out_has_a_default() -> None:
    url = parsed("postgres://[::1]/kv")
    assert (url.user, url.password, url.hosts) == (None, None, (("::1", 5432),))
    parameters = url.parameters
    assert (parameters.connections, parameters.timeout) == (10, 5)
    assert (parameters.table, parameters.migrate) == ("kv_entry", "auto")
    assert parsed("postgres://kv@/kv?socket=/run/pg").address == "/run/pg"


def test_several_hosts_may_have_it() -> None:
    url = parsed("postgres://kv:a%40b@one:6000,two,[::1]:7000/kv")
    assert url.hosts == (("one", 6000), ("two", 5432), ("::1", 7000))
    assert url.address == "one:6000,two:5432,::1:7000"
    assert url.password is not None
    assert url.password.reveal() == "a@b"


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("connections=0", "connections in the URL of the database is '0'; expected a whole number"),
        ("connections=1.5", "a whole number from 1 to 1000"),
        ("timeout=0", "more than 0"),
        ("timeout=nan", "more than 0"),
        ("timeout=inf", "at most 3600"),
        ("table=Kv", "a-z, 0-9 and _"),
        ("table=kv%0a", "a-z, 0-9 and _"),
        ("table=" + "k" * 41, "at most 40"),
        ("migrate=never", "auto or manual"),
        ("sslmode=on", "verify-full"),
        ("sslrootcert=/x", "together with sslmode=require"),
        ("sslmode=require&sslcert=/not/there", "cannot be used"),
        ("pool=5", "a parameter 'pool'; expected one of connections, timeout, table"),
        ("time_out=5", "a parameter 'time_out'; did you mean timeout? Expected one of connections"),
        ("sslmode=require&sslkey=/not/there", "expected sslcert too"),
        ("tls=yes", "true, skip-verify or false"),
        ("tls=true&sslmode=require", "only one of the two"),
        ("sslaccept=strict", "a parameter 'sslaccept'; did you mean sslmode? Expected one of"),
    ],
)
def test_a_parameter_that_is_wrong_is_named_with_what_is_right(
    parameter: str, expected: str
) -> None:
    for scheme in ("postgres", "mysql"):
        with pytest.raises(OptionsError) as caught:
            storage_from_url(f"{scheme}://kv:s3cret@localhost/kv?{parameter}")
        assert expected in caught.value.message
        assert "s3cret" not in caught.value.message


@pytest.mark.parametrize(
    ("tls", "mode"), [("true", "verify-full"), ("skip-verify", "require"), ("false", "disable")]
)
def test_tls_is_sslmode_in_the_words_of_other_urls(tls: str, mode: str) -> None:
    for scheme in ("postgres", "mysql"):
        url = parse_url(f"{scheme}://localhost/kv?tls={tls}", scheme, 1)
        assert url.parameters.sslmode == mode
    with pytest.raises(OptionsError, match="together with sslmode"):
        storage_from_url("mysql://localhost/kv?tls=false&sslrootcert=/x")


@pytest.mark.parametrize("mode", ["allow", "prefer"])
def test_mysql_is_encrypted_or_not(mode: str) -> None:
    with pytest.raises(OptionsError, match="expected disable, require, verify-ca or verify-full"):
        storage_from_url(f"mysql://localhost/kv?sslmode={mode}")


@pytest.mark.parametrize(
    "rest",
    [
        "kv:s3cret@localhost",
        "kv:s3cret@localhost/",
        "kv:s3cret@localhost/a/b",
        "kv:s3cret@localhost:port/kv",
        "kv:s3cret@localhost:99999/kv",
        "kv:s3cret@localhost/kv#part",
        "kv:s3cret@localhost/kv?timeout",
        "kv:s3cret@/kv",
        "kv:s3cret@one,,two/kv",
        "kv:s3cret@one,two/kv?socket=/run",
        "kv:s3cret@one,two:x/kv",
        "kv:s3,cret@localhost:x/kv",
        "kv:s3cret@localhost/kv?socket=/run",
        "kv:s3/cret@localhost/kv",
        "kv:s3?cret=s3cret@localhost/kv",
        "kv:1/s3cret?s3cret=1@localhost/kv",
        "kv:s3#cret@localhost/kv",
        "kv:s3cret@[localhost/kv",
        "",
    ],
)
def test_a_malformed_url_is_refused_without_showing_it(rest: str) -> None:
    for scheme in ("postgres", "mysql"):
        with pytest.raises(OptionsError) as caught:
            storage_from_url(f"{scheme}://{rest}")
        error = caught.value
        assert f"{scheme}" in error.message
        assert "HOST[:PORT]" in error.message
        for part in ("s3cret", "s3", "cret"):
            assert part not in error.message
        assert error.__cause__ is None
        assert error.__suppress_context__ or error.__context__ is None


@pytest.mark.parametrize(
    ("rest", "wrong"),
    [
        ("localhost", "names no database"),
        ("localhost/a/b", "has several parts in its path"),
        ("localhost:port/kv", "has a port that is not a whole number from 1 to 65535"),
        ("localhost:0/kv", "has a port that is not a whole number from 1 to 65535"),
    ],
)
def test_what_is_wrong_with_a_url_is_named(rest: str, wrong: str) -> None:
    with pytest.raises(OptionsError) as caught:
        storage_from_url(f"mysql://{rest}")
    assert wrong in caught.value.message


_WITHOUT_DRIVERS = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"aiobotocore", "asyncpg", "asyncmy"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())

from workertown_kv.errors import MissingExtra
from workertown_kv.storage.url import storage_from_url

for scheme in ("postgres", "mysql", "dynamodb"):
    try:
        storage_from_url(f"{scheme}://localhost/store")
    except MissingExtra as error:
        print(error.message)
storage_from_url("memory://")
"""


def test_a_driver_is_asked_for_where_it_is_needed_alone() -> None:
    command = [sys.executable, "-c", _WITHOUT_DRIVERS]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.splitlines() == [
        f"PostgreSQL needs packages that are not installed: {install_command('postgres')}",
        f"MySQL needs packages that are not installed: {install_command('mysql')}",
        f"DynamoDB needs packages that are not installed: {install_command('dynamodb')}",
    ]
