"""Test the traces and metrics of a server in process, and when there are none."""

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from caller import Caller, make_server
from extras import install_command
from servers.collector import Collector, attributes
from workertown_kv import OptionsError, kv
from workertown_kv.entry import Entry
from workertown_kv.errors import MissingExtra, StorageError
from workertown_kv.operations import Get
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.tracing import tracing
from workertown_kv.tracing.storage import system_of

pytestmark = pytest.mark.anyio


class Failing(MemoryStorage):
    async def get(self, operation: Get) -> Entry | None:
        raise StorageError("my-value")


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as collector:
        for name, text in collector.env.items():
            monkeypatch.setenv(name, text)
        yield collector


async def test_only_failures_of_the_server_are_errors(collector: Collector) -> None:
    async with make_server(Failing(), opentelemetry=True) as server:
        call = Caller(server)
        await call.put("my-key", 1)
        fields = {"If-None-Match": "*"}
        again = await call("PUT", "/v1/kv/my-key", headers=fields, json={"value": 2})
        assert again.status_code == 412
        assert (await call("GET", "/v1/kv/my-key")).status_code == 500
    failed = [span for span in collector.spans() if span.status.code == Status.STATUS_CODE_ERROR]
    assert [span.name for span in failed] == ["GET /v1/kv/{key}", "get"]
    types = [attributes(span.attributes)["error.type"] for span in failed]
    assert types == ["500", "StorageError"]
    assert len(collector.spans()) == 6
    assert b"my-" not in b"".join(collector.bodies["/v1/traces"])


async def test_a_batch_is_one_operation_and_reads_from_the_cache_are_none(
    collector: Collector,
) -> None:
    async with make_server(MemoryStorage(), opentelemetry=True, cache=True) as server:
        call = Caller(server)
        operations = [{"op": "set", "key": key, "value": 1} for key in "ab"]
        await call.data("POST", "/v1/kv", json={"operations": operations})
        for _ in range(3):
            await call.data("GET", "/v1/kv/a")
        assert "kv_cache" in (await call("GET", "/metrics")).text
    found = [attributes(span.attributes) for span in collector.spans()]
    names = [known["db.operation.name"] for known in found if "db.operation.name" in known]
    assert names == ["batch", "get"]
    assert [known["db.operation.batch.size"] for known in found if len(known) == 3] == [2]


async def test_a_server_ends_although_its_collector_hangs(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "FLUSH_SECONDS", 0.01)
    collector.answering.clear()
    async with make_server(MemoryStorage(), opentelemetry=True) as server:
        await Caller(server).put("a", 1)
    (sending,) = (one for one in threading.enumerate() if one.name == tracing.THREAD_NAME)
    collector.answering.set()
    sending.join(60)  # or its warnings would appear in the log of later tests
    assert not sending.is_alive()


async def test_a_server_that_is_opened_again_sends_again(collector: Collector) -> None:
    server = make_server(MemoryStorage(), opentelemetry=True)
    for _ in range(2):
        async with server:
            assert (await Caller(server)("GET", "/v1/kv/a")).status_code == 404
    assert [span.name for span in collector.spans()] == ["GET /v1/kv/{key}", "get"] * 2


async def test_the_exporter_none_sends_nothing(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    async with make_server(MemoryStorage(), opentelemetry=True) as server:
        await Caller(server).put("a", 1)
    assert collector.bodies["/v1/metrics"] == []
    assert collector.spans()


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("TRACES_EXPORTER", "zipkin", "OTEL_TRACES_EXPORTER is 'zipkin'; expected otlp or none"),
        ("EXPORTER_OTLP_PROTOCOL", "grpc", "PROTOCOL is 'grpc'; expected http/protobuf"),
        ("EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318", "ENDPOINT is no URL of a collector"),
        ("EXPORTER_OTLP_TRACES_ENDPOINT", "http://h:a", "TRACES_ENDPOINT is no URL of a collector"),
    ],
)
def test_a_variable_that_would_send_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, message: str
) -> None:
    monkeypatch.setenv(f"OTEL_{variable}", text)
    with pytest.raises(OptionsError, match=message):
        kv(runtime="testing", opentelemetry=True)


def test_without_the_sdk_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "workertown_kv.tracing.sdk", raising=False)
    monkeypatch.delattr("workertown_kv.tracing.sdk", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(MissingExtra) as raised:
        kv(opentelemetry=True)
    assert raised.value.message.endswith(f": {install_command('opentelemetry')}")


def test_a_server_without_traces_imports_nothing_of_opentelemetry() -> None:
    program = (
        "import sys, workertown_kv, workertown_kv.tracing\n"
        "workertown_kv.kv(runtime='testing', get_env=dict)\n"
        "sys.exit('opentelemetry' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_system_of_a_storage_of_others_is_other() -> None:
    assert system_of(MemoryStorage()) == "memory"
    assert system_of(Failing()) == "other"
