"""Test what HttpStorage makes of failures, and where it sends its token."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from servers.scripted import Script, Scripted, answer, scripted
from workertown_kv import errors
from workertown_kv.errors import StorageError, StorageFailure, StorageUnavailable
from workertown_kv.operations import Batch, Get, List, Set
from workertown_kv.patches.increment import Increment
from workertown_kv.storage.http import HttpStorage
from workertown_kv.updates import Target, increment

pytestmark = pytest.mark.anyio

TOKEN = "s3cret-token"
GET = Get("default", "a")
SET = Set(namespace="default", key="a", value=b"1")
ADD = increment(Target("default", "a"), Increment(by=1))
DONE = b'{"status":200,"success":true,"data":[{"key":"a","value":1,"version":"v"}]}'


@asynccontextmanager
async def opened(script: Script, query: str = "") -> AsyncIterator[tuple[HttpStorage, Scripted]]:
    async with scripted(script) as server:
        storage = HttpStorage(server.url + query, token=TOKEN)
        await storage.open()
        try:
            yield storage, server
        finally:
            await storage.close()


def failure(status: int, error: str, *details: str) -> bytes:
    found = ",".join(details)
    body = f'{{"status":{status},"success":false,"data":null,"error":"{error}","errors":[{found}]}}'
    return answer(body.encode(), b"%d X" % status)


async def raised(act: Any) -> Exception:
    with pytest.raises(errors.KvError) as caught:
        await act
    assert TOKEN not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind", "failure_kind"),
    [
        (400, errors.InputError, None),
        (401, StorageError, StorageFailure.REFUSED),
        (403, StorageError, StorageFailure.REFUSED),
        (408, StorageUnavailable, StorageFailure.BUSY),
        (410, errors.CursorGone, None),
        (413, errors.ValueTooLarge, None),
        (414, errors.KeyTooLong, None),
        (429, StorageUnavailable, StorageFailure.BUSY),
        (500, StorageError, StorageFailure.OTHER),
        (501, errors.StorageUnsupported, StorageFailure.OTHER),
        (503, StorageUnavailable, StorageFailure.UNREACHABLE),
    ],
)
async def test_an_answer_that_names_an_error_raises_it(
    status: int, kind: type[Exception], failure_kind: StorageFailure | None
) -> None:
    async with opened(lambda *_: failure(status, "What went wrong")) as (storage, _):
        error = await raised(storage.list(List("default", "", 1)))
        assert type(error) is kind
        if status != 401:
            assert "What went wrong" in str(error)
        assert getattr(error, "kind", None) == failure_kind


async def test_an_error_says_what_was_wrong_with_which_field() -> None:
    detail = '{"location":"body","path":["operations",0,"key"],"message":"Expected less"}'
    script = failure(414, "Invalid request body", detail)
    async with opened(lambda *_: script) as (storage, _):
        assert str(await raised(storage.get(GET))) == "key: Expected less"


async def test_a_probe_tells_the_kind_of_failure() -> None:
    script = failure(503, "The storage cannot be used: read-only")
    async with opened(lambda *_: script) as (storage, server):
        error = await raised(storage.probe())
        assert isinstance(error, StorageUnavailable)
        assert error.kind is StorageFailure.READ_ONLY
        assert server.requests[0].startswith(b"GET /health/ready ")


async def test_a_redirect_is_refused_and_gets_no_token() -> None:
    async with scripted(lambda *_: answer(DONE)) as other:
        script = answer(b"", b"307 X", b"Location: %b/v1/kv" % other.url.encode())
        async with opened(lambda *_: script) as (storage, _):
            error = await raised(storage.get(GET))
            assert "redirects elsewhere" in str(error)
        assert not other.requests


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"<html>", b"200 OK", StorageError),
        (b"<html>", b"404 X", StorageError),
        (b"<html>", b"502 X", StorageUnavailable),
        (b'{"status":200,"success":true,"data":{}}', b"200 OK", StorageError),
        (b'{"status":200,"success":true,"data":[]}', b"200 OK", StorageError),
    ],
)
async def test_an_answer_of_another_program_is_an_error(
    body: bytes, status: bytes, kind: type[Exception]
) -> None:
    async with opened(lambda *_: answer(body, status)) as (storage, _):
        assert type(await raised(storage.get(GET))) is kind


async def test_a_read_is_sent_again_if_the_server_has_closed_the_connection() -> None:
    def script(number: int, _: bytes) -> bytes:
        return b"" if number == 0 else answer(DONE)

    async with opened(script) as (storage, server):
        entry = await storage.get(GET)
        assert entry is not None
        assert len(server.requests) == 2


async def test_an_increment_is_sent_again_only_with_the_same_key() -> None:
    def script(number: int, _: bytes) -> bytes:
        return b"" if number == 0 else answer(DONE)

    async with opened(script) as (storage, server):
        updated = await storage.update(ADD)
        assert updated.after is not None
        assert updated.after.value == b"1"
        assert len(server.requests) == 2
        first, second = server.requests
        assert b"idempotency-key: " in first.lower()
        assert first == second


async def test_a_write_is_not_sent_again() -> None:
    async with opened(lambda *_: b"") as (storage, server):
        for act in (storage.set(SET), storage.batch(Batch([GET, SET]))):
            error = await raised(act)
            assert "the write may or may not have happened" in str(error)
        assert len(server.requests) == 2


async def test_a_server_that_does_not_answer_is_unavailable() -> None:
    async with opened(lambda *_: b"HTTP/1.1 ", "?timeout=0.5") as (storage, _):
        error = await raised(storage.get(GET))
        assert isinstance(error, StorageUnavailable)
        assert "did not answer within 0.5 s" in str(error)
    storage = HttpStorage("http://127.0.0.1:1", token=TOKEN)
    await storage.open()
    error = await raised(storage.get(GET))
    assert isinstance(error, StorageUnavailable)
    assert "cannot be reached" in str(error)
    await storage.close()


async def test_a_server_that_is_too_old_says_so() -> None:
    async with scripted(lambda *_: b"") as server:
        server.about = failure(400, "Invalid query")
        assert "too old" in str(await raised(HttpStorage(server.url, token=TOKEN).open()))


async def test_the_token_goes_past_no_proxy_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(lambda *_: answer(DONE)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("no_proxy", "")
        async with opened(lambda *_: answer(DONE)) as (storage, server):
            await storage.get(GET)
        assert len(server.requests) == 1
        assert not proxy.requests
