"""Write an audit log: who did what to which key, or was refused, but never a value."""

import hmac
import os
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from ..credentials import id_in
from ..errors import KvError, OptionsError
from ..failure_log import FailureLog
from ..http.exchange import NOBODY, Exchange
from ..http.route import PLAIN_READS
from ..options import Options
from ..storage.wrappers.audited import Act
from .address import AddressOf
from .log import METHOD_CHARACTERS, logged_address

KEY_CHARACTERS: Final = 2048
"""The most characters of a name in a line; a refused request may have a longer name."""

STANDARD_ERROR: Final = "-"
"""The path that stands for standard error."""
_STANDARD_ERROR: Final = 2

_LINE_ENDS: Final = [
    (character.encode(), f"\\u{ord(character):04x}".encode()) for character in "\x85\u2028\u2029"
]
_READING: Final = PLAIN_READS | {"OPTIONS"}
_REFUSALS: Final = (401, 403, 412)

Write = Callable[[dict[str, Any]], Any]
"""Takes a line as a mapping."""


class AuditLog:
    """Writes a line for each act of a request, and for a request of which nothing else is known."""

    def __init__(
        self, write: Write, address_of: AddressOf, hash_secret: bytes | None, *, reads: bool
    ) -> None:
        self.reads = reads
        self._write = write
        self._address_of = address_of
        self._hash_secret = hash_secret
        self._failures = FailureLog()

    def trail(self, exchange: Exchange) -> "RequestTrail":
        """Return what takes the acts of a request."""
        return RequestTrail(self, exchange)

    def observe(self, exchange: Exchange, seconds: float) -> None:
        """Write a line about a request that is over, if no line about an act says as much."""
        trail = exchange.trail
        if not isinstance(trail, RequestTrail):
            return
        exchange.trail = None  # without the cycle, the body of the request is freed at once
        refused = exchange.status in _REFUSALS and not trail.is_refused
        writes = exchange.method not in _READING or self.reads
        if refused or (writes and not trail.is_noted):
            act = Act(
                action="request",
                target=_target_of(exchange),
                key=key_of(exchange),
                status=exchange.status,
            )
            self.write(exchange, act)

    def write(self, exchange: Exchange, act: Act) -> None:
        """Write a line about an act."""
        user = exchange.user
        line: dict[str, Any] = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "request_id": exchange.request_id,
            "client": logged_address(exchange, self._address_of),
            "user": None if user is NOBODY else user.id,
            "strategy": None if user is NOBODY else user.strategy,
            "request": f"{exchange.method[:METHOD_CHARACTERS]} {exchange.template}",
            **msgspec.to_builtins(act),
            "status": act.status,  # also if it is 0, since there was no answer
        }
        for name in ("target", "key", "prefix"):
            if name in line:
                if self._hash_secret is None or name == "target":
                    line[name] = line[name][:KEY_CHARACTERS]
                else:
                    line[f"{name}_hash"] = self._hash(self._hash_secret, line.pop(name))
        try:
            self._write(line)
        except Exception as error:  # noqa: BLE001  (the request has been answered)
            kind = type(error).__name__
            self._failures.failed(kind, f"The audit log cannot be written: {error}")

    def _hash(self, secret: bytes, text: str) -> str:
        return hmac.digest(secret, text.encode(errors="surrogatepass"), "sha256").hex()


class RequestTrail:
    """Takes the acts of one request."""

    def __init__(self, log: AuditLog, exchange: Exchange) -> None:
        self.reads = log.reads
        self.is_noted = False
        self.is_refused = False
        self._log = log
        self._exchange = exchange

    def note(self, act: Act) -> None:
        """Write an act that is over."""
        self.is_noted = True
        self.is_refused = self.is_refused or act.status in _REFUSALS
        self._log.write(self._exchange, act)


class AuditFile:
    """Adds lines of JSON to a file, each with one call, so that none is lost or divided.

    Several processes may add to the same file.
    """

    def __init__(self, path: str) -> None:
        self._descriptor = _STANDARD_ERROR if path == STANDARD_ERROR else _open(path)
        if path != STANDARD_ERROR:
            # A server that replaces this one opens the file again.
            weakref.finalize(self, os.close, self._descriptor)
        self._is_cut = False
        """Whether the file ends with a part of a line, since the disk was full."""

    def __call__(self, line: dict[str, Any]) -> None:
        left = _on_one_line(msgspec.json.encode(line)) + b"\n"
        if self._is_cut:
            left = b"\n" + left
        while left:
            left = left[os.write(self._descriptor, left) :]
            self._is_cut = bool(left)


def key_of(exchange: Exchange) -> str | None:
    """Return the key that the URL of a request names, `None` if it names none."""
    return _named(exchange.route.key_of, exchange)


def _target_of(exchange: Exchange) -> str | None:
    """Return the API key or the namespace that the URL names, without the secret of an API key."""
    target = _named(exchange.route.target_of, exchange)
    id = None if target is None else id_in(target.encode(errors="replace"))
    return target if id is None else f"kv_{id}"


def _named(name_of: Callable[[Exchange], str | None], exchange: Exchange) -> str | None:
    try:
        return name_of(exchange)
    except KvError:
        return None


def _on_one_line(text: bytes) -> bytes:
    """Escape the characters at which some programs end a line, and that JSON permits in text."""
    for character, escape in _LINE_ENDS:
        text = text.replace(character, escape)
    return text


def configured_audit(
    options: Options, address_of: AddressOf, database: Path | None
) -> AuditLog | None:
    """Return the audit log, `None` if it is off. Raises `OptionsError` for an unusable file.

    `database` is the file of the storage, if the storage has one.
    """
    chosen = options.audit
    if chosen is False:
        return None
    write: Write | None = chosen.function
    path = chosen.path or options.environment(chosen.env.path)
    secret = chosen.hash_secret or options.secret(chosen.env.hash_secret)
    if write is None:
        name = "audit.path" if chosen.path else chosen.env.path
        if path is None:
            if secret is not None:
                raise OptionsError(
                    f"There is a secret for the hashes of an audit log ({chosen.env.hash_secret}), "
                    f"and no audit log; expected {name} too, or neither"
                )
            return None
        try:
            if database is not None and os.path.realpath(path) == os.path.realpath(database):
                raise OptionsError(
                    f"{name} is {path!r}, the database itself; expected another file"
                )
            write = AuditFile(path)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise OptionsError(
                f"{name} is {path!r}, which cannot be written: {reason}; expected a file to which "
                "lines can be added, or - for standard error"
            ) from error
    hash_secret = secret.reveal().encode() if secret else None
    return AuditLog(write, address_of, hash_secret, reads=chosen.reads)


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
