"""Test all commands of Cloudflare's unmodified wrangler for KV, without a network.

Each command takes a second, so a test has many steps.
"""

import base64
import time

import httpx2
import msgspec
import pytest

from clients.doors import rest
from clients.wrangler import Wrangler

BYTES = bytes(range(256))


@pytest.mark.deep
def test_a_namespace_is_made_listed_renamed_and_deleted(
    wrangler: Wrangler, http: httpx2.Client
) -> None:
    made = wrangler("namespace", "create", "by wrangler").decode()
    listed = msgspec.json.decode(wrangler("namespace", "list"))
    ids = {one["title"]: one["id"] for one in listed}
    assert len(ids) == len(listed)
    assert ids["by wrangler"] in made
    one = ("--namespace-id", ids["by wrangler"])
    again = wrangler.refused("namespace", "create", "by wrangler")
    assert 'A KV namespace with the title "by wrangler" already exists' in again
    wrangler("namespace", "rename", *one, "--new-name", "renamed")
    assert http.get(rest(ids["by wrangler"])).json()["result"]["title"] == "renamed"
    wrangler("namespace", "delete", *one, "-y")
    assert http.get(rest(ids["by wrangler"])).status_code == 404


@pytest.fixture
def without_account(wrangler: Wrangler) -> Wrangler:
    wrangler.env = {
        name: text for name, text in wrangler.env.items() if name != "CLOUDFLARE_ACCOUNT_ID"
    }
    return wrangler


def test_it_finds_the_account(without_account: Wrangler) -> None:
    titles = [one["title"] for one in msgspec.json.decode(without_account("namespace", "list"))]
    assert "default" in titles


@pytest.mark.deep
def test_it_says_whose_credentials_it_has(without_account: Wrangler) -> None:
    who = without_account.ran_any("whoami")
    assert who.returncode == 0, (who.stdout + who.stderr).decode()
    shown = who.stdout.decode()
    assert "associated with the email api_key" in shown
    assert f"│ workertown-kv │ {'0' * 32} │" in shown


@pytest.mark.deep
def test_a_value_is_written_read_listed_and_deleted(
    wrangler: Wrangler, http: httpx2.Client
) -> None:
    at = int(time.time()) + 5000
    wrangler("key", "put", "a/b é?x#y", "hello", "--ttl", "3600", "--metadata", '{"x": ["é"]}')
    wrangler("key", "put", "at", "héllo", "--expiration", str(at))
    (wrangler.folder / "bytes.dat").write_bytes(BYTES)
    wrangler("key", "put", "bytes", "--path", "bytes.dat", "--metadata", '{"kind": "bytes"}')
    assert wrangler("key", "get", "a/b é?x#y") == b"hello"
    assert wrangler("key", "get", "bytes") == BYTES
    slashed, timed, of_bytes = wrangler.list()
    assert slashed.pop("expiration") == pytest.approx(time.time() + 3600, abs=60)
    assert slashed == {"name": "a/b é?x#y", "metadata": {"x": ["é"]}}
    assert timed == {"name": "at", "expiration": at}
    assert of_bytes == {"name": "bytes", "metadata": {"kind": "bytes"}}
    assert [one["name"] for one in wrangler.list("--prefix", "a/b é")] == ["a/b é?x#y"]
    wrangler("key", "delete", "bytes")
    assert "404" in wrangler.refused("key", "get", "bytes")
    assert http.get(f"{rest(wrangler.namespace)}/values/at").content == "héllo".encode()


@pytest.mark.deep
def test_a_file_of_bytes_without_metadata_is_a_value_as_it_is(wrangler: Wrangler) -> None:
    (wrangler.folder / "bytes.dat").write_bytes(BYTES)
    wrangler("key", "put", "bytes", "--path", "bytes.dat")
    assert wrangler("key", "get", "bytes") == BYTES
    refused = wrangler.refused("key", "put", "bytes", "short", "--ttl", "10")
    assert "put: 'Invalid expiration_ttl of 10. Expiration TTL must be at least 60.'" in refused
    assert "[code: 10034]" in refused


@pytest.mark.deep
def test_more_than_a_thousand_values_are_written_listed_and_deleted(
    wrangler: Wrangler, http: httpx2.Client
) -> None:
    at = int(time.time()) + 5000
    names = [f"{number:04}/ключ?" for number in range(2500)]
    pairs = [{"key": one, "value": one} for one in names[3:]]
    special = [
        {"key": names[0], "value": base64.b64encode(b"bytes").decode(), "base64": True},
        {"key": names[1], "value": "at", "expiration": at, "metadata": {"x": [1]}},
        {"key": names[2], "value": "after", "expiration_ttl": 3600},
    ]
    wrangler("bulk", "put", wrangler.file("pairs.json", special + pairs))
    listed = wrangler.list()
    assert [one["name"] for one in listed] == names
    assert listed[1] == {"name": names[1], "expiration": at, "metadata": {"x": [1]}}
    read = wrangler.read(*names[:99], "none")
    assert read == {
        **{one: one for one in names[:99]},
        names[0]: "bytes",
        names[1]: "at",
        names[2]: "after",
        "none": None,
    }
    wrangler("bulk", "delete", "--force", wrangler.file("names.json", names))
    assert http.get(f"{rest(wrangler.namespace)}/keys").json()["result"] == []


@pytest.mark.deep
@pytest.mark.parametrize(
    ("env", "lets_in"),
    [
        ({"CLOUDFLARE_API_KEY": "s3cret:word", "CLOUDFLARE_EMAIL": "me@example.com"}, True),
        ({"CLOUDFLARE_API_TOKEN": "wrong"}, False),
    ],
    ids=["key and email", "wrong token"],
)
def test_its_credentials_are_those_of_the_server(
    wrangler: Wrangler, env: dict[str, str], lets_in: bool
) -> None:
    if lets_in:
        wrangler.env = {**wrangler.env}
        del wrangler.env["CLOUDFLARE_API_TOKEN"]
        assert wrangler.ran("namespace", "list", **env).returncode == 0
    else:
        ran = wrangler.ran("namespace", "list", **env)
        assert ran.returncode == 1
        assert b"Authentication error" in ran.stdout + ran.stderr
