"""Parse the URL of an etcd cluster."""

import re
import ssl
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from ...errors import OptionsError
from ...options import Secret
from ..url_parts import UrlForm, shown_host

FORM: Final = UrlForm(
    name="URL of etcd",
    expected="etcd://[USER:PASSWORD@]HOST[:PORT],…[/PREFIX], or etcds:// for the same with TLS. "
    "Special characters in a password are percent-encoded",
    ports={"etcd": 2379, "etcds": 2379},
)
_PREFIX: Final = re.compile("[!-?A-~]{1,100}")


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters after the `?`, and their defaults."""

    timeout: Annotated[float, Meta(ge=0.01, le=3600, description="seconds from 0.01 to 3600")] = 5.0
    """Seconds that an operation may take."""
    connections: Annotated[
        int, Meta(ge=1, le=1000, description="a whole number from 1 to 1,000")
    ] = 20
    """The most connections to the cluster, besides the connection of a reader of changes."""
    request_bytes: Annotated[
        int,
        Meta(ge=65536, le=100_000_000, description="a whole number from 65,536 to 100,000,000"),
    ] = 1_572_864
    """The `--max-request-bytes` of the cluster."""
    compact: Annotated[Literal["auto", "never"], Meta(description="auto or never")] = "auto"
    """Whether servers compact the history of the cluster, or something else does."""
    sslrootcert: str | None = None
    """A file with the trusted certificates, instead of those that this machine trusts."""
    sslcert: str | None = None
    """A file with the client's certificate."""
    sslkey: str | None = None
    """A file with the key of that certificate, if it is not in the same file."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL says about a cluster. Its `repr` shows no password."""

    endpoints: tuple[str, ...]
    """The URLs of the members, without a slash at the end."""
    user: str
    """The empty string if the cluster knows no users."""
    password: Secret
    prefix: str
    """The beginning of the names of all keys in etcd, without the slash that follows it."""
    tls: ssl.SSLContext | None
    parameters: Parameters


def parse_url(url: str) -> Settings:
    """Read a URL. Raises `OptionsError` if it is malformed, or a parameter is wrong."""
    parts = FORM.split(url)
    if bool(parts.user) is (parts.password is None):
        raise FORM.malformed("has a user without a password, or a password without a user")
    if not all(name for name, _ in parts.hosts):
        raise FORM.malformed("has no host, or a host without a name")
    prefix = "/".join(parts.path) or "kv"
    if not _PREFIX.fullmatch(prefix) or prefix.endswith("/"):
        raise FORM.malformed(
            "has a prefix that is not 1 to 100 printable ASCII characters without @, or ends with /"
        )
    parameters = FORM.parameters(parts, Parameters)
    is_tls = parts.scheme == "etcds"
    protocol = "https" if is_tls else "http"
    return Settings(
        endpoints=tuple(f"{protocol}://{shown_host(host)}:{port}" for host, port in parts.hosts),
        user=parts.user,
        password=parts.password or Secret(""),
        prefix=prefix,
        tls=_tls_context(parameters, is_tls=is_tls),
        parameters=parameters,
    )


def _tls_context(parameters: Parameters, *, is_tls: bool) -> ssl.SSLContext | None:
    files = (parameters.sslrootcert, parameters.sslcert, parameters.sslkey)
    if not is_tls:
        if any(files):
            raise OptionsError(
                "sslrootcert, sslcert and sslkey need TLS; expected etcds:// instead of etcd://"
            )
        return None
    if parameters.sslkey and not parameters.sslcert:
        raise OptionsError("sslkey needs a certificate; expected sslcert too")
    try:
        context = ssl.create_default_context(cafile=parameters.sslrootcert)
        if parameters.sslcert:
            context.load_cert_chain(parameters.sslcert, parameters.sslkey)
    except OSError as error:
        raise OptionsError(
            f"A certificate or key that the URL of etcd names cannot be used: {error}"
        ) from error
    return context
