"""Test the URLs of CloudflareKVStorage, and where its token comes from and goes to."""

import pytest

from workertown_kv import kv
from workertown_kv.errors import OptionsError
from workertown_kv.options import Secret
from workertown_kv.storage.cloudflare_kv import CloudflareKVStorage
from workertown_kv.storage.cloudflare_kv.url import parse_url
from workertown_kv.storage.url import storage_from_url

ID = "0f2ac74b498b48028cb68387c421e279"
URL = f"cloudflare-kv://023e105f4ecef8ad9ca31a8372d0c353/{ID}"
TOKEN = "s3cr3t-token"


def test_a_url_names_a_namespace() -> None:
    settings = parse_url(URL)
    assert settings.namespace_url == (
        "https://api.cloudflare.com/client/v4/accounts/023e105f4ecef8ad9ca31a8372d0c353"
        f"/storage/kv/namespaces/{ID}"
    )
    assert (settings.timeout, settings.wait) == (10, 5)
    assert parse_url(URL.upper()[:-32] + ID.upper()).namespace == ID
    storage = storage_from_url(f"{URL}?timeout=2&wait=600", token=Secret(TOKEN))
    assert isinstance(storage, CloudflareKVStorage)


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://127.0.0.1:8787", "http://127.0.0.1:8787/client/v4"),
        ("http://localhost:8787/", "http://localhost:8787/client/v4"),
        ("http://[::1]:8787/kv/client/v4/", "http://[::1]:8787/kv/client/v4"),
        ("https://kv.example.com", "https://kv.example.com/client/v4"),
    ],
)
def test_an_endpoint_is_another_server_of_the_api(endpoint: str, url: str) -> None:
    assert parse_url(f"cloudflare-kv://Any_1/{ID}?endpoint={endpoint}").namespace_url == (
        f"{url}/accounts/Any_1/storage/kv/namespaces/{ID}"
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("cloudflare-kv://account", "expected cloudflare-kv://ACCOUNT/NAMESPACE"),
        ("cloudflare-kv://account/title", "wrangler kv namespace list"),
        (f"cloudflare-kv:///{ID}", "wrangler whoami"),
        (f"cloudflare-kv://a/b/{ID}", "malformed"),
        (f"cloudflare-kv://../{ID}", "malformed"),
        (f"cloudflare-kv://{TOKEN}@account/{ID}", "CLOUDFLARE_API_TOKEN holds it"),
        (f"{URL}?wait=long", "wait in .* is 'long'; expected seconds from 0 to 3600"),
        (f"{URL}?waits=1", "did you mean wait"),
        (f"{URL}?endpoint=http://kv.example.com", "expected https://"),
        (f"{URL}?endpoint=http://127.0.0.1.example.com", "expected https://"),
        (f"{URL}?endpoint=kv.example.com", "no URL of an API"),
        (f"{URL}?endpoint=https://", "no URL of an API"),
        (f"{URL}?endpoint=https://host:port", "no URL of an API"),
        (f"{URL}?endpoint=https://{TOKEN}@host", "user name"),
    ],
)
def test_a_wrong_url_is_refused_without_showing_a_token(url: str, message: str) -> None:
    with pytest.raises(OptionsError, match=message) as caught:
        storage_from_url(url, token=Secret(TOKEN))
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("token", ["", "two words", "tökén", "line\n"])
def test_a_token_that_can_be_none_is_refused(token: str) -> None:
    with pytest.raises(OptionsError, match="CLOUDFLARE_API_TOKEN") as caught:
        storage_from_url(URL, token=Secret(token))
    assert not token or token not in str(caught.value)


def test_a_server_takes_the_token_from_its_own_variable() -> None:
    with pytest.raises(OptionsError, match="expected one in CLOUDFLARE_API_TOKEN"):
        kv(get_env=lambda: {"KV_DB": URL, "KV_API_KEY": "k"})
    environment = {"KV_DB": URL, "KV_API_KEY": "k", "CLOUDFLARE_API_TOKEN": TOKEN}
    storage = kv(get_env=lambda: environment).runtime.storage
    assert isinstance(storage, CloudflareKVStorage)
    assert TOKEN not in repr(vars(storage))
    # No other storage gets it.
    kv(get_env=lambda: {**environment, "KV_DB": "memory://", "CLOUDFLARE_API_TOKEN": "no token"})


@pytest.mark.parametrize("scheme", ["cloudflare", "cloudflarekv", "workers-kv"])
def test_a_similar_scheme_gets_a_hint(scheme: str) -> None:
    with pytest.raises(OptionsError, match="did you mean cloudflare-kv://"):
        storage_from_url(f"{scheme}://a/b")
