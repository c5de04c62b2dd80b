"""Translate failures of libSQL to errors of a storage."""

import re
from typing import Final

import msgspec

from ...errors import InputError, StorageError, StorageFailure, StorageUnavailable, ValueTooLarge
from ..remote_sqlite.database import kind_of, recognized
from ..unreached import because
from .wire import Failure

UNSURE: Final = "the write may or may not have happened"

_BUSY: Final = re.compile("TRANSACTION_(BUSY|TIMEOUT)|SQLITE_(INTERRUPT|PROTOCOL)|Busy")
_PASSING: Final = re.compile("SQLITE_(IOERR|NOMEM|CANTOPEN)|PROXY_ERROR")


class _Refusal(msgspec.Struct, frozen=True):
    error: str = ""
    message: str = ""


def failure_of_statement(failure: Failure, *, writes: bool) -> StorageError | InputError:
    """Return the error for a statement that failed.

    Its transaction was undone, unless the server or its disk broke down meanwhile.
    """
    shown = f"{failure.code}: {failure.message}" if failure.code else failure.message
    known = recognized(shown)
    if known is not None:
        return known
    if failure.code == "RESPONSE_TOO_LARGE":
        return ValueTooLarge("The values asked for are more than libSQL sends in an answer")
    kind = kind_of(shown)
    if kind is None and _BUSY.search(shown):
        kind = StorageFailure.BUSY
    if kind is StorageFailure.REFUSED:
        return StorageError(f"libSQL does not permit this ({shown})", kind)
    if kind is not None:
        return StorageUnavailable(f"libSQL failed ({shown})", kind)
    if _PASSING.search(shown):
        doubt = _doubt(writes=writes)
        return StorageUnavailable(f"libSQL failed ({shown}){doubt}", StorageFailure.OTHER)
    return StorageError(f"libSQL failed ({shown})")


def failure_of_request(
    status: int, body: bytes, host: str, retry_after: str, *, writes: bool
) -> StorageError | InputError:
    """Return the error for an answer that is not a success. No message shows the token."""
    shown = f"status {status}" + _reason(body)
    if status in (401, 403):
        return StorageError(
            f"{host} refuses the token ({shown}); expected a token in KV_DB_TOKEN that permits "
            "reads and writes, as `turso db tokens create` makes it",
            StorageFailure.REFUSED,
        )
    if status == 404:
        return StorageError(
            f"{host} has no such database ({shown}); expected the URL that `turso db show` prints",
            StorageFailure.REMOVED,
        )
    if status == 413:
        return ValueTooLarge(f"{host} does not accept a request of this size")
    if status == 429:
        seconds = int(retry_after) if retry_after.isdecimal() else 1
        return StorageUnavailable(
            f"{host} takes no more requests; try again in {seconds} s",
            StorageFailure.BUSY,
            retry_after=seconds,
        )
    if 300 <= status < 400:
        return StorageError(
            f"{host} redirects elsewhere, where the token is not sent; expected the URL of the "
            "database itself"
        )
    if status >= 500:
        return StorageUnavailable(f"{host} failed ({shown})" + _doubt(writes=writes))
    return StorageError(f"{host} refuses the request ({shown})")


def foreign(host: str, *, writes: bool) -> StorageUnavailable:
    """Return the error for an answer of another program, such as a proxy."""
    return StorageUnavailable(f"The answer of {host} is not of libSQL" + _doubt(writes=writes))


def lost(host: str, error: Exception, *, may_be_done: bool) -> StorageUnavailable:
    """Return the error for a request without an answer."""
    if may_be_done:
        return StorageUnavailable(f"{host} did not answer" + _doubt(writes=True))
    return StorageUnavailable(f"{host} does not answer{because(error)}")


def late(host: str, seconds: float, *, may_be_done: bool) -> StorageUnavailable:
    """Return the error for a request that has taken too long."""
    return StorageUnavailable(
        f"{host} did not answer within {seconds:g} s" + _doubt(writes=may_be_done)
    )


def _reason(body: bytes) -> str:
    try:
        found = msgspec.json.decode(body, type=_Refusal)
    except (msgspec.DecodeError, RecursionError):
        return ""
    said = found.error or found.message
    return f": {said[:200]}" if said else ""


def _doubt(*, writes: bool) -> str:
    return f"; {UNSURE}" if writes else ""
