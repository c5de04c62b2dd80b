"""Namespaces, in every storage that can keep them."""

from .namespace import TITLE_CHARACTERS, Namespace, check_title
from .service import Namespaces

__all__ = ["TITLE_CHARACTERS", "Namespace", "Namespaces", "check_title"]
