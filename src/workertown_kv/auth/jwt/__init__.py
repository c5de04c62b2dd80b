"""Verify JSON Web Tokens. The library for this is an extra, imported only if it is needed."""

from .configured import configured_jwt

__all__ = ["configured_jwt"]
