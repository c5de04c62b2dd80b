"""Run the command `workertown-kv`."""

from .main import main

__all__ = ["main"]
