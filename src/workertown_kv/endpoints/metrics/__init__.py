"""The metrics of a server, for Prometheus: `endpoints.metrics`."""

from .routes import MetricsRoute, describe_metrics

__all__ = ["MetricsRoute", "describe_metrics"]
