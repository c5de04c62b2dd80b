"""Helpers for people who write storages, and for those who test against a real server.

Needs the extra: `pip install "workertown-kv[testing]"`.
"""

from .clock import MovedClock
from .conformance import StorageConformance
from .served import ServedStore, free_port

__all__ = ["MovedClock", "ServedStore", "StorageConformance", "free_port"]
