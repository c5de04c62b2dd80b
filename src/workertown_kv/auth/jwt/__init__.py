"""JSON Web Tokens. The library that verifies them is an extra, imported only if they are on."""

from .configured import configured_jwt

__all__ = ["configured_jwt"]
