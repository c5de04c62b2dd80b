"""Cache verified secrets, so that the same secret need not be verified again."""

import secrets
from collections import OrderedDict
from hashlib import blake2b
from typing import Generic, TypeVar

_T = TypeVar("_T")


class VerifiedCache(Generic[_T]):
    """The last `size` secrets that were verified, each with its result.

    It keeps digests, with a key that only this process has, and not the secrets.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._key = secrets.token_bytes(32)
        self._results: OrderedDict[bytes, _T] = OrderedDict()

    def digest(self, secret: bytes) -> bytes:
        """Return the digest of a secret, by which its result is kept."""
        return blake2b(secret, key=self._key, digest_size=32).digest()

    def get(self, digest: bytes) -> _T | None:
        """Return the result, or `None` if it is not in the cache."""
        return self._results.get(digest)

    def add(self, digest: bytes, result: _T) -> None:
        """Keep a result, and remove the oldest if there are too many."""
        self._results.pop(digest, None)
        while len(self._results) >= self._size:
            self._results.popitem(last=False)
        self._results[digest] = result

    def __len__(self) -> int:
        return len(self._results)
