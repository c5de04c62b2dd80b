"""Handle requests for namespaces: list, create, get, rename, delete."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ....errors import Forbidden, InputError
from ....http.answer import Answer
from ....http.trail import note
from ....namespaces import TITLE_CHARACTERS, Namespace, Namespaces
from ....storage.wrappers.audited import Act
from ...schemas import Yes
from ..bodies import SMALL_BYTES, decoded
from ..errors import invalid
from ..limits import Limits
from .call import Call
from .envelope import answer_with
from .pages import encode_list

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


class NamespaceHandlers:
    """Read and write namespaces. A user who may not administer sees those that they may use."""

    def __init__(self, namespaces: Namespaces, limits: Limits) -> None:
        self._namespaces = namespaces
        self._limits = limits

    async def list(self, call: Call) -> Answer:
        """Answer with one page of the account's namespaces."""
        asked, user = call.query(), call.exchange.user
        order, is_descending = decode_order(asked)
        found = [one for one in await self._namespaces.all(call.account) if user.may_use(one.name)]
        found.sort(key=attrgetter(order), reverse=is_descending)
        return encode_list(asked, [_shown(one) for one in found])

    async def create(self, call: Call) -> Answer:
        """Make a namespace, which has no keys yet."""
        call.exchange.user.check_admin()
        namespace = await self._namespaces.create(await self._title(call), call.account)
        return _noted(call, "create_namespace", namespace)

    async def get(self, call: Call) -> Answer:
        """Answer with one namespace."""
        namespace = await call.namespace(self._namespaces)
        if not call.exchange.user.may_use(namespace.name):
            raise Forbidden(f"Out of scope: the namespace {namespace.name!r}")
        return answer_with(_shown(namespace))

    async def rename(self, call: Call) -> Answer:
        """Give a namespace another title."""
        call.exchange.user.check_admin()
        namespace = await call.namespace(self._namespaces)
        title = await self._title(call)
        renamed = await self._namespaces.rename(namespace.id, title)
        return _noted(call, "rename_namespace", renamed)

    async def delete(self, call: Call) -> Answer:
        """Delete a namespace with all its keys."""
        call.exchange.user.check_admin()
        namespace = await call.namespace(self._namespaces)
        await self._namespaces.delete(namespace.id)
        note(call.exchange, Act(action="delete_namespace", namespace=namespace.id, status=200))
        return answer_with(None)

    async def _title(self, call: Call) -> str:
        return decode_title(await call.body(self._limits, SMALL_BYTES, "a namespace"))


def _noted(call: Call, action: str, namespace: Namespace) -> Answer:
    act = Act(action=action, namespace=namespace.id, title=namespace.title, status=200)
    note(call.exchange, act)
    return answer_with(_shown(namespace))


def decode_order(asked: Mapping[str, str]) -> tuple[str, bool]:
    """Return the field by which a query orders namespaces, and whether the order is descending."""
    order, direction = asked.get("order", "id"), asked.get("direction", "asc")
    if order not in _ORDERS:
        raise invalid(10043, f"Invalid order of {order[:20]}. Expected id or title.")
    if direction not in _DIRECTIONS:
        raise invalid(10044, f"Invalid direction of {direction[:20]}. Expected asc or desc.")
    return order, direction == "desc"


def decode_title(body: bytes | bytearray) -> str:
    """Return the title that a body gives."""
    title = decoded(body, _BODY).title
    if not title:
        raise invalid(10019, "missing title: expected an object with a title")
    if len(title) > TITLE_CHARACTERS:
        raise InputError(f"title too long: expected at most {TITLE_CHARACTERS} characters")
    return title


def _shown(namespace: Namespace) -> CloudflareNamespace:
    return CloudflareNamespace(namespace.id, namespace.title, True)
