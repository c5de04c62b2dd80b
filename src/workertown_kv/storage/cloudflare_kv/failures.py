"""Translate the answers of Cloudflare's API to errors of a storage."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ...errors import StorageError, StorageFailure, StorageUnavailable
from .url import Settings

_UNSURE: Final = "the write may or may not have happened"
_NO_KEY: Final = 10009
_NO_NAMESPACE: Final = 10013
_TOKEN: Final = frozenset({6003, 9106, 9109, 10000})
"""The codes for a token that is malformed, unknown, expired, or without the permission."""


class Detail(msgspec.Struct, frozen=True):
    """One of the errors in an answer."""

    code: int = 0
    message: str = ""


class Refused(StorageError):
    """Cloudflare refuses this request, however often a client sends it."""


class NoSuchKey(Refused):
    """The namespace has no such key."""


class _Failure(msgspec.Struct, frozen=True):
    errors: Sequence[Detail] | None = None


_FAILURE: Final = msgspec.json.Decoder(_Failure)


def failure_of(status: int, body: bytes, settings: Settings, *, writes: bool) -> StorageError:
    """Return the error for an answer that is not a success."""
    try:
        errors = _FAILURE.decode(body).errors or ()
    except (msgspec.DecodeError, RecursionError):
        errors = None
    codes = {error.code for error in errors or ()}
    shown = f"status {status}" + "".join(
        f", code {one.code}: {one.message}" for one in errors or ()
    )
    if 300 <= status < 400:
        return StorageError(
            f"{settings.endpoint} redirects to another URL; expected the URL of Cloudflare's API"
        )
    if status in (401, 403) or (status < 500 and codes & _TOKEN):
        return StorageError(
            f"Cloudflare refuses the token ({shown}); expected a token for the account "
            f"{settings.account} with the permission Workers KV Storage Write, or Workers KV "
            "Storage Read if nothing is written",
            StorageFailure.REFUSED,
        )
    if errors is None:
        return foreign(shown, writes=writes)
    if status >= 500:
        return StorageUnavailable(f"Cloudflare failed ({shown})" + _doubt(writes=writes))
    if _NO_KEY in codes:
        return NoSuchKey(f"Workers KV has no such key ({shown})")
    if status == 404:
        there = (
            f"has no namespace {settings.namespace}"
            if _NO_NAMESPACE in codes
            else f"or its API at {settings.endpoint} is unknown"
        )
        return StorageError(
            f"The account {settings.account} {there} ({shown}); expected the ids that "
            "`npx wrangler whoami` and `npx wrangler kv namespace list` print",
            StorageFailure.REMOVED,
        )
    return Refused(f"Workers KV refuses this ({shown})")


def too_many_requests(seconds: int) -> StorageUnavailable:
    """Return the error while Cloudflare takes no more requests for some seconds."""
    return StorageUnavailable(
        f"Cloudflare takes no more requests; try again in {seconds} s",
        StorageFailure.BUSY,
        retry_after=seconds,
    )


def foreign(shown: str, *, writes: bool) -> StorageUnavailable:
    """Return the error for an answer that comes from another program, such as a proxy."""
    return StorageUnavailable(
        f"The answer is not of Cloudflare's API ({shown})" + _doubt(writes=writes)
    )


def lost(*, may_be_done: bool) -> StorageUnavailable:
    """Return the error for a request without an answer, which may be a write that was done."""
    if may_be_done:
        return StorageUnavailable("Cloudflare did not answer" + _doubt(writes=True))
    return StorageUnavailable("Cloudflare does not answer")


def _doubt(*, writes: bool) -> str:
    return f"; {_UNSURE}" if writes else ""
