"""Host a server: beside other applications, on AWS Lambda, in a Cloudflare Worker."""

from .combined import Combined, combine

__all__ = ["Combined", "combine"]
