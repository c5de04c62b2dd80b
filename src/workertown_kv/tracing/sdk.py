"""Record spans and metrics with the SDK of OpenTelemetry, and send them over OTLP.

The variables of OpenTelemetry configure the SDK. Its providers are this server's own: those of a
program around the server stay as they are.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from ..errors import OptionsError
from ..http.exchange import Exchange
from ..http.route import OTHER
from ..package_version import __version__

_NAME: Final = "workertown_kv"

_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
"""The methods that spans and metrics name, since a client may send any word."""

_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""The buckets that the semantic conventions advise, in seconds."""

_W3C: Final = TraceContextTextMapPropagator()
_EXPORTERS: Final = ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER")
_SIGNALS: Final = ("", "TRACES_", "METRICS_")
_PROTOCOL: Final = "http/protobuf"
"""The protocol of the exporters in the extra; collectors take it where they take JSON."""


def check_variables() -> None:
    """Raise `OptionsError` if a variable of OpenTelemetry would send nothing, or nowhere."""
    for variable in _EXPORTERS:
        if _exporter(variable) not in ("otlp", "none"):
            raise OptionsError(f"{variable} is {os.environ[variable]!r}; expected otlp or none")
    for signal in _SIGNALS:
        variable = f"OTEL_EXPORTER_OTLP_{signal}PROTOCOL"
        if not (os.environ.get(variable) or _PROTOCOL).startswith("http/"):
            raise OptionsError(f"{variable} is {os.environ[variable]!r}; expected {_PROTOCOL}")
        variable = f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT"
        endpoint = os.environ.get(variable, "").strip()
        if endpoint and not _is_http(endpoint):
            # The URL is not shown, since it may have a password.
            raise OptionsError(
                f"{variable} is no URL of a collector; expected one such as http://127.0.0.1:4318"
            )


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _exporter(variable: str) -> str:
    return os.environ.get(variable) or "otlp"


class Telemetry:
    """Records the requests of a server and the operations of its storage.

    Nothing that it sends has a key, a value, a query, credentials, or the message of an error.
    """

    def __init__(self) -> None:
        # Several workers send the same metrics, and an id tells them apart.
        known = {
            "service.name": "workertown-kv",
            "service.version": __version__,
            "service.instance.id": str(uuid4()),
        }
        # Last, so that the variables win.
        resource = Resource.create(known).merge(OTELResourceDetector().detect())
        traces, metrics = map(_exporter, _EXPORTERS)
        self._traces = TracerProvider(resource=resource, shutdown_on_exit=False)
        if traces != "none":
            self._traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        readers = []
        if metrics != "none":
            readers = [PeriodicExportingMetricReader(OTLPMetricExporter())]
        self._metrics = MeterProvider(readers, resource=resource, shutdown_on_exit=False)
        self._tracer = self._traces.get_tracer(_NAME)
        self._durations = self._metrics.get_meter(_NAME).create_histogram(
            "http.server.request.duration",
            unit="s",
            description="Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=_BOUNDS,
        )

    @contextmanager
    def request(self, exchange: Exchange) -> Iterator[None]:
        """Record a request, from its beginning to the end of its answer."""
        began = perf_counter()
        method, template = exchange.method, exchange.template
        is_known = method in _METHODS
        shared: dict[str, AttributeValue] = {
            "http.request.method": method if is_known else "_OTHER",
            "url.scheme": exchange.scope.get("scheme", "http"),
        }
        name = method if is_known else "HTTP"
        if template != OTHER:
            shared["http.route"] = template
            name = f"{name} {template}"
        with self._tracer.start_as_current_span(
            name,
            _parent(exchange),
            SpanKind.SERVER,
            {**shared, "workertown_kv.request_id": exchange.request_id},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            finally:
                status = exchange.status
                if status:
                    shared["http.response.status_code"] = status
                if status >= 500:
                    shared["error.type"] = str(status)
                    span.set_status(StatusCode.ERROR)
                span.set_attributes(shared)
                self._durations.record(perf_counter() - began, shared)

    @contextmanager
    def operation(
        self, name: str, system: str, size: int | None
    ) -> Iterator[Sequence[tuple[bytes, bytes]]]:
        """Record an operation, and return the header fields that pass its span on."""
        attributes: dict[str, AttributeValue] = {
            "db.system.name": system,
            "db.operation.name": name,
        }
        if size is not None:
            attributes["db.operation.batch.size"] = size
        with self._tracer.start_as_current_span(
            name,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            carrier: dict[str, str] = {}
            _W3C.inject(carrier)
            try:
                yield [(field.encode(), text.encode()) for field, text in carrier.items()]
            except Exception as error:
                # Others, such as a precondition that does not hold, are answers of the storage.
                if getattr(error, "status", 500) >= 500:
                    span.set_attribute("error.type", type(error).__name__)
                    span.set_status(StatusCode.ERROR)
                raise

    def shut_down(self) -> None:
        """Send what is left. This blocks."""
        self._traces.shutdown()
        self._metrics.shutdown()


def _parent(exchange: Exchange) -> Context:
    """Return the context of the span that the client names, an empty context without one.

    The present context may be that of an earlier request on the same connection.
    """
    carrier = {
        name: exchange.fields[name.encode()].decode("latin-1")
        for name in _W3C.fields
        if name.encode() in exchange.fields
    }
    return _W3C.extract(carrier, Context())
