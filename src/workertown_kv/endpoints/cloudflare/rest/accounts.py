"""Accounts and users: what clients ask for before they ask for namespaces."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from ....errors import NotFound
from ....http.answer import Answer
from ....namespaces import Namespaces
from .call import Call
from .envelope import answer_with
from .pages import encode_list

MADE_UP: Final = "0" * 32
"""The id of the one account that is listed where any id will do."""

_NAME: Final = "workertown-kv"


class Account(msgspec.Struct, frozen=True):
    """An account."""

    id: str
    name: str
    type: Annotated[str, Meta(extra_json_schema={"const": "standard"})]


class Membership(msgspec.Struct, frozen=True):
    """An account, as what the user is a member of."""

    id: str
    account: Account
    status: Annotated[str, Meta(extra_json_schema={"const": "accepted"})]
    roles: tuple[str, ...]


class CloudflareUser(msgspec.Struct, frozen=True):
    """Who makes the request."""

    id: str
    email: Annotated[str, Meta(description="The same as the id: clients show it as the name")]


class VerifiedToken(msgspec.Struct, frozen=True):
    """Credentials that are good."""

    id: str
    status: Annotated[str, Meta(extra_json_schema={"const": "active"})]


class AccountHandlers:
    """Show the accounts, and the user of the request.

    If accounts are configured, a user whose scopes name namespaces sees the accounts that have one
    of these namespaces.
    """

    def __init__(self, namespaces: Namespaces, configured: Sequence[str]) -> None:
        self._namespaces = namespaces
        self._configured = configured

    async def list(self, call: Call) -> Answer:
        """Answer with one page of the accounts."""
        return encode_list(call.query(), [self._described(id) for id in await self._seen(call)])

    async def memberships(self, call: Call) -> Answer:
        """Answer with one page of the accounts, as memberships of the user."""
        found = [
            Membership(id, self._described(id), "accepted", ()) for id in await self._seen(call)
        ]
        return encode_list(call.query(), found)

    async def get(self, call: Call) -> Answer:
        """Answer with one account."""
        if self._configured and call.account not in await self._seen(call):
            raise NotFound("account not found")
        return answer_with(self._described(call.account))

    async def user(self, call: Call) -> Answer:
        """Answer with the user. Clients show the email address as the name."""
        id = call.exchange.user.id
        return answer_with(CloudflareUser(id, id))

    async def verify(self, call: Call) -> Answer:
        """Answer that the credentials are valid, which the guard has checked."""
        verified = VerifiedToken(call.exchange.user.id, "active")
        return answer_with(verified)

    async def _seen(self, call: Call) -> Sequence[str]:
        user = call.exchange.user
        if not self._configured:
            return [MADE_UP]
        if user.reaches_all_namespaces():
            return self._configured
        usable = [one for one in await self._namespaces.all() if user.may_use(one.name)]
        return [
            id
            for id in self._configured
            if any(self._namespaces.belongs(one, id) for one in usable)
        ]

    def _described(self, id: str) -> Account:
        return Account(id, id if self._configured else _NAME, "standard")
