"""Answer with the changes of entries: pages as JSON, and streams of server-sent events."""

from .open_api import describe_changes
from .routes import ChangeHandlers, change_routes

__all__ = ["ChangeHandlers", "change_routes", "describe_changes"]
