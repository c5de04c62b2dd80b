"""Return the user of a request, and what that user may do: `endpoints.v1.whoami`."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ...http.answer import Answer
from ...http.exchange import Exchange
from ...http.query import query
from ...http.route import Route
from ...user import Scope
from ..document import Group
from ..open_api import NATIVE, operation, success
from ..schemas import ref
from .envelope import NATIVE_API, object_answer

_TAG: Final = "Identity"
_NO_STORE: Final = [(b"cache-control", b"no-store")]


class Identity(msgspec.Struct, frozen=True):
    """The user of a request."""

    id: Annotated[
        str, Meta(description="The name of the API key, the user name, or the subject of the token")
    ]
    strategy: Annotated[
        str,
        Meta(description="What authenticated the user: api_key, basic, jwt, stored_api_key, …"),
    ]
    scopes: Annotated[
        tuple[Scope, ...] | None, Meta(description="What the user may do; null: everything")
    ]
    expires_at: Annotated[
        int | None, Meta(description="When the credential expires, in Unix seconds, if it is known")
    ]


async def _answer(exchange: Exchange) -> Answer:
    query(exchange, ())
    user = exchange.user
    return object_answer(Identity(user.id, user.strategy, user.scopes, user.expiry()), _NO_STORE)


def whoami_routes(prefix: str) -> list[Route]:
    """Return the route of the group."""
    return [Route(NATIVE_API, prefix, {"GET": _answer, "HEAD": _answer})]


_SHOWN: Final = {
    "id": "shop",
    "strategy": "api_key",
    "scopes": [{"verbs": ["read", "list"], "prefixes": ["shop/"]}],
    "expires_at": 1798761600,
}


def describe_whoami(prefix: str) -> Group:
    """Describe the group in the OpenAPI document."""
    found = {"200": success("IdentityAnswer", "The user", ref("Identity"), _SHOWN)}
    return Group(
        tags={_TAG: "Who sends a request, and what that user may do."},
        paths={
            prefix: {
                "get": operation(
                    "who_am_i",
                    _TAG,
                    "Get the user of this request",
                    "What authenticated the user, and the scopes. Any credential may ask.",
                    found,
                    form=NATIVE,
                )
            }
        },
        structs=[Identity],
        failures=NATIVE,
    )
