"""Test the URLs of D1 databases, and the token for them."""

import pytest

from servers.d1 import ACCOUNT, DATABASE
from workertown_kv import kv
from workertown_kv.errors import OptionsError
from workertown_kv.options import Secret
from workertown_kv.storage.d1 import D1Storage
from workertown_kv.storage.d1.url import parse_url
from workertown_kv.storage.url import storage_from_url

TOKEN = "s3cret-t0ken"
URL = f"d1://{ACCOUNT}/{DATABASE}"


def test_a_url_names_a_database_of_an_account() -> None:
    for url in (URL, f"{URL}/", f"d1://{ACCOUNT}/{DATABASE.upper()}"):
        assert parse_url(url).database_url == (
            f"https://api.cloudflare.com/client/v4/accounts/{ACCOUNT}/d1/database/{DATABASE}"
        )
    there = parse_url(f"{URL}?endpoint=http://127.0.0.1:8787&timeout=2&wait=0&sweep=5")
    assert there.endpoint == "http://127.0.0.1:8787/client/v4"
    assert (there.timeout, there.wait, there.sweep) == (2, 0, 5)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"d1://{ACCOUNT}", "expected d1://ACCOUNT/DATABASE"),
        (f"d1://{ACCOUNT}/kv", "wrangler d1 list"),
        (f"d1:///{DATABASE}", "wrangler whoami"),
        (f"d1://{TOKEN}@{ACCOUNT}/{DATABASE}", "CLOUDFLARE_API_TOKEN holds it"),
        (f"{URL}?token={TOKEN}", "parameter 'token'"),
        (f"{URL}?sweep=-1", "expected seconds from 0 to 1,000,000"),
        (f"{URL}?endpoint=http://example.com", "expected https://"),
    ],
)
def test_a_wrong_url_is_refused_without_showing_a_token(url: str, message: str) -> None:
    with pytest.raises(OptionsError, match=message) as caught:
        storage_from_url(url, token=Secret(TOKEN))
    assert TOKEN not in str(caught.value)


def test_a_server_takes_the_token_from_cloudflares_variable() -> None:
    with pytest.raises(OptionsError, match="CLOUDFLARE_API_TOKEN, with the permission D1 Write"):
        kv(get_env=lambda: {"KV_DB": URL, "KV_API_KEY": "k", "KV_DB_TOKEN": "of-another"})
    environment = {"KV_DB": URL, "KV_API_KEY": "k", "CLOUDFLARE_API_TOKEN": TOKEN}
    storage = kv(get_env=lambda: environment).runtime.storage
    assert isinstance(storage, D1Storage)
    assert TOKEN not in repr(vars(storage))
