"""Make the traces of a server, if its options turn them on."""

from ..errors import MissingExtra
from ..options import Options
from .tracing import Tracing


def configured_tracing(options: Options) -> Tracing | None:
    """Return what traces the requests of a server, `None` if the option is off.

    Raises `MissingExtra` without the packages of OpenTelemetry, and `OptionsError` for an exporter
    that is not supported.
    """
    if not options.opentelemetry:
        return None
    try:
        from . import sdk  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise MissingExtra(
            "opentelemetry",
            "opentelemetry-api>=1.45",
            "opentelemetry-sdk>=1.45",
            "opentelemetry-exporter-otlp-proto-http>=1.45",
        ) from error
    sdk.check_variables()
    return Tracing(sdk.Telemetry)
