"""Test that each key of `tests/vectors/keys.json` is the same key in every API and in wrangler."""

from itertools import cycle
from urllib.parse import quote

import httpx2
import pytest

from clients.doors import IN_ORDER, VECTORS, Door, doors, listed, rest, value
from clients.wrangler import Wrangler

WRANGLER = "wrangler 4.86.0"
DOORS = list(doors(httpx2.Client(), ""))
BY_KEY = {one.key: one for one in VECTORS}


@pytest.fixture
def by_hand(http: httpx2.Client, namespace: str) -> dict[str, Door]:
    return doors(http, namespace)


def test_the_vectors_say_how_a_key_stands_in_a_path() -> None:
    assert len(BY_KEY) == len({one.name for one in VECTORS}) == len(VECTORS) >= 80
    for vector in VECTORS:
        assert vector.path == quote(vector.key, safe="")
        assert 1 <= len(vector.key.encode()) <= 512


EACH_DOOR_SOME = "each door some"


@pytest.mark.parametrize(
    "writer", [EACH_DOOR_SOME, *(pytest.param(one, marks=pytest.mark.deep) for one in DOORS)]
)
def test_what_one_door_writes_all_doors_read(
    by_hand: dict[str, Door], http: httpx2.Client, namespace: str, writer: str
) -> None:
    writers = by_hand.values() if writer == EACH_DOOR_SOME else [by_hand[writer]]
    by_turns = list(zip(VECTORS, cycle(writers), strict=False))
    for vector, door in by_turns:
        door.put(vector, value(vector))
    for reader in by_hand.values():
        assert {one.key: reader.get(one) for one in VECTORS} == {
            one.key: value(one) for one in VECTORS
        }
    assert listed(http, namespace) == IN_ORDER
    named = {"X-KV-Namespace": namespace}
    native = http.get("/v1/kv", headers=named).json()["data"]["keys"]
    assert [one["key"] for one in native] == IN_ORDER
    bound = http.get("/", headers=named | {"CF-KV-FLPROD-405": "https://fake-host"}).json()
    assert [one["name"] for one in bound["keys"]] == IN_ORDER
    for vector, door in by_turns:
        door.delete(vector)
    assert listed(http, namespace) == []


@pytest.mark.parametrize("key", [".", ".."])
def test_a_key_of_dots_is_for_the_native_api_alone(
    http: httpx2.Client, namespace: str, key: str
) -> None:
    named = {"X-KV-Namespace": namespace}
    assert http.put(f"/v1/kv?key={key}", json={"value": 1}, headers=named).status_code == 200
    refused = http.put(f"{rest(namespace)}/bulk", json=[{"key": key, "value": "2"}])
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["code"] == 10042
    assert http.get(f"/v1/kv?key={key}", headers=named).json()["data"] == 1
    assert listed(http, namespace) == [key]


@pytest.mark.deep
def test_wrangler_knows_every_key_in_a_file(wrangler: Wrangler, by_hand: dict[str, Door]) -> None:
    pairs = [{"key": one.key, "value": value(one).decode()} for one in VECTORS]
    wrangler("bulk", "put", wrangler.file("pairs.json", pairs))
    door = by_hand["the REST path"]
    assert [door.get(one) for one in VECTORS] == [value(one) for one in VECTORS]
    assert [one["name"] for one in wrangler.list()] == IN_ORDER
    assert wrangler.read(*IN_ORDER) == {
        one.key: value(one).decode() for one in VECTORS if WRANGLER not in one.defects
    }
    wrangler("bulk", "delete", "--force", wrangler.file("names.json", IN_ORDER))
    assert [door.get(one) for one in VECTORS] == [None] * len(VECTORS)


# Each takes a second, so only the oddest keys that a command line can carry.
@pytest.mark.deep
@pytest.mark.parametrize("name", ["a query", "two dots inside", "an encoded slash, literally"])
def test_wrangler_names_keys_on_its_command_line(
    wrangler: Wrangler, by_hand: dict[str, Door], name: str
) -> None:
    [vector] = [one for one in VECTORS if one.name == name]
    wrangler("key", "put", vector.key, '"by wrangler"')
    assert by_hand["the REST path"].get(vector) == b'"by wrangler"'
