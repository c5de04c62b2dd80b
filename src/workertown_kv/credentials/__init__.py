"""Keep credentials that are made at run time, in any storage."""

from .api_keys import ApiKeys
from .granting import check_grant
from .record import NAME_CHARACTERS, StoredKey, id_in, id_of

__all__ = ["NAME_CHARACTERS", "ApiKeys", "StoredKey", "check_grant", "id_in", "id_of"]
