"""Choose where the API keys of a store are kept: in its entries, or by the server that it is."""

from ..storage import Storage
from .api_keys import ApiKeys
from .elsewhere import ApiKeysElsewhere


def api_keys_of(storage: Storage) -> ApiKeys:
    """Return the API keys that a store accepts."""
    if storage.key_directory is None:
        return ApiKeys(storage)
    return ApiKeysElsewhere(storage, storage.key_directory)
