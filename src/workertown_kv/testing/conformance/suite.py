"""Put the cases on each promise together into the suite."""

from pathlib import Path
from uuid import uuid4

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from ..state_machine import StorageMachine
from .batches import Batches
from .changes.expiries import Expiries
from .changes.following import Following
from .changes.recorded import RecordedChanges
from .changes.retention import RetentionCases
from .deletions import Deletions
from .entries import Entries
from .lifecycle import Lifecycle
from .lifetimes import Lifetimes
from .listings import Listings
from .namespaces import NamespaceCases
from .preconditions import Preconditions
from .records import Records
from .seeking import Seeking
from .touches import Touches
from .updates import Updates


class StorageConformance(
    Entries,
    Lifetimes,
    Preconditions,
    Listings,
    Seeking,
    Deletions,
    Batches,
    Touches,
    Updates,
    Records,
    RecordedChanges,
    Expiries,
    Following,
    RetentionCases,
    NamespaceCases,
    Lifecycle,
):
    """Extend this class, implement `make`, and list in `lacks` what the storage does not support.

    The suite writes values of up to `value_bytes`, and runs `examples` random histories of at most
    30 steps each.
    """

    def test_it_behaves_as_a_dictionary_does(self, tmp_path: Path) -> None:
        def machine() -> StorageMachine:
            folder = tmp_path / uuid4().hex
            folder.mkdir()
            return StorageMachine(
                lambda clock: self.make(clock, folder),
                durable=self.durable,
                together=self.together,
            )

        run_state_machine_as_test(
            machine,  # type: ignore[arg-type]  # any callable that makes one will do
            settings=settings(
                max_examples=max(1, self.examples * settings().max_examples // 100),
                stateful_step_count=30,
                deadline=None,
                database=None,
            ),
        )
