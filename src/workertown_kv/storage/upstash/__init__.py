"""Keep entries in a Redis at Upstash, over HTTP, for hosts that cannot use sockets."""

from .storage import UpstashStorage

__all__ = ["UpstashStorage"]
