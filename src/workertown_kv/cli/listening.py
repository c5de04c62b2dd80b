"""Open the sockets on which the workers listen, and read the certificate for TLS."""

import errno
import os
import socket
import ssl
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click

from ..errors import OptionsError

BACKLOG: Final = 2048
"""How many connections may wait to be accepted, for each socket."""

Sockets = Sequence[Sequence[socket.socket]]
"""For each worker, the sockets on which it listens."""

_EXPECTED_HOST: Final = (
    "--host to be a name or address of this machine, such as 127.0.0.1 or localhost, or 0.0.0.0 "
    "for all of them"
)
_EXPECTED_PORTS: Final[Mapping[int | None, str]] = {
    errno.EADDRINUSE: "--port to be a port on which no program listens",
    errno.EACCES: "--port to be a port that this user may use, from 1024 on",
}
# Whatever the machine's own list of hosts says (RFC 6761, 6.3).
_LOCALHOST: Final[Mapping[str, Sequence[str]]] = {"localhost": ("127.0.0.1", "::1")}
_ABSENT: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def listen(host: str, port: int, workers: int) -> Sockets:
    """Listen on all addresses of a host, with a socket of its own for each worker.

    The system spreads connections evenly over sockets that share a port. This process keeps the
    sockets open while a worker is replaced, so that no connection to it is lost.
    """
    if not host:
        raise click.UsageError("--host is empty; expected an address, such as 127.0.0.1")
    try:
        opened = _open_all(host, port, workers)
    except (OSError, UnicodeError) as error:
        # A host name that Python cannot encode raises UnicodeError, which has no `strerror`.
        reason = error.strerror if isinstance(error, OSError) else "no host has such a name"
        number = error.errno if isinstance(error, OSError) else None
        expected = _EXPECTED_PORTS.get(number, _EXPECTED_HOST)
        raise click.ClickException(
            f"Cannot listen on {host}:{port}: {reason}; expected {expected}"
        ) from error
    return list(zip(*opened, strict=True))


def _open_all(host: str, port: int, workers: int) -> list[list[socket.socket]]:
    """Return the sockets for each address. Raises `OSError` if one cannot be used."""
    found = [
        (family, address)
        for each in _LOCALHOST.get(host, (host,))
        for family, _, _, _, address in socket.getaddrinfo(
            each, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    ]
    opened = []
    absent = None
    for family, address in dict.fromkeys(found):
        try:
            # A socket that shares its port with those of other programs would get only some of
            # the connections. The probe does not share, so such a port is refused.
            _bound(family, address).close()
            opened.append([_bound(family, address, shares=True) for _ in range(workers)])
        except OSError as error:
            if error.errno not in _ABSENT:
                close(opened, None)
                raise
            # A host may have an IPv6 address on a machine, or in a container, that has no IPv6.
            absent = error
    if absent is not None and not opened:
        raise absent
    for one in opened:
        for each in one:
            each.listen(BACKLOG)
    return opened


def _bound(family: int, address: Any, *, shares: bool = False) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Permits a port that another program has closed a moment ago.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind(address)
    except BaseException:
        opened.close()
        raise
    return opened


def listen_at(path: str, workers: int) -> Sockets:
    """Listen at a path, with one socket for all workers; the owner and the group may connect."""
    if not path:
        raise click.UsageError("--uds is empty; expected the path of a socket")
    before = os.umask(0o117)
    try:
        _remove_stale(path)
        opened = _bound(socket.AF_UNIX, path)
        opened.listen(BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise click.ClickException(
            f"Cannot listen at {path}: {reason}; expected --uds to be a path of at most 107 bytes, "
            "in a folder in which this user may create files"
        ) from error
    finally:
        os.umask(before)
    return [[opened]] * workers


def _remove_stale(path: str) -> None:
    """Remove the socket that a server has left behind, and nothing else."""
    try:
        mode = Path(path).lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise click.ClickException(
            f"{path} is not a socket; expected --uds to be a path at which there is no other file"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
            return
    raise click.ClickException(
        f"Another program listens at {path}; expected --uds to be a path that no program uses"
    )


def close(sockets: Sockets, path: str | None) -> None:
    """Close the sockets in this process, and remove the one at a path."""
    for one in sockets:
        for each in one:
            each.close()
    if path is not None:
        with suppress(FileNotFoundError):
            Path(path).unlink()


def tls_context(certificate: str, key: str | None) -> ssl.SSLContext:
    """Return the settings of TLS with a certificate. Raises `OptionsError` if it cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    load_certificate(context, certificate, key)
    return context


def load_certificate(context: ssl.SSLContext, certificate: str, key: str | None) -> None:
    """Use a certificate for new connections. Raises `OptionsError` if it cannot be used."""
    for path in filter(None, (certificate, key)):
        try:
            Path(path).read_bytes()
        except OSError as error:
            raise OptionsError(f"Cannot read {path}: {error.strerror}") from error
    in_file = key or certificate

    def refuse_password() -> str:
        raise OptionsError(f"The key in {in_file} is encrypted; expected one without a password")

    try:
        context.load_cert_chain(certificate, key, refuse_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise OptionsError(
                f"The key in {in_file} does not belong to the certificate in {certificate}"
            ) from error
        raise OptionsError(
            f"Cannot use {certificate} with the key in {in_file}: expected a certificate and its "
            "private key, both in PEM form"
        ) from error
