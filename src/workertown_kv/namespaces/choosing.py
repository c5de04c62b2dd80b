"""Choose where the namespaces of a storage are managed: here, or by the storage itself."""

from collections.abc import Sequence

from ..storage import Storage
from .elsewhere import NamespacesElsewhere
from .service import Namespaces


def namespaces_of(storage: Storage, accounts: Sequence[str] = ()) -> Namespaces:
    """Return the namespaces of a storage."""
    directory = storage.directory
    if directory is None:
        return Namespaces(storage, accounts)
    return NamespacesElsewhere(storage, directory, accounts)
