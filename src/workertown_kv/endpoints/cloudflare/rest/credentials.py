"""How Cloudflare's clients send credentials, made into what every strategy understands.

They send a token (`Authorization: Bearer`), an API key with an email address (`X-Auth-Key`,
`X-Auth-Email`), or a service key (`X-Auth-User-Service-Key`).
"""

from base64 import b64encode
from collections.abc import Iterator
from typing import Final

from starlette.types import Scope

_KEY: Final = b"x-auth-key"
_EMAIL: Final = b"x-auth-email"
_SERVICE_KEY: Final = b"x-auth-user-service-key"


def other_credentials(scope: Scope) -> Iterator[Scope]:
    """The request again, for each other way to read its credentials.

    A token or key may be an API key or a JWT; `user:password` as a token, or a key with an email
    address that is a user name, are those of Basic.
    """
    sent = dict(reversed(scope["headers"]))
    given = sent.get(b"authorization", b"")
    scheme, _, token = given.partition(b" ")
    if scheme.lower() == b"bearer" and b":" in token:
        yield _with(scope, b"Basic " + b64encode(token.strip()))
    if _KEY in sent:
        yield _with(scope, b"Bearer " + sent[_KEY])
        if _EMAIL in sent:
            yield _with(scope, b"Basic " + b64encode(sent[_EMAIL] + b":" + sent[_KEY]))
    if _SERVICE_KEY in sent:
        yield _with(scope, b"Bearer " + sent[_SERVICE_KEY])


def _with(scope: Scope, authorization: bytes) -> Scope:
    others = [field for field in scope["headers"] if field[0] != b"authorization"]
    return {**scope, "headers": [*others, (b"authorization", authorization)]}
