"""Test listings with values, by folders, in reverse and after a name, over HTTP."""

from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

import pytest

from caller import Caller, make_server, on_one_storage
from workertown_kv.operations import List, Page, Set
from workertown_kv.storage import Capability
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing import MovedClock

pytestmark = pytest.mark.anyio

KEYS = ["a", "docs/2024/x", "docs/2024/y", "docs/2025/z", "docs/index", "docs0", "z/\U0001f600"]


async def listed(call: Caller, **parameters: object) -> list[dict[str, Any]]:
    """Return all pages."""
    pages: list[dict[str, Any]] = []
    while True:
        page = await call.data("GET", f"/v1/kv?{urlencode(parameters)}")
        pages.append(page)
        if page["complete"]:
            return pages
        assert page["keys"] or page["prefixes"]
        parameters["cursor"] = page["cursor"]


def names(pages: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Return the keys and the folders of pages."""
    keys = [one["key"] for page in pages for one in page["keys"]]
    return keys, [name for page in pages for name in page.get("prefixes", ())]


@pytest.fixture
async def filled(call: Caller) -> Caller:
    for key in KEYS:
        await call.data("PUT", f"/v1/kv?{urlencode({'key': key})}", json={"value": key})
    return call


@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_folders_stand_for_the_keys_in_them(filled: Caller, limit: int) -> None:
    for prefix, keys, folders in (
        ("", ["a", "docs0"], ["docs/", "z/"]),
        ("docs/", ["docs/index"], ["docs/2024/", "docs/2025/"]),
        ("d", ["docs0"], ["docs/"]),
        ("docs/2024/", ["docs/2024/x", "docs/2024/y"], []),
    ):
        pages = await listed(filled, prefix=prefix, delimiter="/", limit=limit)
        assert names(pages) == (keys, folders)
        counts = [len(page["keys"]) + len(page["prefixes"]) for page in pages]
        assert counts[:-1] == [limit] * (len(pages) - 1)


async def test_a_listing_without_a_delimiter_has_no_prefixes(filled: Caller) -> None:
    page = await filled.data("GET", "/v1/kv")
    assert page.keys() == {"keys", "cursor", "complete"}
    page = await filled.data("GET", "/v1/kv?prefix=a&delimiter=/")
    assert page["prefixes"] == []


@pytest.mark.parametrize("limit", [1, 3, 1000])
async def test_a_listing_goes_in_reverse(filled: Caller, limit: int) -> None:
    pages = await listed(filled, reverse="true", limit=limit)
    assert names(pages)[0] == KEYS[::-1]
    pages = await listed(filled, reverse="true", limit=limit, prefix="docs/", delimiter="/")
    assert names(pages) == (["docs/index"], ["docs/2025/", "docs/2024/"])
    assert names(await listed(filled, reverse="false"))[0] == KEYS


@pytest.mark.parametrize(
    ("parameters", "keys", "folders"),
    [
        ({"start_after": "docs/2024/y"}, KEYS[3:], []),
        ({"start_after": "docs/2024/y", "reverse": "true"}, KEYS[1::-1], []),
        ({"start_after": "docs/2", "delimiter": "/"}, ["docs0"], ["z/"]),
        ({"start_after": "docs/", "delimiter": "/"}, ["docs0"], ["z/"]),
        ({"start_after": "docs/", "delimiter": "/", "reverse": "true"}, ["a"], []),
        ({"start_after": "docs/2", "delimiter": "/", "reverse": "true"}, ["a"], ["docs/"]),
        ({"start_after": "zz"}, [], []),
        ({"start_after": "", "prefix": "a"}, ["a"], []),
    ],
)
async def test_a_listing_begins_after_a_name(
    filled: Caller, parameters: dict[str, str], keys: list[str], folders: list[str]
) -> None:
    for limit in (1, 1000):
        assert names(await listed(filled, limit=limit, **parameters)) == (keys, folders)


async def test_a_cursor_fits_only_its_own_kind_of_listing(filled: Caller) -> None:
    kinds = [
        {},
        {"reverse": "true"},
        {"delimiter": "/"},
        {"delimiter": "o"},
        {"delimiter": "/", "reverse": "true"},
    ]
    for kind in kinds:
        page = await filled.data("GET", f"/v1/kv?{urlencode({'limit': 2, **kind})}")
        for other in kinds:
            query = urlencode({"cursor": page["cursor"], **other})
            answer = await filled("GET", f"/v1/kv?{query}")
            assert (answer.status_code == 200) is (other == kind), (kind, other)
            if other != kind:
                [error] = answer.json()["errors"]
                assert error["path"] == ["cursor"]
    cursor = (await filled.data("GET", "/v1/kv?limit=2&start_after=a"))["cursor"]
    assert (await filled("GET", f"/v1/kv?cursor={cursor}&values=true")).status_code == 200
    assert (await filled("GET", f"/v1/kv?cursor={cursor}&start_after=z")).status_code == 400


@on_one_storage
@pytest.mark.parametrize(
    "query",
    [
        "values=1",
        "values=",
        "reverse=yes",
        "delimiter=",
        "delimiter=/&delimiter=/",
        "key=a&values=true",
        "key=a&delimiter=/",
        "cursor=.YQ",
        "cursor=cmV2ZXJzZQ.YQ",
        "reverse=true&cursor=cmV2ZXJzZQ.%20",
    ],
)
async def test_a_wrong_parameter_is_400(call: Caller, query: str) -> None:
    answer = await call("GET", f"/v1/kv?{query}")
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert "Expected" in error["message"]


async def test_values_come_with_their_keys(clock: MovedClock) -> None:
    storage = MemoryStorage(clock=clock)
    call = Caller(make_server(storage))
    tag = (await call.put("a", {"b": [1, None]}, ttl=9, metadata={"m": 1})).headers["etag"]
    await call.put("n", None)
    await storage.set(Set(namespace="default", key="x", value=b"\xff\0", is_json=False))
    page = await call.data("GET", "/v1/kv?values=true")
    assert page["keys"][0] == {
        "key": "a",
        "version": tag.strip('"'),
        "expires_at": 1_800_000_009,
        "metadata": {"m": 1},
        "value": {"b": [1, None]},
    }
    assert page["keys"][1]["value"] is None
    assert page["keys"][2]["base64"] == b64encode(b"\xff\0").decode()
    assert "value" not in page["keys"][2]
    assert (await call("HEAD", "/v1/kv?values=true")).content == b""


async def test_a_page_with_values_ends_at_the_limit_of_a_batch(clock: MovedClock) -> None:
    limits = {"batch_bytes": 1000, "value_bytes": 900}
    call = Caller(make_server(MemoryStorage(clock=clock), limits=limits))
    sizes = {"a": 400, "b": 400, "c": 400, "d/1": 1, "e": 800, "f": 100}
    for key, size in sizes.items():
        await call.put(key, "x" * (size - 2))
    pages = await listed(call, values="true")
    keys = [[one["key"] for one in page["keys"]] for page in pages]
    assert keys == [["a", "b"], ["c", "d/1"], ["e", "f"]]
    pages = await listed(call, values="true", reverse="true", delimiter="/", limit=3)
    assert [sorted(key for part in names([page]) for key in part) for page in pages] == [
        ["d/", "e", "f"],
        ["b", "c"],
        ["a"],
    ]


async def test_a_page_with_a_value_over_the_limit_has_only_this_value(clock: MovedClock) -> None:
    storage = MemoryStorage(clock=clock)
    for key in "abc":
        value = b'"' + key.encode() * 2000 + b'"'
        await storage.set(Set(namespace="default", key=key, value=value))
    call = Caller(make_server(storage, limits={"batch_bytes": 1000, "value_bytes": 900}))
    pages = await listed(call, values="true")
    assert [[one["key"] for one in page["keys"]] for page in pages] == [["a"], ["b"], ["c"]]
    assert pages[0]["keys"][0]["value"] == "a" * 2000


async def test_folders_and_values_show_only_what_may_be_read() -> None:
    values = {"shop/hats/1": 1, "shop/coats/1": 2, "shop/price": 3, "wages/ada": 4, "x/1": 5}
    scopes = [
        {"verbs": ["read", "list"], "prefixes": ["shop/hats/", "shop/p", "x/"]},
        {"verbs": ["list"]},
    ]
    keys = [{"name": "ci", "api_key": "k", "scopes": scopes}]
    server = make_server(MemoryStorage(values), auth={"api_key": {"api_keys": keys}})

    class Scoped(Caller):
        async def __call__(self, method: str, url: str, **given: Any) -> Any:
            return await super().__call__(
                method, url, headers={"Authorization": "Bearer k"}, **given
            )

    call = Scoped(server)
    for limit in (1, 1000):
        for reverse, step in (("false", 1), ("true", -1)):
            given = {"limit": limit, "reverse": reverse}
            pages = await listed(call, delimiter="/", **given)
            assert names(pages) == ([], ["shop/", "x/"][::step])
            pages = await listed(call, delimiter="/", prefix="shop/", **given)
            assert names(pages) == (["shop/price"], ["shop/hats/"])
            pages = await listed(call, values="true", **given)
            shown = {one["key"]: one["value"] for page in pages for one in page["keys"]}
            assert shown == {"shop/hats/1": 1, "shop/price": 3, "x/1": 5}
    assert (await call("GET", "/v1/kv?prefix=wages/&delimiter=/")).status_code == 403
    assert (await call("GET", "/v1/kv?prefix=wages/&values=true")).status_code == 403


class Forward(MemoryStorage):
    lacks = {Capability.SEEKING: "It only goes forward."}  # noqa: RUF012  (as storages declare it)

    async def list(self, operation: List) -> Page:
        if operation.needs_seeking:
            raise self.unsupported(Capability.SEEKING)
        return await super().list(operation)


@pytest.mark.parametrize("cache", [False, {"ttl": 60}])
async def test_a_storage_that_lists_only_forward_says_so(cache: Any) -> None:
    call = Caller(make_server(Forward({"a": 1, "b": 2}), cache=cache))
    for query in ("reverse=true", "delimiter=/", "start_after=a", "values=true"):
        answer = await call("GET", f"/v1/kv?{query}")
        assert answer.status_code == 501
        assert "It only goes forward." in answer.json()["error"]
    assert names(await listed(call, limit=1))[0] == ["a", "b"]
    document = (await call("GET", "/open-api.json")).json()
    assert "501" in document["paths"]["/v1/kv"]["get"]["responses"]
