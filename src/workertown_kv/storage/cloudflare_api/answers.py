"""Decode the answers of Cloudflare's REST API."""

from typing import TypeVar

import httpx2
import msgspec

from .failures import foreign


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """The members that all answers to successes have."""

    success: bool


_E = TypeVar("_E", bound=Envelope)


def decoded(
    response: httpx2.Response, decoder: msgspec.json.Decoder[_E], *, writes: bool = False
) -> _E:
    """Decode a successful answer. Raises `StorageUnavailable` if it is not of Cloudflare's API."""
    try:
        found = decoder.decode(response.content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise foreign("status 200", writes=writes) from error
    if not found.success:
        raise foreign("status 200 without success", writes=writes)
    return found
