"""Test every promise of the storage contract, for any storage.

Extend it in a test module of your own, and run that with pytest:

    class TestMyStorage(StorageConformance):
        def make(self, clock: Clock, folder: Path) -> Storage:
            return MyStorage(folder / "data", clock=clock)

No test waits for time to pass: the suite moves the `clock` of the storage.
"""

from .suite import StorageConformance

__all__ = ["StorageConformance"]
