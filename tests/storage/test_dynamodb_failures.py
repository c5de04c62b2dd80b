"""Test what DynamoDBStorage makes of the failures of DynamoDB, without a server."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from botocore.exceptions import (  # type: ignore[import-untyped]
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
)

from storage.dynamodb_rules import check
from workertown_kv import kv
from workertown_kv.errors import (
    OptionsError,
    StorageError,
    StorageFailure,
    StorageUnavailable,
    ValueTooLarge,
)
from workertown_kv.operations import Batch, Delete, Get, List
from workertown_kv.runtime import Runtime
from workertown_kv.storage.dynamodb import DynamoDBStorage, driver, schema
from workertown_kv.storage.dynamodb.layout import layout_item
from workertown_kv.storage.dynamodb.url import Settings
from workertown_kv.storage.url import storage_from_url
from workertown_kv.testing.conformance.operations import SPACE, put

pytestmark = pytest.mark.anyio

Answer = Mapping[str, Any] | Exception


class Scripted:
    """Is a driver whose client answers as `answers` says, and then with nothing found."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.sent: list[str] = []
        self.handlers: dict[str, Callable[..., Awaitable[Mapping[str, Any]]]] = {}
        """What answers requests of some kinds."""

    def failure_of(self, error: Exception, table: str, *, writes: bool) -> Exception:
        return driver.failure_of(error, table, writes=writes)

    @asynccontextmanager
    async def new_client(self, settings: Settings) -> AsyncIterator[Any]:
        yield self

    def __getattr__(self, action: str) -> Any:
        async def send(**given: Any) -> Mapping[str, Any]:
            check(action, given)
            if action == "get_item" and given["Key"]["pk"]["S"] == "layout":
                return {"Item": layout_item(4)}
            self.sent.append(action)
            if action in self.handlers:
                return await self.handlers[action](**given)
            answer = self.answers.pop(0) if self.answers else {}
            if isinstance(answer, Exception):
                raise answer
            return answer

        return send


def refusal(code: str, status: int = 400, **fields: Any) -> ClientError:
    answer = {
        "Error": {"Code": code, "Message": f"about {code}"},
        "ResponseMetadata": {"HTTPStatusCode": status},
        **fields,
    }
    return ClientError(answer, "Any")


@asynccontextmanager
async def scripted(*answers: Answer, wait: float = 60) -> AsyncIterator[tuple[Any, Scripted]]:
    storage = DynamoDBStorage(f"dynamodb://eu-central-1/store?wait={wait}")
    script = Scripted(*answers)
    storage._connection._driver = script
    await storage.open()
    try:
        yield storage, script
    finally:
        await storage.close()


THROTTLED = refusal("ProvisionedThroughputExceededException")
LOST = HTTPClientError(error="the connection was closed")
ACTS: dict[str, Callable[[Any], Any]] = {
    "get_item": lambda storage: storage.get(Get(SPACE, "a")),
    "put_item": lambda storage: storage.set(put("a")),
    "delete_item": lambda storage: storage.delete(Delete(SPACE, "a")),
    "query": lambda storage: storage.list(List(SPACE, "", 1)),
}


@pytest.mark.parametrize(
    "code",
    ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"],
)
async def test_a_throttled_request_is_repeated_and_then_503(code: str) -> None:
    async with scripted(refusal(code)) as (storage, script):
        await storage.set(put("a"))
        assert script.sent == ["put_item", "put_item"]
    async with scripted(refusal(code), wait=0) as (storage, script):
        with pytest.raises(StorageUnavailable, match="throttles requests") as caught:
            await storage.set(put("a"))
        assert (caught.value.kind, caught.value.retry_after) == (StorageFailure.BUSY, 1)
        assert "may or may not" not in caught.value.message


async def test_a_client_learns_when_to_repeat_a_throttled_request() -> None:
    async with scripted(wait=0) as (storage, script):
        server = kv(runtime=Runtime(storage, background=False), auth={"api_key": {"api_key": "k"}})
        async with server:
            headers = {"Authorization": "Bearer k"}
            script.answers = [THROTTLED]
            answer = await server.request("GET", "/v1/kv/a", headers=headers)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            answer = await server.request("GET", f"/v1/kv/{'a' * 1025}", headers=headers)
            assert answer.status_code == 414
            sets = [{"op": "set", "key": str(i), "value": 1} for i in range(101)]
            body = {"operations": sets, "atomic": True}
            answer = await server.request("POST", "/v1/kv", headers=headers, json=body)
            assert answer.status_code == 501
            assert "at most 100 items" in answer.json()["error"]


@pytest.mark.parametrize("error", [LOST, refusal("InternalServerError", 500)], ids=["lost", "500"])
@pytest.mark.parametrize("action", ["put_item", "delete_item"])
async def test_a_write_without_an_answer_is_not_repeated(error: Exception, action: str) -> None:
    async with scripted(error) as (storage, script):
        with pytest.raises(StorageUnavailable, match="the write may or may not have happened"):
            await ACTS[action](storage)
        assert script.sent == [action]


async def test_a_read_without_an_answer_is_repeated_once() -> None:
    async with scripted(LOST) as (storage, script):
        assert await storage.get(Get(SPACE, "a")) is None
        assert script.sent == ["get_item", "get_item"]
    async with scripted(LOST, LOST) as (storage, script):
        with pytest.raises(StorageUnavailable) as caught:
            await storage.get(Get(SPACE, "a"))
        assert "may or may not" not in caught.value.message


async def test_a_transaction_without_an_answer_is_repeated_with_the_same_token() -> None:
    tokens: list[str] = []

    class Tokens(Scripted):
        def __getattr__(self, action: str) -> Any:
            send = super().__getattr__(action)

            async def noting(**given: Any) -> Mapping[str, Any]:
                if "ClientRequestToken" in given:
                    tokens.append(given["ClientRequestToken"])
                answer: Mapping[str, Any] = await send(**given)
                return answer

            return noting

    storage = DynamoDBStorage("dynamodb://eu-central-1/store")
    conflict = refusal(
        "TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}]
    )
    storage._connection._driver = Tokens(LOST, conflict)
    await storage.open()
    await storage.batch(Batch([put("a")], atomic=True))
    await storage.close()
    assert len(tokens) == 3
    assert tokens[0] == tokens[1] != tokens[2]


async def test_an_atomic_batch_that_reads_too_much_is_413() -> None:
    async with scripted(refusal("ValidationException")) as (storage, _):
        with pytest.raises(ValueTooLarge, match="at most 4 MB at one moment"):
            await storage.batch(Batch([Get(SPACE, "a")], atomic=True))


async def test_the_rest_of_a_batch_is_sent_again() -> None:
    async with scripted() as (storage, script):
        seen: list[int] = []

        async def write(**given: Any) -> Mapping[str, Any]:
            (requests,) = given["RequestItems"].values()
            seen.append(len(requests))
            return {"UnprocessedItems": {"store": requests[1:]}} if len(requests) > 1 else {}

        async def read(**given: Any) -> Mapping[str, Any]:
            (asked,) = given["RequestItems"].values()
            seen.append(len(asked["Keys"]))
            left = {"Keys": asked["Keys"][1:]}
            item = {**asked["Keys"][0], "version": {"S": "v"}, "value": {"S": "1"}}
            rest = {"UnprocessedKeys": {"store": left}} if left["Keys"] else {}
            return {"Responses": {"store": [item]}, **rest}

        script.handlers |= {"batch_write_item": write, "batch_get_item": read}
        results = await storage.batch(Batch([put(key) for key in "abc"]))
        assert all(isinstance(one, str) for one in results)
        assert seen == [3, 2, 1]
        entries = await storage.batch(Batch([Get(SPACE, key) for key in "abc"]))
        assert [one.key for one in entries] == ["a", "b", "c"]
        assert seen == [3, 2, 1] * 2


async def test_only_the_writes_of_a_batch_that_were_not_done_fail() -> None:
    async with scripted(wait=0) as (storage, script):

        async def write(**given: Any) -> Mapping[str, Any]:
            (requests,) = given["RequestItems"].values()
            return {"UnprocessedItems": {"store": requests[1:]}}

        script.handlers["batch_write_item"] = write
        results = await storage.batch(Batch([put("a"), put("b")]))
        assert isinstance(results[0], str)
        assert isinstance(results[1], StorageUnavailable)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (
            EndpointConnectionError(endpoint_url="http://x"),
            StorageFailure.UNREACHABLE,
            "cannot be reached at http://x",
        ),
        (NoCredentialsError(), StorageFailure.REFUSED, "expected credentials in AWS's variables"),
        (
            refusal("UnrecognizedClientException"),
            StorageFailure.REFUSED,
            "AWS refuses the credentials",
        ),
        (
            refusal("AccessDeniedException"),
            StorageFailure.REFUSED,
            "AWS does not permit this: about AccessDeniedException",
        ),
        (
            refusal("ResourceNotFoundException"),
            StorageFailure.REMOVED,
            "There is no table store; run `workertown-kv migrate`",
        ),
        (refusal("ValidationException"), StorageFailure.OTHER, "about ValidationException"),
        (refusal("TransactionConflictException"), StorageFailure.BUSY, "changing the same keys"),
    ],
)
async def test_failures_have_kinds_and_sentences(
    error: Exception, kind: StorageFailure, message: str
) -> None:
    for action, act in ACTS.items():
        answers = [error] * (4 if action == "query" else 1)
        async with scripted(*answers, wait=0) as (storage, _):
            with pytest.raises(StorageError, match=message) as caught:
                await act(storage)
            assert caught.value.kind is kind
            assert caught.value.__cause__ is error


async def test_a_table_that_is_never_created_is_a_failure_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def describe(**_: Any) -> Mapping[str, Any]:
        return {"Table": {"TableStatus": "CREATING"}}

    class Empty(Scripted):
        def __getattr__(self, action: str) -> Any:
            return super().__getattr__("describe_table" if action == "get_item" else action)

    monkeypatch.setattr(schema, "_CREATION_SECONDS", 0)
    storage = DynamoDBStorage("dynamodb://eu-central-1/store")
    empty = storage._connection._driver = Empty()
    empty.handlers["describe_table"] = describe
    await storage.open()
    with pytest.raises(StorageUnavailable, match="The table store is CREATING in DynamoDB"):
        await storage.get(Get(SPACE, "a"))
    await storage.close()


async def test_a_server_starts_while_dynamodb_cannot_be_reached(
    caplog: pytest.LogCaptureFixture,
) -> None:
    down = [True]

    class Down(Scripted):
        def __getattr__(self, action: str) -> Any:
            send = super().__getattr__(action)

            async def failing(**given: Any) -> Mapping[str, Any]:
                if down:
                    raise EndpointConnectionError(endpoint_url="x")
                answer: Mapping[str, Any] = await send(**given)
                return answer

            return failing

    storage = DynamoDBStorage("dynamodb://eu-central-1/store")
    storage._connection._driver = Down()
    await storage.open()
    assert "The table store: DynamoDB cannot be reached" in caplog.text
    with pytest.raises(StorageUnavailable):
        await storage.get(Get(SPACE, "a"))
    down.clear()
    assert await storage.get(Get(SPACE, "a")) is None
    await storage.close()


# The URL


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("dynamodb://eu-central-1", "names no table"),
        ("dynamodb://eu-central-1/", "names no table"),
        ("dynamodb://eu-central-1/a", "names no table of 3 to 255"),
        ("dynamodb://eu-central-1/table/more", "names no table"),
        ("dynamodb:///table", "names no region"),
        ("dynamodb://eu_central/table", "names no region"),
        ("dynamodb://eu-central-1:8000/table", "names no region"),
        ("dynamodb://AKIA:s3cret@eu-central-1/table", "has credentials in it"),
        ("dynamodb://eu-central-1/table?endpoint=localhost:8000", "has an endpoint that is no URL"),
        ("dynamodb://eu-central-1/table?endpoint=http://u:s3cret@h", "has an endpoint"),
        ("dynamodb://eu-central-1/table?bucket=1", "did you mean buckets"),
        ("dynamodb://eu-central-1/table?buckets=0", "a whole number from 1 to 256"),
        ("dynamodb://eu-central-1/table?timeout=0", "seconds from 0.01 to 3600"),
        ("dynamodb://eu-central-1/table?migrate=never", "auto or manual"),
    ],
)
def test_a_url_that_is_wrong_is_refused_with_what_is_right(url: str, message: str) -> None:
    with pytest.raises(OptionsError, match=message) as caught:
        storage_from_url(url)
    assert "s3cret" not in str(caught.value)


async def test_a_profile_that_does_not_exist_is_an_error() -> None:
    storage = storage_from_url("dynamodb://eu-central-1/table?profile=nobody")
    with pytest.raises(OptionsError, match="nobody"):
        await storage.open()


async def test_another_server_at_the_endpoint_is_not_dynamodb() -> None:
    class Elsewhere(Scripted):
        def __getattr__(self, action: str) -> Any:
            async def answer(**given: Any) -> Mapping[str, Any]:
                return {}  # what AWS's client makes of a page of HTML

            return answer

    storage = DynamoDBStorage("dynamodb://eu-central-1/store")
    storage._connection._driver = Elsewhere()
    with pytest.raises(StorageError, match="is not DynamoDB; expected its URL"):
        await storage.open()
    await storage.close()
