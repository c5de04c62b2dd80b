"""Test the traces and metrics of two servers, one of which is the storage of the other."""

import socket
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from servers.collector import Collector, attributes
from workertown_kv.testing.served import ServedStore

SECRETS = ("my-key", "my-value", "my-query", "test-key")
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture(scope="module")
def collected() -> Iterator[Collector]:
    """Return what both servers have sent when they ended."""
    with Collector() as collector:
        env = {**collector.env, "KV_OPTIONS__OPENTELEMETRY": "true"}
        args = ("--no-access-log", "--workers", "2")
        with ServedStore(env={**env, "OTEL_SERVICE_NAME": "behind"}) as behind:
            env["KV_DB_TOKEN"] = "test-key"
            with ServedStore(behind.url, args=args, env=env) as front:
                _send(front)
        yield collector


def _send(front: ServedStore) -> None:
    fields = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "mine"}
    with front.client() as client:
        path = "/v1/kv/my-key"
        assert client.put(path, json={"value": "my-value"}, headers=fields).status_code == 200
        assert client.get(path, params={"q": "my-query"}).status_code == 400
        assert client.get("/my-key").status_code == 404
    lines = "GET /v1/kv/my-key HTTP/1.1", "Host: a", "Authorization: Bearer test-key"
    one = "\r\n".join([*lines, "\r\n"]).encode()
    last = "\r\n".join([*lines, "Connection: close", "\r\n"]).encode()
    with socket.create_connection(("127.0.0.1", front.port), timeout=60) as connection:
        connection.sendall(one + last)
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answers.count(b"HTTP/1.1 200") == 2


def of_trace(spans: list[Span], trace: str) -> list[Span]:
    return [span for span in spans if span.trace_id.hex() == trace]


def test_a_trace_goes_from_the_client_through_both_servers(collected: Collector) -> None:
    request, operation = of_trace(collected.spans(), TRACE)
    assert request.parent_span_id.hex() == PARENT
    assert (request.name, request.kind) == ("PUT /v1/kv/{key}", Span.SPAN_KIND_SERVER)
    assert attributes(request.attributes) == {
        "http.request.method": "PUT",
        "http.route": "/v1/kv/{key}",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "workertown_kv.request_id": "mine",
    }
    assert operation.parent_span_id == request.span_id
    assert (operation.name, operation.kind) == ("set", Span.SPAN_KIND_CLIENT)
    assert attributes(operation.attributes) == {
        "db.system.name": "workertown_kv",
        "db.operation.name": "set",
    }
    further = of_trace(collected.spans("behind"), TRACE)
    requests = [span for span in further if span.kind == Span.SPAN_KIND_SERVER]
    assert {span.parent_span_id for span in requests} == {operation.span_id}
    operations = [span for span in further if span.kind == Span.SPAN_KIND_CLIENT]
    assert operations
    assert {span.parent_span_id for span in operations} <= {span.span_id for span in requests}
    systems = {attributes(span.attributes)["db.system.name"] for span in operations}
    assert systems == {"memory"}


def test_requests_without_a_parent_begin_traces_also_on_one_connection(
    collected: Collector,
) -> None:
    gets = [
        span
        for span in collected.spans()
        if span.name == "GET /v1/kv/{key}"
        and attributes(span.attributes)["http.response.status_code"] == 200
    ]
    assert len({span.trace_id for span in gets}) == 2
    assert {span.parent_span_id for span in gets} == {b""}


def test_a_path_that_no_api_has_is_not_named(collected: Collector) -> None:
    (unknown,) = (
        span
        for span in collected.spans()
        if attributes(span.attributes).get("http.response.status_code") == 404
    )
    assert unknown.name == "GET"
    assert "http.route" not in attributes(unknown.attributes)


def test_durations_are_counted_by_route_and_status(collected: Collector) -> None:
    counts: dict[tuple[str | int | None, ...], int] = {}
    for point in collected.durations():
        known = attributes(point.attributes)
        kind = known["http.request.method"], known["http.response.status_code"]
        if known.get("http.route") == "/v1/kv/{key}":
            counts[kind] = counts.get(kind, 0) + point.count
    assert counts == {("PUT", 200): 1, ("GET", 400): 1, ("GET", 200): 2}


def test_nothing_that_may_be_secret_is_sent(collected: Collector) -> None:
    sent = b"".join(body for bodies in collected.bodies.values() for body in bodies)
    assert b"/v1/kv/{key}" in sent
    assert [secret for secret in SECRETS if secret.encode() in sent] == []
