"""Test the URL of an etcd, and the errors for wrong ones."""

import pytest

from workertown_kv.errors import OptionsError
from workertown_kv.storage.etcd.url import parse_url
from workertown_kv.storage.url import storage_from_url


@pytest.mark.parametrize(
    "url",
    [
        "etcd://",
        "etcd:///kv",
        "etcd://kv:hunter2@",
        "etcd://kv:hunter2@a:port",
        "etcd://kv:hunter2@a:99999",
        "etcd://kv:hunter2@a,,b",
        "etcd://:hunter2@a",
        "etcd://hunter2@a",
        "etcd://kv:hunt/er2@a",
        "etcd://kv:12/er2@a",
        "etcd://kv:hunt?er2@a",
        "etcd://kv:hunt#er2@a",
        "etcd://kv:hunter2@a/b%20c",
        "etcd://kv:hunter2@a/b/",
        f"etcd://kv:hunter2@a/{'b' * 101}",
    ],
)
def test_a_malformed_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(OptionsError, match="expected etcd://") as caught:
        storage_from_url(url)
    assert "er2" not in caught.value.message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("conections=1", "a parameter 'conections'; did you mean connections. Expected one of"),
        ("timeout=0", "timeout in the URL of etcd is '0'; expected seconds from 0.01"),
        ("connections=many", "connections in the URL of etcd is 'many'; expected a whole number"),
        ("request_bytes=1", "request_bytes in the URL of etcd is '1'; expected a whole number"),
        ("compact=maybe", "compact in the URL of etcd is 'maybe'; expected auto or never"),
        ("sslrootcert=/x", "need TLS; expected etcds://"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused(query: str, message: str) -> None:
    with pytest.raises(OptionsError, match=message) as caught:
        storage_from_url(f"etcd://kv:hunter2@a?{query}")
    assert "er2" not in caught.value.message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("sslkey=/x", "sslkey needs a certificate; expected sslcert too"),
        ("sslrootcert=/missing", "A certificate or key .* cannot be used"),
    ],
)
def test_files_that_cannot_be_used_are_refused(query: str, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        storage_from_url(f"etcds://a?{query}")


def test_a_url_names_members_a_user_and_a_prefix() -> None:
    settings = parse_url("etcd://kv:a%40b@one,[::1]:7000/apps/kv?timeout=2")
    assert settings.endpoints == ("http://one:2379", "http://[::1]:7000")
    assert (settings.user, settings.password.reveal()) == ("kv", "a@b")
    assert settings.prefix == "apps/kv"
    assert settings.parameters.timeout == 2
    assert "a@b" not in repr(settings)
    assert parse_url("etcds://one").endpoints == ("https://one:2379",)
    assert parse_url("etcd://one/").prefix == "kv"
