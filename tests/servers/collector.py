"""Collect what servers send to a collector of OpenTelemetry."""

import gzip
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """Keeps what arrives. Without `answering`, its clients wait for an answer."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[bytes]] = {"/v1/traces": [], "/v1/metrics": []}
        self.answering = Event()
        self.answering.set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.bodies[self.path].append(body)
                collector.answering.wait(60)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}",
            # Only the end of a server sends anything, so that nothing depends on time.
            "OTEL_BSP_SCHEDULE_DELAY": "600000",
            "OTEL_METRIC_EXPORT_INTERVAL": "600000",
        }

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.answering.set()
        self._server.shutdown()
        self._server.server_close()

    def spans(self, service: str = "workertown-kv") -> list[Span]:
        """Return the spans of a service in the order of their beginnings."""
        found: list[Span] = []
        for body in self.bodies["/v1/traces"]:
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                if attributes(of_resource.resource.attributes)["service.name"] == service:
                    for of_scope in of_resource.scope_spans:
                        found += of_scope.spans
        return sorted(found, key=lambda span: span.start_time_unix_nano)

    def durations(self) -> Iterator[HistogramDataPoint]:
        """Return the points of the durations of requests."""
        for body in self.bodies["/v1/metrics"]:
            for of_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for of_scope in of_resource.scope_metrics:
                    for metric in of_scope.metrics:
                        assert (metric.name, metric.unit) == ("http.server.request.duration", "s")
                        yield from metric.histogram.data_points


def attributes(pairs: Iterable[KeyValue]) -> dict[str, str | int]:
    """Return attributes as a dictionary."""
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in pairs}
