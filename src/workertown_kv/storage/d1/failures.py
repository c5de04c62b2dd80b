"""Translate failures of D1 to errors of a storage."""

import re
from typing import Final

from ...errors import InputError, StorageError, StorageFailure, StorageUnavailable, ValueTooLarge
from ..cloudflare_api.failures import Failure, common_error, doubt
from ..remote_sqlite.database import kind_of, recognized
from .url import PERMISSION, Settings

_NO_DATABASE: Final = 7404
_PASSING: Final = re.compile(r"SQLITE_(IOERR|INTERRUPT)|timed? ?out|reset|overloaded|lost")


def failure_of(failure: Failure, settings: Settings) -> StorageError | InputError:
    """Return the error for an answer that is not a success.

    For several statements, Cloudflare does not say whether some of them were done.
    """
    shown = failure.shown
    known = recognized(shown)
    if known is not None:
        return known
    if failure.status == 413:
        return ValueTooLarge("D1 does not accept a request of this size")
    kind = kind_of(shown)
    if kind is StorageFailure.BUSY or kind is StorageFailure.FULL or _PASSING.search(shown):
        return StorageUnavailable(
            f"D1 failed ({shown})" + doubt(writes=failure.writes), kind or StorageFailure.OTHER
        )
    common = common_error(failure, settings.endpoint, settings.account, PERMISSION)
    if common is not None:
        return common
    if failure.status == 404 or _NO_DATABASE in failure.codes:
        return StorageError(
            f"The account {settings.account} has no database {settings.database}, or the API at "
            f"{settings.endpoint} is unknown ({shown}); expected the ids that `npx wrangler "
            "whoami` and `npx wrangler d1 list` print",
            StorageFailure.REMOVED,
        )
    return StorageError(f"D1 refuses this ({shown})", kind or StorageFailure.OTHER)
