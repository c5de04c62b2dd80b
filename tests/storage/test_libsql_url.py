"""Test the URLs of libSQL databases."""

import pytest

from workertown_kv import kv
from workertown_kv.errors import OptionsError
from workertown_kv.options import Secret
from workertown_kv.storage.libsql import LibsqlStorage
from workertown_kv.storage.libsql.url import parse_url
from workertown_kv.storage.url import storage_from_url

TOKEN = "eyJ.s3cret"


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("libsql://kv-ada.turso.io", "https://kv-ada.turso.io"),
        ("LIBSQL://KV-ada.turso.io/?timeout=2", "https://kv-ada.turso.io"),
        ("libsql://kv.example.com:8443", "https://kv.example.com:8443"),
        ("libsql://127.0.0.1:8080?tls=0", "http://127.0.0.1:8080"),
        ("libsql://127.0.0.1:443?tls=0", "http://127.0.0.1:443"),
        ("libsql://localhost?tls=0", "http://localhost"),
        ("libsql://[::1]?tls=0", "http://[::1]"),
        ("libsql://[::1]:8080?tls=false", "http://[::1]:8080"),
        ("libsql://kv.internal:8080?tls=0&insecure=true", "http://kv.internal:8080"),
    ],
)
def test_a_url_names_a_server(url: str, base: str) -> None:
    assert parse_url(url, Secret(TOKEN)).base == base


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("libsql://", "expected libsql://HOST"),
        ("libsql://a.turso.io/kv", "expected libsql://HOST"),
        ("libsql://a,b", "expected libsql://HOST"),
        (f"libsql://{TOKEN}@a.turso.io", "KV_DB_TOKEN holds it"),
        (f"libsql://a.turso.io?authToken={TOKEN}", "parameter 'authToken'"),
        ("libsql://a.turso.io?tls=no", "tls in .* is 'no'; expected 0 or 1"),
        ("libsql://a.turso.io?timeout=0", "expected seconds from 0.01 to 3600"),
        ("libsql://kv.internal:8080?tls=0", "without encryption"),
        ("libsql://127.0.0.1.example.com?tls=0", "without encryption"),
    ],
)
def test_a_wrong_url_is_refused_without_showing_a_token(url: str, message: str) -> None:
    with pytest.raises(OptionsError, match=message) as caught:
        storage_from_url(url, token=Secret(TOKEN))
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("token", ["", "two words", "tökén", "line\n"])
def test_a_token_that_can_be_none_is_refused(token: str) -> None:
    with pytest.raises(OptionsError, match="printable ASCII"):
        storage_from_url("libsql://a.turso.io", token=Secret(token))


def test_a_server_takes_the_token_from_its_own_variable() -> None:
    environment = {"KV_DB": "libsql://a.turso.io", "KV_API_KEY": "k", "KV_DB_TOKEN": TOKEN}
    storage = kv(get_env=lambda: environment).runtime.storage
    assert isinstance(storage, LibsqlStorage)
    assert TOKEN not in repr(vars(storage))


@pytest.mark.parametrize("scheme", ["turso", "libsq", "libsqls"])
def test_a_similar_scheme_gets_a_hint(scheme: str) -> None:
    with pytest.raises(OptionsError, match="did you mean libsql://"):
        storage_from_url(f"{scheme}://a.turso.io")
