"""Test a storage of your own, or a client against a real server.

These helpers need pytest and Hypothesis, which are the extra `testing`.
"""

from ..errors import MissingExtra

try:
    from .clock import MovedClock
    from .conformance import StorageConformance
    from .served import ServedStore, free_port
except ModuleNotFoundError as error:
    if error.name not in ("hypothesis", "pytest"):
        raise
    raise MissingExtra("workertown_kv.testing", "pytest>=9", "hypothesis>=6.150") from error

__all__ = ["MovedClock", "ServedStore", "StorageConformance", "free_port"]
