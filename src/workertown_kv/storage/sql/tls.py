"""Set up TLS to a database server, by libpq's `sslmode`."""

import ssl

from ...errors import OptionsError
from .url import Parameters


def tls_context(parameters: Parameters) -> ssl.SSLContext | None:
    """Return how to encrypt and verify the server; `None` if encryption is not required.

    Raises `OptionsError` for files that cannot be used.
    """
    if parameters.sslmode not in ("require", "verify-ca", "verify-full"):
        return None
    try:
        context = ssl.create_default_context(cafile=parameters.sslrootcert)
        if parameters.sslcert is not None:
            context.load_cert_chain(parameters.sslcert, parameters.sslkey)
    except OSError as error:
        raise OptionsError(
            f"A certificate or key that the URL of the database names cannot be used: {error}"
        ) from error
    context.check_hostname = parameters.sslmode == "verify-full"
    if parameters.sslmode == "require" and parameters.sslrootcert is None:
        context.verify_mode = ssl.CERT_NONE
    return context
