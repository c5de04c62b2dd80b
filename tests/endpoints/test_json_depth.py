"""Test how deep JSON may be nested: equally in every API, whatever the interpreter can read."""

import json

import hypothesis.strategies as st
import pytest
from hypothesis import given

from caller import Caller, make_server
from workertown_kv import nesting
from workertown_kv.nesting import is_deeper
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

NAMESPACE = "/client/v4/accounts/a/storage/kv/namespaces/00000000000000000000000000000000"
JSON = {"Content-Type": "application/json"}
MESSAGE = "The JSON is nested deeper than 512; expected at most 512 arrays and objects"


def deep(depth: int) -> str:
    """Alternate both kinds, with brackets in strings that do not count."""
    pairs = depth // 2
    return '{"[\\\\\\"[":[' * pairs + "[]" * (depth % 2) + "]}" * pairs


DEEP = (deep(513), "[" * 100_000 + "]" * 100_000, "[" * 600)
"""One level too many; a text that only the newest Python reads; a text that does not end."""


@pytest.fixture
def call() -> Caller:
    return Caller(make_server(MemoryStorage()))


BODIES = {
    "a value": ("PUT", "/v1/kv/a", '{"value":%s}'),
    "metadata": ("PUT", "/v1/kv/a", '{"value":1,"metadata":{"a":[%s]}}'),
    "an unknown field": ("PUT", "/v1/kv/a", '{"value":1,"x":%s}'),
    "a batch": ("POST", "/v1/kv", '{"operations":[{"op":"set","key":"a","value":%s}]}'),
    "a long batch": (
        "POST",
        "/v1/kv",
        '{"operations":[{"op":"set","key":"a","value":"'
        + "x" * 300_000
        + '"},{"op":"set","key":"b","value":%s}]}',
    ),
}


@pytest.mark.parametrize("text", DEEP, ids=["513", "100000", "endless"])
@pytest.mark.parametrize("kind", BODIES)
async def test_what_is_deeper_is_400_and_says_how_deep_it_may_be(
    call: Caller, kind: str, text: str
) -> None:
    method, url, body = BODIES[kind]
    answer = await call(method, url, content=body % text, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"location": "body", "path": [], "message": MESSAGE}]


async def test_what_is_as_deep_as_it_may_be_comes_back_as_it_was(call: Caller) -> None:
    text = deep(512)
    for method, url, body in BODIES.values():
        if "metadata" not in body and '"x":' not in body:
            answer = await call(method, url, content=body % text, headers=JSON)
            assert answer.status_code == 200, answer.text[:500]
            bytes_wanted = {"Accept": "application/octet-stream"}
            key = "b" if '"b"' in body else "a"
            assert (await call("GET", f"/v1/kv/{key}", headers=bytes_wanted)).text == text


@pytest.mark.parametrize("door", ["values", "bulk", "binding"])
async def test_cloudflares_doors_keep_what_is_deeper_as_bytes(call: Caller, door: str) -> None:
    for text, status in ((deep(512), 200), *((text, 406) for text in DEEP)):
        if door == "bulk":
            pairs = [{"key": "a", "value": text}]
            put = await call("PUT", f"{NAMESPACE}/bulk", json=pairs)
        else:
            url = f"{NAMESPACE}/values/a" if door == "values" else "/workerd/a"
            put = await call("PUT", url, content=text)
        assert put.status_code == 200, put.text
        assert (await call("GET", "/v1/kv/a")).status_code == status
        assert (await call("GET", f"{NAMESPACE}/values/a")).text == text


@pytest.mark.parametrize("text", DEEP, ids=["513", "100000", "endless"])
async def test_cloudflares_doors_refuse_metadata_that_is_deeper(call: Caller, text: str) -> None:
    form = await call(
        "PUT", f"{NAMESPACE}/values/a", files={"value": (None, "1"), "metadata": (None, text)}
    )
    bulk = await call(
        "PUT", f"{NAMESPACE}/bulk", content=f'[{{"key":"a","value":"1","metadata":{text}}}]'
    )
    for answer, code in ((form, 10047), (bulk, 10012)):
        assert answer.status_code == 400
        (error,) = answer.json()["errors"]
        assert error["code"] == code
        assert MESSAGE in error["message"]


async def test_the_limit_is_an_option() -> None:
    call = Caller(make_server(MemoryStorage(), limits={"json_depth": 2}))
    for text, status in (("[[1],{}]", 200), ("[[[]]]", 400)):
        answer = await call("PUT", "/v1/kv/a", content=f'{{"value":{text}}}', headers=JSON)
        assert answer.status_code == status
        await call("PUT", "/workerd/a", content=text)
        read = await call("GET", "/v1/kv/a")
        assert read.status_code == (200 if status == 200 else 406)


def depth_of(value: object) -> int:
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 0


TEXTS = st.text('"\\[]{}a\u00e9', max_size=6)
VALUES = st.recursive(
    TEXTS | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)


@given(value=VALUES, sizes=st.sampled_from([(1, 1), (3, 2), (1 << 16, 256)]))
def test_the_depth_is_that_of_the_decoded_text(value: object, sizes: tuple[int, int]) -> None:
    text = json.dumps(value, ensure_ascii=False).encode()
    depth = depth_of(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nesting, "_PART_BYTES", sizes[0])
        patch.setattr(nesting, "_BLOCK_BYTES", sizes[1])
        assert not is_deeper(text, depth)
        assert depth == 0 or is_deeper(bytearray(text), depth - 1)
