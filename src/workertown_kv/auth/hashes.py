"""Hash secrets, so that reading the configuration does not reveal them.

An API key is long and random, so a single SHA-256 is enough: nobody can guess the key. A password
is chosen by a person, so its hash is made with scrypt (RFC 7914), which slows guesses down.
"""

import hashlib
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hmac import compare_digest
from typing import Final, NamedTuple, Self
from unicodedata import normalize

# The costs that OWASP's password storage cheat sheet names for 16 MiB of memory.
_LOG_N: Final = 14
_R: Final = 8
_P: Final = 5
_MEMORY_BYTES: Final = 256 * 1024 * 1024

_CONTROL: Final = re.compile(b"[\x00-\x1f\x7f]")


def digest(api_key: bytes) -> bytes:
    """Return the digest of an API key, which the server keeps instead of the key."""
    return hashlib.sha256(api_key).digest()


def hash_api_key(api_key: str) -> str:
    """Return the hash of an API key, as text for a configuration."""
    return f"sha256:{digest(api_key.encode()).hex()}"


def parse_api_key_hash(text: str) -> bytes:
    """Return the digest in the hash of an API key. Raises `ValueError`."""
    scheme, _, hexadecimal = text.partition(":")
    found = bytes.fromhex(hexadecimal) if scheme == "sha256" else b""
    if len(found) != hashlib.sha256().digest_size:
        raise ValueError("expected sha256: and 64 hexadecimal digits")
    return found


def normalized(sent: bytes) -> bytes | None:
    """Return a user name or password in NFC (RFC 7617, 2.1), `None` for bytes that are neither.

    Other bytes must not reach scrypt, which uses HMAC: HMAC pads a short password with NULs, and
    replaces a long password by its digest, so that different bytes have the same hash.
    """
    if _CONTROL.search(sent):
        return None
    if sent.isascii():
        return sent
    try:
        return normalize("NFC", sent.decode()).encode()
    except UnicodeDecodeError:
        return None


class PasswordHash(NamedTuple):
    """The hash of a password: the costs, the salt and the key that scrypt derives."""

    log_n: int
    r: int
    p: int
    salt: bytes
    key: bytes

    @classmethod
    def of(cls, password: str) -> Self:
        """Hash a password with a new salt."""
        unkeyed = cls(_LOG_N, _R, _P, secrets.token_bytes(16), bytes(32))
        return unkeyed._replace(key=unkeyed._derived(normalize("NFC", password).encode()))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a hash from text. Raises `ValueError`."""
        scheme, *parts = text.split(":")
        if scheme != "scrypt" or len(parts) != 5:
            raise ValueError("expected scrypt:, the costs, a salt and a key")
        if not all(part.isascii() and part.isdigit() and len(part) < 4 for part in parts[:3]):
            raise ValueError("the costs are not small numbers")
        log_n, r, p = map(int, parts[:3])
        if not (1 <= log_n <= 20 and 1 <= r <= 32 and 1 <= p <= 32):
            raise ValueError("the costs are out of bounds")
        salt, key = (urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in parts[3:])
        if len(salt) < 8 or len(key) < 16:
            raise ValueError("the salt or the key is too short")
        if 128 * r * (1 << log_n) > _MEMORY_BYTES:
            raise ValueError("checking it would take more than 256 MiB of memory")
        return cls(log_n, r, p, salt, key)

    def __str__(self) -> str:
        salt, key = (urlsafe_b64encode(part).decode().rstrip("=") for part in (self.salt, self.key))
        return f"scrypt:{self.log_n}:{self.r}:{self.p}:{salt}:{key}"

    def fits(self, password: bytes) -> bool:
        """Return whether this is the hash of a password, which must be `normalized()`.

        This is slow on purpose.
        """
        return compare_digest(self._derived(password), self.key)

    def _derived(self, password: bytes) -> bytes:
        return hashlib.scrypt(
            password,
            salt=self.salt,
            n=1 << self.log_n,
            r=self.r,
            p=self.p,
            maxmem=2 * _MEMORY_BYTES,
            dklen=len(self.key),
        )
