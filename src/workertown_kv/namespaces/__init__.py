"""Namespaces, in every storage that can keep them."""

from .namespace import TITLE_CHARACTERS, Namespace
from .service import Namespaces

__all__ = ["TITLE_CHARACTERS", "Namespace", "Namespaces"]
