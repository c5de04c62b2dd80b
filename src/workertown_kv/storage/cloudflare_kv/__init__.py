"""Keep entries in Workers KV, through Cloudflare's REST API."""

from .storage import CloudflareKVStorage

__all__ = ["CloudflareKVStorage"]
