"""Test what CloudflareKVStorage does if Cloudflare fails or refuses."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest

from caller import Caller, make_server
from servers.cloudflare import (
    CUT,
    HTML,
    TOKEN,
    ScriptedCloudflare,
    failure,
    storage_at,
    success,
)
from servers.listening import listening
from servers.stand_in import Reply
from storage.redis_case import outcome_of
from workertown_kv.entry import Entry
from workertown_kv.errors import InputError, StorageError, StorageFailure, StorageUnavailable
from workertown_kv.operations import Batch, Delete, Get, List
from workertown_kv.storage.cloudflare_kv import CloudflareKVStorage
from workertown_kv.testing import MovedClock
from workertown_kv.testing.conformance.operations import SPACE, put

pytestmark = pytest.mark.anyio

READS = ("get", "list", "get_batch")
WRITES = ("set", "delete", "set_batch", "delete_batch")


@pytest.fixture(scope="module")
def running() -> Iterator[ScriptedCloudflare]:
    with ScriptedCloudflare() as cloudflare:
        yield cloudflare


@pytest.fixture
def cloudflare(running: ScriptedCloudflare) -> ScriptedCloudflare:
    running.asked.clear()
    running.replies.clear()
    return running


@pytest.fixture
async def storage(
    cloudflare: ScriptedCloudflare, clock: MovedClock
) -> AsyncIterator[CloudflareKVStorage]:
    storage = storage_at(cloudflare.http_url, clock)
    await storage.open()
    cloudflare.asked.clear()
    yield storage
    await storage.close()


async def act(storage: CloudflareKVStorage, name: str) -> object:
    match name:
        case "get":
            return await outcome_of(lambda: storage.get(Get(SPACE, "a")))
        case "list":
            return await outcome_of(lambda: storage.list(List(SPACE, "", 10)))
        case "set":
            return await outcome_of(lambda: storage.set(put("a")))
        case "delete":
            return await outcome_of(lambda: storage.delete(Delete(SPACE, "a")))
        case "get_batch":
            batch = Batch([Get(SPACE, "a"), Get(SPACE, "b")])
        case "set_batch":
            batch = Batch([put("a"), put("b")])
        case _:
            batch = Batch([Delete(SPACE, "a"), Delete(SPACE, "b")])
    first, second = await storage.batch(batch)
    assert type(first) is type(second)
    return first


# Too many requests


@pytest.mark.parametrize("name", [*READS, *WRITES])
async def test_a_request_waits_as_long_as_cloudflare_says(
    cloudflare: ScriptedCloudflare, storage: CloudflareKVStorage, name: str
) -> None:
    cloudflare.replies = [failure(429, 10013, "slow down", retry_after="0")] * 2
    assert not isinstance(await act(storage, name), Exception)
    first, *others = cloudflare.asked
    assert [one.path for one in others] == [first.path] * 2
    assert [one.body for one in others if name != "set"] == [first.body] * 2 * (name != "set")


@pytest.mark.deep
async def test_a_pause_is_over_once_cloudflare_takes_requests_again(
    cloudflare: ScriptedCloudflare, clock: MovedClock
) -> None:
    storage = storage_at(cloudflare.http_url, clock, parameters="&wait=600")
    await storage.open()
    cloudflare.asked.clear()
    loop = asyncio.get_running_loop()
    cloudflare.replies = [failure(429, 971, "Please wait", retry_after="1")]
    began = loop.time()
    found = await asyncio.gather(*(storage.get(Get(SPACE, f"{i}")) for i in range(20)))
    assert found == [None] * 20
    assert loop.time() - began >= 1
    await storage.close()


async def test_a_long_pause_is_503_at_once_and_says_when_to_try_again(
    cloudflare: ScriptedCloudflare, storage: CloudflareKVStorage
) -> None:
    cloudflare.replies = [failure(429, 971, "Please wait", retry_after="300")]
    for name in (*READS, *WRITES):
        outcome = await act(storage, name)
        assert isinstance(outcome, StorageUnavailable)
        assert outcome.kind is StorageFailure.BUSY
        assert 290 < outcome.retry_after <= 300
        assert "may or may not" not in outcome.message
    # Cloudflare refuses all requests meanwhile, so no other request is sent.
    assert len(cloudflare.asked) == 1


async def test_clients_of_a_server_learn_when_to_try_again(
    cloudflare: ScriptedCloudflare, clock: MovedClock
) -> None:
    async with make_server(storage_at(cloudflare.http_url, clock)) as server:
        call = Caller(server)
        assert (await call("GET", "/v1/kv/a")).status_code == 404
        # The server probes the storage meanwhile.
        cloudflare.replies = [failure(429, 971, "Please wait", retry_after="300")] * 4
        answer = await call("GET", "/v1/kv/a")
    assert answer.status_code == 503
    assert 290 < int(answer.headers["retry-after"]) <= 300
    assert "Cloudflare takes no more requests" in answer.json()["error"]


async def test_a_key_that_is_written_too_often_stops_no_other_key(
    cloudflare: ScriptedCloudflare, clock: MovedClock
) -> None:
    storage = storage_at(cloudflare.http_url, clock, parameters="&wait=0")
    await storage.open()
    cloudflare.replies = [failure(429, 10048, "too many writes of this key")]
    outcome = await act(storage, "set")
    assert isinstance(outcome, StorageUnavailable)
    assert outcome.retry_after == 1
    assert isinstance(await act(storage, "set"), str)
    cloudflare.replies = [success({"successful_key_count": 1, "unsuccessful_keys": ["b"]})]
    written, failed = await storage.batch(Batch([put("a"), put("b")]))
    assert isinstance(written, str)
    assert isinstance(failed, StorageUnavailable)
    await storage.close()


# No answer, and answers of others


@pytest.mark.parametrize("name", READS)
async def test_a_read_whose_answer_is_lost_is_sent_again_once(
    cloudflare: ScriptedCloudflare, storage: CloudflareKVStorage, name: str
) -> None:
    cloudflare.replies = [CUT]
    assert not isinstance(await act(storage, name), Exception)
    cloudflare.replies = [CUT, CUT]
    outcome = await act(storage, name)
    assert isinstance(outcome, StorageUnavailable)
    assert outcome.message.startswith("Cloudflare does not answer")
    assert len(cloudflare.asked) == 4


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize(
    "reply", [CUT, HTML, failure(500, 10001, "internal"), Reply(200, b"<html>")]
)
async def test_a_write_without_an_answer_is_not_sent_again(
    cloudflare: ScriptedCloudflare, storage: CloudflareKVStorage, name: str, reply: Reply
) -> None:
    cloudflare.replies = [reply]
    outcome = await act(storage, name)
    assert isinstance(outcome, StorageUnavailable)
    assert "may or may not have happened" in outcome.message
    assert outcome.retry_after == 1
    assert len(cloudflare.asked) == 1


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("reply", [HTML, Reply(200, b"<html>"), failure(503, 10001, "internal")])
async def test_an_answer_of_another_program_is_503(
    cloudflare: ScriptedCloudflare, storage: CloudflareKVStorage, name: str, reply: Reply
) -> None:
    cloudflare.replies = [reply]
    outcome = await act(storage, name)
    assert isinstance(outcome, StorageUnavailable)
    assert outcome.kind is StorageFailure.UNREACHABLE


async def test_a_cloudflare_that_cannot_be_reached_delays_no_start(clock: MovedClock) -> None:
    with ScriptedCloudflare() as gone:
        pass
    storage = storage_at(gone.http_url, clock)
    await storage.open()
    for name in (*READS, *WRITES):
        outcome = await act(storage, name)
        assert isinstance(outcome, StorageUnavailable)
        assert outcome.message.startswith("Cloudflare does not answer"), "it was not even sent"
    await storage.close()


async def test_a_cloudflare_that_hangs_is_given_up(clock: MovedClock) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(hang) as port:
        storage = storage_at(f"http://127.0.0.1:{port}", clock, parameters="&timeout=0.05")
        async with asyncio.timeout(60):
            await storage.open()
            for name in (*READS, *WRITES):
                assert isinstance(await act(storage, name), StorageUnavailable)
        await storage.close()


# Refusals


@pytest.mark.parametrize(
    "reply",
    [
        failure(401, 10000, "Authentication error"),
        failure(403, 10000, "Authentication error"),
        failure(400, 6003, "Invalid request headers"),
        Reply(403, b"<html>"),
    ],
)
async def test_a_refused_token_names_the_permission_and_is_not_shown(
    cloudflare: ScriptedCloudflare, storage: CloudflareKVStorage, reply: Reply
) -> None:
    for name in (*READS, *WRITES):
        cloudflare.replies = [reply]
        outcome = await act(storage, name)
        assert isinstance(outcome, StorageError)
        assert not isinstance(outcome, StorageUnavailable)
        assert outcome.kind is StorageFailure.REFUSED
        assert "Workers KV Storage Write" in outcome.message
        assert TOKEN not in repr(outcome)
    assert len(cloudflare.asked) == len(READS) + len(WRITES)
    assert all(one.headers["Authorization"] == f"Bearer {TOKEN}" for one in cloudflare.asked)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (failure(403, 10000, "Authentication error"), "refuses the token"),
        (failure(404, 10013, "get: 'namespace not found'"), "has no namespace 0{32}"),
        (failure(404, 7003, "Could not route"), "The account any"),
        (Reply(308, headers={"Location": "https://example.com"}), "redirect"),
    ],
)
async def test_a_server_that_can_never_work_does_not_start(
    cloudflare: ScriptedCloudflare, clock: MovedClock, reply: Reply, message: str
) -> None:
    storage = storage_at(cloudflare.http_url, clock)
    cloudflare.replies = [reply]
    with pytest.raises(StorageError, match=message) as caught:
        await storage.open()
    assert not isinstance(caught.value, StorageUnavailable)
    assert len(cloudflare.asked) == 1


async def test_one_refused_pair_refuses_no_other(
    cloudflare: ScriptedCloudflare, storage: CloudflareKVStorage
) -> None:
    refused = failure(400, 10029, "pair 1 is odd")
    done = success({"successful_key_count": 1, "unsuccessful_keys": []})
    cloudflare.replies = [refused, refused, done, refused, done]
    results = await storage.batch(Batch([put(f"{i}") for i in range(4)]))
    sent = [[one["key"] for one in json.loads(asked.body)] for asked in cloudflare.asked]
    assert sent == [["0", "1", "2", "3"], ["0", "1"], ["0"], ["1"], ["2", "3"]]
    assert [isinstance(one, str) for one in results] == [True, False, True, True]
    assert "pair 1 is odd" in str(results[1])


async def test_a_refused_cursor_is_an_error_of_the_client(
    cloudflare: ScriptedCloudflare, storage: CloudflareKVStorage
) -> None:
    keys = [{"name": f"{i}"} for i in range(10)]
    cloudflare.replies = [success(keys, cursor="next"), failure(400, 10041, "Invalid cursor")]
    page = await storage.list(List(SPACE, "", 10))
    with pytest.raises(InputError):
        await storage.list(List(SPACE, "", 10, page.cursor))
    assert "cursor=next" in cloudflare.asked[-1].path
    cloudflare.replies = [success([], cursor="next")] * 3
    with pytest.raises(StorageError, match="again and again"):
        await storage.list(List(SPACE, "", 10))


# Costs


async def test_many_operations_are_few_requests(
    cloudflare: ScriptedCloudflare, storage: CloudflareKVStorage
) -> None:
    gets = [Get(SPACE, f"{i}") for i in range(250)]
    sets = [put(f"{i}", b"\xff" if i % 2 else b"text", is_json=False) for i in range(1000)]
    deletes = [Delete(SPACE, one.key) for one in sets]
    await storage.batch(Batch([*gets, *sets, *deletes]))
    asked = [f"{one.method} {one.path.rpartition('0' * 32)[2]}" for one in cloudflare.asked]
    assert asked == [*["POST /bulk/get"] * 3, "PUT /bulk", "POST /bulk/delete"]
    pairs = json.loads(cloudflare.asked[3].body)
    assert [(one["value"], one.get("base64")) for one in pairs[:2]] == [
        ("text", None),
        ("/w==", True),
    ]
    cloudflare.asked.clear()
    await asyncio.gather(*(storage.get(get) for get in gets[:100]))
    assert len(cloudflare.asked) <= 4


async def test_a_large_batch_is_several_requests(
    cloudflare: ScriptedCloudflare, storage: CloudflareKVStorage
) -> None:
    results = await storage.batch(Batch([put(f"{i}", b"1" * 6_000_000) for i in range(5)]))
    assert all(isinstance(one, str) for one in results)
    assert [len(json.loads(one.body)) for one in cloudflare.asked] == [2, 2, 1]


async def test_an_entry_that_changes_while_it_is_read_is_read_again(
    cloudflare: ScriptedCloudflare, storage: CloudflareKVStorage
) -> None:
    not_text = failure(400, 10029, "not text")
    old, new = ({"version": letter * 25} for letter in "ab")
    cloudflare.replies = [not_text, success(old), Reply(200, b"\xff"), success(new)]
    cloudflare.replies += [Reply(200, b"\xfe", {"expiration": "2000000000"}), success(new)]
    entry = await storage.get(Get(SPACE, "a"))
    assert isinstance(entry, Entry)
    assert (entry.value, entry.version) == (b"\xfe", "b" * 25)
    cloudflare.replies = [not_text, success(old)]
    cloudflare.replies += [Reply(200, b"\xff"), success(new), Reply(200, b"\xff"), success(old)] * 5
    outcome = await act(storage, "get")
    assert isinstance(outcome, StorageUnavailable)
    assert outcome.kind is StorageFailure.BUSY
    cloudflare.replies = [not_text, success(old), failure(404, 10009, "key not found")]
    assert await storage.get(Get(SPACE, "a")) is None


# Answers in other forms


async def test_the_layout_of_an_answer_changes_no_metadata(
    cloudflare: ScriptedCloudflare, storage: CloudflareKVStorage
) -> None:
    # The stand-in writes its answers over several lines.
    cloudflare.replies = [success({"values": {"a": {"value": "1", "metadata": {"a": [1, 2]}}}})]
    entry = await storage.get(Get(SPACE, "a"))
    assert entry is not None
    assert entry.metadata == b'{"a":[1,2]}'
    cloudflare.replies = [success([{"name": "a", "metadata": {"a": [1, 2]}}], cursor=None)]
    (info,) = (await storage.list(List(SPACE, "", 10))).keys
    assert info.metadata == b'{"a":[1,2]}'


async def test_bytes_that_a_bulk_read_has_replaced_are_read_again(
    cloudflare: ScriptedCloudflare, storage: CloudflareKVStorage
) -> None:
    replaced = {"value": "a\ufffdb", "metadata": {"m": 1}}
    cloudflare.replies = [success({"values": {"a": replaced}}), success({"m": 1})]
    cloudflare.replies += [Reply(200, b"a\xffb")]
    entry = await storage.get(Get(SPACE, "a"))
    assert entry is not None
    assert (entry.value, entry.metadata) == (b"a\xffb", b'{"m":1}')
    # The metadata has no version of this package, so reading it again would tell nothing.
    assert len(cloudflare.asked) == 3


async def test_no_proxy_sees_a_token_that_is_sent_without_tls(
    cloudflare: ScriptedCloudflare, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, cloudflare.http_url)
    with ScriptedCloudflare() as other:
        storage = storage_at(other.http_url, clock)
        await storage.open()
        await storage.get(Get(SPACE, "a"))
        await storage.close()
        assert len(other.asked) == 2
    assert not cloudflare.asked
