"""Send traces and metrics of requests by OpenTelemetry."""

from .configured import configured_tracing
from .storage import TracedStorage
from .tracing import Tracing

__all__ = ["TracedStorage", "Tracing", "configured_tracing"]
