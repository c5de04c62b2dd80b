"""Translate the answers of Cloudflare's API to errors of a storage."""

from typing import Final

from ...errors import StorageError, StorageFailure
from ..cloudflare_api.failures import Failure, Refused, common_error
from .url import PERMISSION, Settings

_NO_KEY: Final = 10009
_NO_NAMESPACE: Final = 10013


class NoSuchKey(Refused):
    """The namespace has no such key."""


def failure_of(failure: Failure, settings: Settings) -> StorageError:
    """Return the error for an answer that is not a success."""
    common = common_error(failure, settings.endpoint, settings.account, PERMISSION)
    if common is not None:
        return common
    if _NO_KEY in failure.codes:
        return NoSuchKey(f"Workers KV has no such key ({failure.shown})")
    if failure.status == 404:
        there = (
            f"has no namespace {settings.namespace}"
            if _NO_NAMESPACE in failure.codes
            else f"or its API at {settings.endpoint} is unknown"
        )
        return StorageError(
            f"The account {settings.account} {there} ({failure.shown}); expected the ids that "
            "`npx wrangler whoami` and `npx wrangler kv namespace list` print",
            StorageFailure.REMOVED,
        )
    return Refused(f"Workers KV refuses this ({failure.shown})")
