"""Use a store from Python: on a server, in a file or in a database."""

from .async_client import AsyncClient
from .batch import Batch, Pending
from .blocking_client import Client
from .entry import Change, Entry

__all__ = ["AsyncClient", "Batch", "Change", "Client", "Entry", "Pending"]
