"""Entries in Upstash's Redis, over HTTP: for where no other connection can be made."""

from .storage import UpstashStorage

__all__ = ["UpstashStorage"]
