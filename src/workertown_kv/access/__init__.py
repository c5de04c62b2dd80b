"""From where and how often, and what is told of it."""

from .log import AccessLog

__all__ = ["AccessLog"]
