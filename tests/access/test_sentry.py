"""Test the reports to Sentry, with a server that records them."""

import asyncio
import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any, Never

import pytest
from sentry_sdk.consts import DEFAULT_QUEUE_SIZE
from starlette.applications import Starlette
from starlette.routing import Mount

from caller import API_KEY, Caller, make_server
from extras import install_command
from workertown_kv import OptionsError, Server, kv
from workertown_kv.access.sentry import SentryReport, configured_report
from workertown_kv.entry import Entry
from workertown_kv.errors import MissingExtra, StorageError
from workertown_kv.http.exchange import AsgiExchange
from workertown_kv.http.memory import Memory
from workertown_kv.operations import Get, Set
from workertown_kv.options import OptionsDict, parse_options
from workertown_kv.server.apis import RouteTable
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

SECRET = "do-not-tell"


class Endpoint:
    """Receives reports for Sentry, and keeps the header fields and the unpacked bodies."""

    def __init__(self) -> None:
        self.sent: Queue[bytes] = Queue()
        self.answering = Event()
        self.answering.set()
        self.status = 200
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                encoding = self.headers.get("Content-Encoding")
                assert encoding in (None, "gzip")
                body = gzip.decompress(body) if encoding else body
                endpoint.sent.put(f"{self.path}\n{self.headers}".encode() + b"\0" + body)
                endpoint.answering.wait(30)
                self.send_response(endpoint.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.dsn = f"http://public@127.0.0.1:{self.server.server_port}/7"

    async def take(self) -> bytes:
        return await asyncio.to_thread(self.sent.get, timeout=30)

    async def event(self) -> dict[str, Any]:
        return event_in(await self.take())


def event_in(sent: bytes) -> dict[str, Any]:
    _, _, body = sent.partition(b"\0")
    _, kind, event = body.rstrip().split(b"\n")
    assert json.loads(kind)["type"] == "event"
    parsed = json.loads(event)
    assert isinstance(parsed, dict)
    return parsed


@pytest.fixture
def sentry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    endpoint = Endpoint()
    thread = Thread(target=endpoint.server.serve_forever, args=(0.01,))
    thread.start()
    yield endpoint
    endpoint.answering.set()
    endpoint.server.shutdown()
    thread.join()
    endpoint.server.server_close()


class Failing(MemoryStorage):
    """Fails as an engine does whose messages quote its input."""

    async def set(self, operation: Set) -> str:
        statement = f"INSERT {operation.key} {operation.value!r}"
        try:
            self.execute(statement)
        except ConnectionError as error:
            error.add_note(statement)
            raise StorageError(f"failed: {statement}") from error

    def execute(self, statement: str) -> Never:
        raise ConnectionError(statement)

    async def get(self, operation: Get) -> Entry | None:
        raise RuntimeError(f"no {operation.key}")


def failing(sentry: Endpoint, **options: Any) -> Caller:
    return Caller(make_server(Failing(), sentry={"dsn": sentry.dsn, **options}))


async def test_an_error_is_reported_with_its_stack_its_causes_and_the_request_id(
    sentry: Endpoint,
) -> None:
    call = failing(sentry, environment="staging")
    answer = await call("PUT", "/v1/kv/a", json={"value": 1})
    assert answer.status_code == 500
    event = await sentry.event()
    assert event["tags"] == {"request_id": answer.headers["x-request-id"]}
    assert event["transaction"] == "PUT /v1/kv/{key}"
    assert event["request"] == {"method": "PUT", "url": "/v1/kv/{key}"}
    assert event["release"] == f"workertown-kv@{version('workertown-kv')}"
    assert event["environment"] == "staging"
    assert event["level"] == "error"
    cause, raised = event["exception"]["values"]
    assert (cause["module"], cause["type"]) == ("builtins", "ConnectionError")
    assert (raised["module"], raised["type"]) == ("workertown_kv.errors", "StorageError")
    assert cause["mechanism"]["parent_id"] == raised["mechanism"]["exception_id"]
    frames = raised["stacktrace"]["frames"]
    assert frames[0]["filename"] == "workertown_kv/server/pipeline.py"
    assert frames[0]["in_app"]
    assert "self._answer" in frames[0]["context_line"]
    last = frames[-1]
    assert (last["filename"], last["function"]) == ("tests/access/test_sentry.py", "Failing.set")
    assert "raise StorageError" in source_line(last["lineno"])
    # The report has no source of other packages.
    assert "context_line" not in last


def source_line(number: int) -> str:
    return Path(__file__).read_text().splitlines()[number - 1]


async def test_no_value_key_credentials_or_message_leaves_the_house(
    sentry: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTRY_TAGS", SECRET)
    monkeypatch.setenv("SOME_VARIABLE", SECRET)
    call = failing(sentry)
    headers = {"Cookie": f"c={SECRET}", "X-Mine": SECRET, "User-Agent": SECRET}
    body = {"value": SECRET, "metadata": {"note": SECRET}}
    for url in (f"/v1/kv/{SECRET}", f"/v1/kv?key={SECRET}"):
        for method in ("PUT", "GET"):
            given = {"json": body} if method == "PUT" else {}
            answer = await call(method, url, headers=headers, **given)
            assert answer.status_code == 500
            sent = await sentry.take()
            assert SECRET.encode() not in sent
            assert API_KEY.encode() not in sent
            assert b"Authorization" not in sent
            event = event_in(sent)
            assert event["tags"]["request_id"] == answer.headers["x-request-id"]
            described = event["exception"]["values"]
            assert {one["type"] for one in described} >= {
                "StorageError" if method == "PUT" else "RuntimeError"
            }
            for one in described:
                assert one.keys() == {"module", "type", "mechanism", "stacktrace"}
                assert one["stacktrace"]["frames"]
            assert event.keys() == {
                *("platform", "level", "logger", "release", "environment", "event_id"),
                *("timestamp", "transaction", "request", "tags", "exception"),
            }


async def test_only_errors_of_status_500_are_reported(sentry: Endpoint) -> None:
    call = failing(sentry)
    assert (await call("GET", "/v1/kv?nonsense=1")).status_code == 400
    assert (await call.server.request("GET", "/v1/kv/a")).status_code == 401
    assert (await call("POST", "/v1/kv/a")).status_code == 405
    assert (await call("GET", "/v1/kv/a")).status_code == 500
    assert (await sentry.event())["exception"]["values"][0]["type"] == "RuntimeError"
    with pytest.raises(Empty):
        sentry.sent.get_nowait()


async def test_the_dsn_may_be_in_the_environment(sentry: Endpoint) -> None:
    for variable, options in (("KV_SENTRY_DSN", {}), ("MINE", {"env": {"dsn": "MINE"}})):
        env = {variable: sentry.dsn}
        call = Caller(make_server(Failing(), sentry=options, get_env=lambda env=env: env))
        await call("GET", "/v1/kv/a")
        assert (await sentry.event())["environment"] == "production"


@pytest.mark.parametrize(
    ("sentry_options", "env"),
    [
        ({}, {}),
        ({}, {"KV_SENTRY_DSN": "", "SENTRY_DSN": "http://public@127.0.0.1/7"}),
        ({"dsn": ""}, {}),
        (False, {"KV_SENTRY_DSN": "http://public@127.0.0.1/7"}),
    ],
)
def test_without_a_dsn_nothing_is_reported(sentry_options: object, env: dict[str, str]) -> None:
    options = parse_options({"sentry": sentry_options, "get_env": lambda: env})
    assert configured_report(options) is None


@pytest.mark.parametrize(
    "dsn",
    [
        "do-not-tell",
        "https://do-not-tell",
        "https://public@sentry.example/do-not-tell",
        "https://public:do-not-tell@sentry.example:port/1",
        "ftp://do-not-tell@sentry.example/1",
    ],
)
def test_a_malformed_dsn_is_refused_by_its_path_without_being_shown(dsn: str) -> None:
    by_code: OptionsDict = {"sentry": {"dsn": dsn}}
    by_variable: OptionsDict = {"get_env": lambda: {"KV_SENTRY_DSN": dsn}}
    for given in (by_code, by_variable):
        with pytest.raises(OptionsError, match=r"^sentry\.dsn is not a DSN; expected ") as raised:
            kv(given)
        assert SECRET not in str(raised.value)
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__


def test_without_the_sdk_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    with pytest.raises(MissingExtra) as raised:
        kv(sentry={"dsn": "http://public@127.0.0.1/7"})
    assert raised.value.message.endswith(f": {install_command('sentry')}")


async def test_another_sentry_in_the_same_process_stays_as_it_is(sentry: Endpoint) -> None:
    program = f"""
import asyncio
import sentry_sdk
from sentry_sdk.integrations.starlette import StarletteIntegration
from sentry_sdk.profiler import continuous_profiler as profiler

others = []

class Others(sentry_sdk.Transport):
    def capture_envelope(self, envelope):
        others.append(envelope.get_event())

sentry_sdk.init(dsn="http://other@127.0.0.1:9/1", transport=Others, profile_session_sample_rate=1,
    integrations=[StarletteIntegration()], auto_enabling_integrations=False,
    data_collection={{"stack_frame_variables": True}})
sentry_sdk.set_user({{"id": "their-user"}})
sentry_sdk.set_tag("their-tag", "1")
sentry_sdk.add_breadcrumb(message="their-crumb")
sentry_sdk.profiler.start_profiler()
theirs = sentry_sdk.get_client()
name = sentry_sdk.client.SDK_INFO["name"]

from workertown_kv import Runtime, kv
from workertown_kv.storage.memory import MemoryStorage

class Failing(MemoryStorage):
    async def get(self, operation):
        their_local = "their-value"
        raise RuntimeError

server = kv(runtime=Runtime(Failing()), auth={{"api_key": {{"api_key": "k"}}}},
    sentry={{"dsn": {sentry.dsn!r}}}, get_env=dict)

async def main():
    answer = await server.request("GET", "/v1/kv/a", headers={{"Authorization": "Bearer k"}})
    assert answer.status_code == 500
    await server.close()

asyncio.run(main())
assert sentry_sdk.get_client() is theirs
assert sentry_sdk.client.SDK_INFO["name"] == name
assert profiler._scheduler.running
"""
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert b"their-" not in await sentry.take()


# Sending


def report_to(sentry: Endpoint) -> SentryReport:
    report = configured_report(parse_options({"sentry": {"dsn": sentry.dsn}}))
    assert report is not None
    return report


async def test_closing_waits_until_all_is_sent_and_it_can_be_used_again(sentry: Endpoint) -> None:
    report = report_to(sentry)
    await report.close()
    for _ in range(2):
        for request_id in ("1", "2", "3"):
            report("GET", "/health", RuntimeError(), request_id)
        await report.close()
        ids = {event_in(sentry.sent.get_nowait())["tags"]["request_id"] for _ in range(3)}
        assert ids == {"1", "2", "3"}


async def test_an_endpoint_that_does_not_answer_holds_up_no_request(
    sentry: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workertown_kv.access.sentry.FLUSH_SECONDS", 0.01)
    sentry.answering.clear()
    call = failing(sentry)
    # More than the queue holds; the server drops the rest.
    for _ in range(DEFAULT_QUEUE_SIZE + 10):
        assert (await call("GET", "/v1/kv/a")).status_code == 500
    assert (await call("GET", "/v1/kv")).status_code == 200


async def test_what_cannot_be_sent_is_in_the_log(
    sentry: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    sentry.status = 503
    report = report_to(sentry)
    report("GET", "/health", RuntimeError(), "1")
    await report.close()
    assert "could not be reported to Sentry: status_503" in caplog.text


async def test_an_error_inside_the_sdk_breaks_no_request_and_is_in_the_log(
    sentry: Endpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: object, envelope: object) -> None:
        raise LookupError("the SDK is on fire")

    monkeypatch.setattr("sentry_sdk.HttpTransport.capture_envelope", broken)
    answer = await failing(sentry)("GET", "/v1/kv/a")
    assert answer.status_code == 500
    request_id = answer.headers["x-request-id"]
    assert f"request {request_id}: the error could not be reported to Sentry" in caplog.text
    assert "the SDK is on fire" in caplog.text


# Exceptions


async def test_a_recursion_is_cut_in_the_middle(sentry: Endpoint) -> None:
    def deeper() -> None:
        deeper()

    with pytest.raises(RecursionError) as raised:
        deeper()
    report_to(sentry)("GET", "/health", raised.value, "1")
    (described,) = (await sentry.event())["exception"]["values"]
    frames = described["stacktrace"]["frames"]
    assert len(frames) == 100
    assert frames[0]["function"].startswith("test_a_recursion_is_cut")
    assert frames[-1]["function"].endswith("deeper")


async def test_all_exceptions_of_a_group_are_described(sentry: Endpoint) -> None:
    inner = ExceptionGroup("inner", [ValueError(), OSError()])
    report_to(sentry)("GET", "/health", ExceptionGroup("outer", [inner, KeyError()]), "1")
    described = (await sentry.event())["exception"]["values"]
    ids = {one["type"]: one["mechanism"]["exception_id"] for one in described}
    parents = {one["type"]: one["mechanism"].get("parent_id") for one in described}
    assert described[-1]["mechanism"]["exception_id"] == 0
    assert parents["KeyError"] == 0
    assert parents["ValueError"] == parents["OSError"]
    assert len(ids) == 4


async def test_causes_that_go_round_in_a_circle_come_to_an_end(sentry: Endpoint) -> None:
    one, two = RuntimeError(), LookupError()
    one.__cause__, two.__context__ = two, one
    report_to(sentry)("GET", "/health", one, "1")
    described = (await sentry.event())["exception"]["values"]
    assert [each["type"] for each in described] == ["LookupError", "RuntimeError"]


async def test_a_cause_that_was_suppressed_is_not_described(sentry: Endpoint) -> None:
    error = RuntimeError()
    error.__context__ = LookupError()
    error.__suppress_context__ = True
    report_to(sentry)("GET", "/health", error, "1")
    assert len((await sentry.event())["exception"]["values"]) == 1


# Paths


def template_of(server: Server, path: str, *headers: tuple[bytes, bytes]) -> str:
    scope = {"method": "GET", "path": path, "raw_path": path.encode(), "headers": list(headers)}
    exchange = AsgiExchange(scope, _no_message, _no_message, Memory(0))
    route = RouteTable(server.api_routes).find(exchange.path, exchange.fields)
    return route.template_of(exchange)


async def _no_message(*_: object) -> Any:
    raise AssertionError("nothing is read or sent")


async def test_every_described_path_is_reported_as_its_template() -> None:
    for base in ({}, {"base_path": "/base", "endpoints": {"v1": {"kv": "/values"}}}):
        async with make_server(MemoryStorage(), **base) as server:
            prefix = server.options.base_path.rstrip("/")
            described = (await server.request("GET", f"{prefix}/open-api.json")).json()["paths"]
            assert len(described) > 4
            for path in described:
                assert template_of(server, path) == path


@pytest.mark.parametrize(
    ("options", "path", "told"),
    [
        ({}, "/v1/kv/do-not-tell", "/v1/kv/{key}"),
        ({}, "/v1/kv/do/not/tell", "/v1/kv/{key}"),
        ({}, "/v1/kv/", "/v1/kv/{key}"),
        (
            {},
            f"/client/v4/accounts/a/storage/kv/namespaces/{'0' * 32}/values/do/not/tell",
            "/client/v4/accounts/{account_id}/storage/kv/namespaces/{namespace_id}/values/{key_name}",
        ),
        ({}, "/client/v4/do-not-tell", "other"),
        ({}, "/workerd/do-not-tell", "/workerd/{key}"),
        ({}, "/v1/kvdo-not-tell", "other"),
        ({}, "/do-not-tell", "other"),
        ({"endpoints": {"v1": {"kv": False}}}, "/v1/kv/do-not-tell", "other"),
        (
            {
                "endpoints": {
                    "v1": {"kv": "/", "admin": False},
                    "public": False,
                    "cloudflare": {"rest": False, "binding": False},
                }
            },
            "/do-not-tell",
            "/{key}",
        ),
    ],
)
def test_a_path_is_reported_without_keys(options: dict[str, Any], path: str, told: str) -> None:
    assert template_of(make_server(MemoryStorage(), **options), path) == told


def test_what_workerd_asks_for_is_a_key_at_any_path() -> None:
    mark = (b"cf-kv-flprod-405", b"1")
    assert template_of(make_server(MemoryStorage()), "/admin/info", mark) == "/workerd/{key}"


async def test_a_path_is_reported_without_the_path_of_the_mount(sentry: Endpoint) -> None:
    import httpx2

    app = Starlette(routes=[Mount("/outer", app=failing(sentry).server)])
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://x", headers=headers
    ) as client:
        assert (await client.get("/outer/v1/kv/a")).status_code == 500
    assert (await sentry.event())["request"]["url"] == "/v1/kv/{key}"
