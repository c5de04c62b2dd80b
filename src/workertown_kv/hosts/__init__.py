"""What a server can be put into: an application beside others, or a function of a cloud."""

from .combined import Combined, combine

__all__ = ["Combined", "combine"]
