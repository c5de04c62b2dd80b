"""Test the server as a function of AWS Lambda, with events from every source."""

import asyncio
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import quote

import pytest

from extras import install_command
from servers.aws_lambda import RunningFunction
from servers.lambda_events import (
    ADDRESS,
    EVENTS,
    Answer,
    Request,
    answered,
    cloud_front,
    function_url,
)
from servers.redis import RunningRedis
from servers.upstash import StandInUpstash
from workertown_kv import Runtime, Server, combine, kv, runtime
from workertown_kv.errors import InputError, OptionsError
from workertown_kv.hosts import Combined
from workertown_kv.hosts.aws_lambda import lambda_handler
from workertown_kv.operations import Set
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.testing.strategies import ODD_KEYS

EXAMPLE = Path(__file__).parents[2] / "examples" / "aws-lambda"
KEY = {"Authorization": "Bearer s3cret"}
JSON = {**KEY, "Content-Type": "application/json"}
BYTES = {**KEY, "Accept": "application/octet-stream"}

Send = Callable[..., Answer]


def caller(server: Server | Combined, kind: str) -> Send:
    handler = lambda_handler(server)

    def send(method: str, path: str, **given: Any) -> Answer:
        event = json.loads(json.dumps(EVENTS[kind](Request(method, path, **given))))
        return answered(json.loads(json.dumps(handler(event, None))))

    return send


@pytest.fixture
def make_server() -> Iterator[Callable[..., Server]]:
    """Make servers, and close them in the end, which Lambda itself never does."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    made: list[Server] = []

    def make(**options: Any) -> Server:
        given = {"runtime": "testing", "auth": {"api_key": {"api_key": "s3cret"}}, **options}
        made.append(kv(**given))
        return made[-1]

    yield make
    for server in made:
        loop.run_until_complete(server.close())
    asyncio.set_event_loop(None)
    loop.close()


Make = Callable[..., Server]


@pytest.fixture(params=EVENTS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def send(kind: str, make_server: Make) -> Send:
    return caller(make_server(), kind)


def body(value: object) -> bytes:
    return json.dumps({"value": value}).encode()


def test_a_value_is_put_got_and_deleted(send: Send) -> None:
    put = send("PUT", "/v1/kv/theme", headers=JSON, body=body({"dark": "é☕"}))
    assert (put.status, put.data) == (200, {"dark": "é☕"})
    got = send("GET", "/v1/kv/theme", headers=KEY)
    assert (got.status, got.data, got.headers["etag"]) == (200, put.data, put.headers["etag"])
    assert (
        send("GET", "/v1/kv/theme", headers={**KEY, "If-None-Match": put.headers["etag"]}).status
        == 304
    )
    assert send("HEAD", "/v1/kv/theme", headers=KEY).body == b""
    assert send("DELETE", "/v1/kv/theme", headers=KEY).data is True
    missing = send("GET", "/v1/kv/theme", headers=KEY)
    assert (missing.status, missing.headers["content-type"]) == (404, "application/json")


def test_a_value_is_changed_in_one_step_and_taken(send: Send) -> None:
    once = {**JSON, "Idempotency-Key": "one"}
    for _ in range(2):
        counted = send("PATCH", "/v1/kv/n", headers=once, body=b'{"increment": 1}')
        assert (counted.status, counted.data) == (200, 1)
    merge = {**KEY, "Content-Type": "application/merge-patch+json"}
    assert send("PATCH", "/v1/kv/n", headers=merge, body=b'{"a": 1}').data == {"a": 1}
    refused = send("PATCH", "/v1/kv/n", headers={**KEY, "Content-Type": "text/plain"}, body=b"1")
    assert refused.status == 415
    assert "application/merge-patch+json" in refused.headers["accept-patch"]
    raw = {**KEY, "Content-Type": "image/png", "X-KV-Metadata": '{"m":1}'}
    assert send("PUT", "/v1/kv/raw", headers=raw, body=b"\x89PNG").status == 200
    taken = send("DELETE", "/v1/kv/n", query="take=true", headers=KEY)
    assert (taken.status, taken.data) == (200, {"a": 1})


def test_who_has_no_credentials_is_not_let_in(send: Send) -> None:
    refused = send("GET", "/v1/kv/theme")
    assert refused.status == 401
    assert "Bearer" in refused.headers["www-authenticate"]
    assert send("GET", "/health").data == "OK"


def test_every_odd_key_is_its_own(kind: str, send: Send) -> None:
    keys = [key for key in (*ODD_KEYS, "50%", "%25", "%2F", "a b+c", "ä/ö", "a//b/") if key]
    for key in keys:
        assert (
            send(
                "PUT", "/v1/kv", query=f"key={quote(key, safe='')}", headers=JSON, body=body(key)
            ).status
            == 200
        )
    for key in keys:
        by_query = send("GET", "/v1/kv", query=f"key={quote(key, safe='')}", headers=KEY)
        assert by_query.data == key
        if "?" in key and kind.startswith("http_api"):
            continue  # it takes what follows for the query, however it was sent
        by_path = send("GET", f"/v1/kv/{quote(key, safe='')}", headers=KEY)
        assert by_path.status == 200, key
        assert by_path.data == key
    page = send("GET", "/v1/kv", headers=KEY)
    assert [one["key"] for one in page.data["keys"]] == sorted(set(keys), key=str.encode)


def test_bytes_come_back_as_they_are(kind: str, make_server: Make) -> None:
    storage = MemoryStorage({"json": [1]})
    value = bytes(range(256)) * 3
    asyncio.get_event_loop().run_until_complete(
        storage.set(Set(namespace="default", key="bytes", value=value, is_json=False))
    )
    send = caller(make_server(runtime=Runtime(storage)), kind)
    assert send("GET", "/v1/kv/bytes", headers=BYTES).body == value
    assert send("GET", "/v1/kv/json", headers=BYTES).body == b"[1]"
    assert send("GET", "/v1/kv/bytes", headers=KEY).status == 406


def test_large_values_pass_in_both_directions(send: Send) -> None:
    text = "é" * 150_000
    put = send("PUT", "/v1/kv/large", headers={**JSON, "Prefer": "return=minimal"}, body=body(text))
    assert put.status == 200
    assert send("GET", "/v1/kv/large", headers=KEY).data == text
    raw = send("GET", "/v1/kv/large", headers=BYTES).body
    assert json.loads(raw) == text


def test_a_batch_and_a_page_work(send: Send) -> None:
    operations = [{"op": "set", "key": "a/b", "value": 1}, {"op": "get", "key": "a/b"}]
    done = send(
        "POST", "/v1/kv", headers=JSON, body=json.dumps({"operations": operations}).encode()
    )
    assert done.data[1]["value"] == 1
    page = send("GET", "/v1/kv", query="prefix=a%2F&limit=1", headers=KEY)
    assert [one["key"] for one in page.data["keys"]] == ["a/b"]


def test_a_malformed_path_is_400(kind: str, send: Send) -> None:
    if kind.startswith("http_api"):
        pytest.skip("it decodes by itself, and nothing is known of how")
    assert send("GET", "/v1/kv/%ff", headers=KEY).status == 400


def test_the_address_of_the_client_is_the_one_that_aws_has_seen(
    kind: str, make_server: Make
) -> None:
    for address, status in ((ADDRESS, 200), ("198.51.100.1", 403)):
        send = caller(make_server(access={"ip": [address]}), kind)
        assert send("GET", "/health").status == status


def test_a_stage_is_a_base_path(kind: str, make_server: Make) -> None:
    send = caller(make_server(base_path="/prod"), kind)
    assert send("PUT", "/prod/v1/kv/a%2520b", headers=JSON, body=body(1)).status == 200
    listed = send("GET", "/prod/v1/kv", headers=KEY).data["keys"]
    assert [one["key"] for one in listed] == ["a%20b"]


def test_a_body_that_cloud_front_has_cut_off_is_refused(make_server: Make) -> None:
    handler = lambda_handler(make_server(runtime=runtime.testing({"a": 1})))
    event = cloud_front(Request("PUT", "/v1/kv/a", headers=JSON, body=body(2)))
    event["Records"][0]["cf"]["request"]["body"]["inputTruncated"] = True
    refused = answered(handler(event, None))
    assert refused.status == 413
    got = answered(handler(cloud_front(Request("GET", "/v1/kv/a", headers=KEY)), None))
    assert got.data == 1
    assert "content-length" not in got.headers


def test_the_storage_stays_open_from_one_event_to_the_next(make_server: Make) -> None:
    opened = []

    class Counted(MemoryStorage):
        async def open(self) -> Any:
            opened.append(self)
            return await super().open()

    handler = lambda_handler(make_server(runtime=Runtime(Counted())))
    for _ in range(3):
        assert handler(function_url(Request("GET", "/health")), None)["statusCode"] == 200
    assert len(opened) == 1


def test_other_event_loops_and_threads_do_not_disturb_it(make_server: Make) -> None:
    handler = lambda_handler(make_server())
    event = function_url(Request("GET", "/health"))
    loop = asyncio.get_event_loop_policy().get_event_loop()
    for _ in range(2):
        assert handler(event, None)["statusCode"] == 200
        asyncio.run(asyncio.sleep(0))  # leaves the thread without an event loop
        assert handler(event, None)["statusCode"] == 200
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda _: handler(event, None), range(8)))
        assert {answer["statusCode"] for answer in answers} == {200}
    asyncio.set_event_loop(loop)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"Records": [{"eventSource": "aws:sqs"}]},
        {"source": "aws.events"},
        [1],
        None,
    ],
)
def test_an_event_without_a_request_is_refused_in_a_sentence(
    make_server: Make, event: object
) -> None:
    handler = lambda_handler(make_server())
    with pytest.raises(InputError, match="This event has no HTTP request in it; expected one of"):
        handler(event, None)


def test_several_servers_can_be_one_function(make_server: Make) -> None:
    servers = [make_server(base_path=path) for path in ("/a", "/b")]
    handler = lambda_handler(combine(*servers))
    for path in ("/a/health", "/b/health"):
        assert handler(function_url(Request("GET", path)), None)["statusCode"] == 200


def test_without_mangum_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mangum", None)
    monkeypatch.delitem(sys.modules, "workertown_kv.hosts.aws_lambda")
    with pytest.raises(OptionsError) as caught:
        importlib.import_module("workertown_kv.hosts.aws_lambda")
    assert install_command("aws-lambda") in str(caught.value)


# Under AWS's own runtime


@pytest.fixture
def upstash(require_program: Callable[[str, str], str], tmp_path: Path) -> Iterator[StandInUpstash]:
    program = require_program("redis-server", "redis-server")
    with RunningRedis(program, tmp_path) as redis, StandInUpstash(redis.port) as stand_in:
        yield stand_in


def test_the_example_runs_in_the_runtime_of_aws(upstash: StandInUpstash) -> None:
    env = {"KV_DB": upstash.url, "KV_API_KEY": "s3cret"}
    with RunningFunction(EXAMPLE, "handler.handler", env) as function:

        def send(make: Callable[[Request], Any], method: str, path: str, **given: Any) -> Answer:
            return answered(function.invoke(make(Request(method, path, **given))))

        started = monotonic()
        assert send(function_url, "GET", "/health").data == "OK"
        first = monotonic() - started
        for number, make in enumerate(EVENTS.values()):
            path = f"/v1/kv/by%2F{number}"
            assert send(make, "PUT", path, headers=JSON, body=body(number)).status == 200
            assert send(make, "GET", path, headers=KEY).data == number
        large = "x" * 3_900_000
        put = send(function_url, "PUT", "/v1/kv/large", headers=JSON, body=body(large))
        assert put.data == large
        raw = send(function_url, "GET", "/v1/kv/large", headers=BYTES)
        assert raw.body == json.dumps(large).encode()
        too_large = send(function_url, "PUT", "/v1/kv/large", headers=JSON, body=body(large * 2))
        assert too_large.status == 413
        started = monotonic()
        for _ in range(100):
            assert send(function_url, "GET", "/v1/kv/by/0", headers=KEY).data == 0
        print(
            f"\ninit {function.init_seconds * 1000:.0f} ms, first request {first * 1000:.0f} ms, "
            f"later ones {(monotonic() - started) * 10:.1f} ms each"
        )


def test_changes_come_as_pages_and_not_as_a_stream(send: Send) -> None:
    cursor = send("GET", "/v1/changes", headers=KEY).data["cursor"]
    send("PUT", "/v1/kv/a", headers=JSON, body=body(1))
    found = send("GET", "/v1/changes", query=f"since={cursor}&wait=30", headers=KEY)
    assert [change["key"] for change in found.data["changes"]] == ["a"]
    query = f"since={found.data['cursor']}&wait=0.05"
    assert send("GET", "/v1/changes", query=query, headers=KEY).data["changes"] == []
    refused = send("GET", "/v1/changes", headers={**KEY, "Accept": "text/event-stream"})
    assert refused.status == 406
