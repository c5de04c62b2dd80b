"""Keep credentials that are made at run time, in any storage."""

from .api_keys import ApiKeys
from .choosing import api_keys_of
from .granting import check_grant
from .record import NAME_CHARACTERS, KeyRecord, id_in, id_of

__all__ = [
    "NAME_CHARACTERS",
    "ApiKeys",
    "KeyRecord",
    "api_keys_of",
    "check_grant",
    "id_in",
    "id_of",
]
