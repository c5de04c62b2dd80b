"""Namespaces: list, create, get, rename, delete."""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ....errors import Forbidden, InputError
from ....http.answer import Answer
from ....namespaces import TITLE_CHARACTERS, Namespace, Namespaces
from ...schemas import Yes
from ..bodies import SMALL_BYTES, decoded
from ..errors import invalid
from ..limits import Limits
from .call import Call
from .envelope import answer_with
from .pages import page_of

_ORDERS: Final = ("id", "title")
_DIRECTIONS: Final = ("asc", "desc")


class CloudflareNamespace(msgspec.Struct, frozen=True):
    """A namespace as Cloudflare shows it."""

    id: Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9a-f]{32}$"})]
    title: str
    supports_url_encoding: Yes


class CloudflareTitleBody(msgspec.Struct, frozen=True):
    """What a namespace is to be called."""

    title: (
        Annotated[
            str,
            Meta(
                description="The title, which no other namespace of the account has",
                extra_json_schema={"minLength": 1, "maxLength": TITLE_CHARACTERS},
            ),
        ]
        | UnsetType
    ) = UNSET


_BODY: Final = msgspec.json.Decoder(CloudflareTitleBody)


class NamespaceRoutes:
    """What can be done with namespaces. Those who may not administer see what they may use."""

    def __init__(self, namespaces: Namespaces, limits: Limits) -> None:
        self._namespaces = namespaces
        self._limits = limits

    async def list(self, call: Call) -> Answer:
        """One page of the account's namespaces; past the last page it is empty."""
        asked = call.query()
        order, direction = asked.get("order", "id"), asked.get("direction", "asc")
        if order not in _ORDERS:
            raise invalid(10043, f"Invalid order of {order[:20]}. Expected id or title.")
        if direction not in _DIRECTIONS:
            raise invalid(10044, f"Invalid direction of {direction[:20]}. Expected asc or desc.")
        user = call.exchange.user
        found = [one for one in await self._namespaces.all(call.account) if user.may_use(one.name)]
        found.sort(key=lambda one: getattr(one, order), reverse=direction == "desc")
        return page_of(call, [_described(one) for one in found])

    async def create(self, call: Call) -> Answer:
        """Make a namespace, which has no keys yet."""
        call.exchange.user.check_admin()
        namespace = await self._namespaces.create(await self._title(call), call.account)
        return answer_with(_described(namespace))

    async def get(self, call: Call) -> Answer:
        """One namespace."""
        namespace = await call.found(self._namespaces)
        if not call.exchange.user.may_use(namespace.name):
            raise Forbidden(f"Out of scope: the namespace {namespace.name!r}")
        return answer_with(_described(namespace))

    async def rename(self, call: Call) -> Answer:
        """Give a namespace another title."""
        call.exchange.user.check_admin()
        namespace = await call.found(self._namespaces)
        title = await self._title(call)
        renamed = await self._namespaces.rename(namespace.id, title)
        return answer_with(_described(renamed))

    async def delete(self, call: Call) -> Answer:
        """Delete a namespace with all its keys."""
        call.exchange.user.check_admin()
        namespace = await call.found(self._namespaces)
        await self._namespaces.delete(namespace.id)
        return answer_with(None)

    async def _title(self, call: Call) -> str:
        body = await call.body(self._limits, SMALL_BYTES, "a namespace")
        title = decoded(body, _BODY).title
        if not title:
            raise invalid(10019, "missing title: expected an object with a title")
        if len(title) > TITLE_CHARACTERS:
            raise InputError(f"title too long: expected at most {TITLE_CHARACTERS} characters")
        return title


def _described(namespace: Namespace) -> CloudflareNamespace:
    return CloudflareNamespace(namespace.id, namespace.title, True)
