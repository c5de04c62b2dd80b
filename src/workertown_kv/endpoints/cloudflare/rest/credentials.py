"""Turn the credentials that Cloudflare's clients send into values of `Authorization`.

They send a token (`Authorization: Bearer`), an API key with an email address (`X-Auth-Key`,
`X-Auth-Email`), or a service key (`X-Auth-User-Service-Key`).
"""

from base64 import b64encode
from collections.abc import Iterator
from typing import Final

from ....http.exchange import Exchange

_KEY: Final = b"x-auth-key"
_EMAIL: Final = b"x-auth-email"
_SERVICE_KEY: Final = b"x-auth-user-service-key"


def authorizations(exchange: Exchange) -> Iterator[bytes]:
    """Return each other way to read the credentials of a request, as values of `Authorization`.

    A token or key may be an API key or a JWT; `user:password` as a token, or a key with an email
    address that is a user name, are those of Basic.
    """
    sent = exchange.fields
    scheme, _, token = sent.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and b":" in token:
        yield b"Basic " + b64encode(token.strip())
    if _KEY in sent:
        yield b"Bearer " + sent[_KEY]
        if _EMAIL in sent:
            yield b"Basic " + b64encode(sent[_EMAIL] + b":" + sent[_KEY])
    if _SERVICE_KEY in sent:
        yield b"Bearer " + sent[_SERVICE_KEY]
