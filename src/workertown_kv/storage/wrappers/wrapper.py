"""Put a storage in front of another storage."""

from ..contract import Retention, Storage


class Wrapper(Storage):
    """Has the properties of the storage inside.

    A wrapper defines the operations itself: an operation that it forgets must not reach the storage
    without what the wrapper does to operations.
    """

    def __init__(self, storage: Storage) -> None:
        self.clock = storage.clock  # by no call, since some wrappers are made for each request
        self.lacks = storage.lacks  # type: ignore[misc]  # of the storage inside
        self.needs_task = storage.needs_task
        self.directory = storage.directory
        self._storage = storage

    @property
    def keeps_answers(self) -> bool:  # type: ignore[override]  # some storages learn it as they open
        """Whether the storage returns the results of the first time if a batch is repeated."""
        return self._storage.keeps_answers

    @property
    def retention(self) -> Retention | None:
        """How long the storage keeps changes."""
        return self._storage.retention

    @retention.setter
    def retention(self, retention: Retention | None) -> None:
        self._storage.retention = retention

    def key_beside(self, key: str, name: str) -> str:
        return self._storage.key_beside(key, name)
