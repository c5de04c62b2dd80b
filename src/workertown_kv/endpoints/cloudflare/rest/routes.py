"""From a path to what is done there.

Keys are taken from the path as it was sent, so that `%2F` in one is no separator.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from ....errors import KvError, MethodNotAllowed, NotFound
from ....http.answer import Answer
from ....http.exchange import Exchange
from ....http.path import decode_percent, raw_rest_of_path
from ....http.route import Route, StorageFailed
from ....namespaces import Namespaces
from ....options import Options
from ....storage import Storage
from ..limits import Limits
from .accounts import AccountHandlers
from .call import Call
from .entries import EntryHandlers
from .envelope import REST_API, Failed
from .namespaces import NamespaceHandlers

_Act = Callable[[Call], Awaitable[Answer]]
_Acts = Mapping[str, tuple[str, _Act]]
"""By method, what Cloudflare calls the operation, and what does it."""


class _Place(NamedTuple):
    """What a path names, as it was sent."""

    account: bytes | None = None
    namespace: bytes = b""
    key: bytes = b""


def rest_routes(
    options: Options,
    storage: Storage,
    namespaces: Namespaces,
    prefix: str,
    failed: StorageFailed,
) -> list[Route]:
    """The one route of the group, which takes all paths below `prefix`."""
    return [_Rest(options, storage, namespaces, prefix.rstrip("/") + "/", failed)]


class _Rest(Route):
    def __init__(
        self,
        options: Options,
        storage: Storage,
        namespaces: Namespaces,
        prefix: str,
        failed: StorageFailed,
    ) -> None:
        super().__init__(REST_API, prefix, {}, rest="path")
        self._accounts = options.cloudflare.accounts
        limits = Limits.of(options)
        spaces = NamespaceHandlers(namespaces, limits)
        entries = EntryHandlers(storage, namespaces, limits, failed)
        accounts = AccountHandlers(namespaces, self._accounts)
        self._all: _Acts = {
            "GET": ("list namespaces", spaces.list),
            "POST": ("create namespace", spaces.create),
        }
        self._one: _Acts = {
            "GET": ("get namespace", spaces.get),
            "PUT": ("rename namespace", spaces.rename),
            "DELETE": ("remove namespace", spaces.delete),
        }
        self._kinds: Mapping[bytes, _Acts] = {
            b"keys": {"GET": ("list keys", entries.list)},
            b"bulk": {
                "PUT": ("bulk put keys", entries.bulk_put),
                "DELETE": ("bulk remove keys", entries.bulk_delete),
            },
            b"bulk/get": {"POST": ("bulk get keys", entries.bulk_get)},
            b"bulk/delete": {"POST": ("bulk remove keys", entries.bulk_delete)},
        }
        self._keyed: Mapping[bytes, _Acts] = {
            b"values": {
                "GET": ("get", entries.get),
                "PUT": ("put", entries.put),
                "DELETE": ("remove key", entries.delete),
            },
            b"metadata": {"GET": ("get metadata", entries.metadata)},
        }
        verify: _Acts = {"GET": ("verify token", accounts.verify)}
        self._others: Mapping[bytes, _Acts] = {
            b"accounts": {"GET": ("list accounts", accounts.list)},
            b"memberships": {"GET": ("list memberships", accounts.memberships)},
            b"user": {"GET": ("get user", accounts.user)},
            b"user/tokens/verify": verify,
        }
        self._of_account: Mapping[bytes, _Acts] = {
            b"": {"GET": ("get account", accounts.get)},
            b"tokens/verify": verify,
        }
        one = "{namespace_id}"
        acts = {
            self._template(): self._all,
            self._template(one): self._one,
            **{self._template(one, kind.decode()): its for kind, its in self._kinds.items()},
            **{
                self._template(one, kind.decode(), "{key_name}"): its
                for kind, its in self._keyed.items()
            },
            **{self.path + path.decode(): its for path, its in self._others.items()},
            **{self._account(below): its for below, its in self._of_account.items()},
        }
        self.templates = {path: _methods(its) for path, its in acts.items()}

    def template_of(self, exchange: Exchange) -> str:
        try:
            _, _, template = self._found(raw_rest_of_path(exchange, self.path))
        except KvError:
            return f"{self.path}(another path)"
        return template

    async def answer(self, exchange: Exchange) -> Answer:
        raw = raw_rest_of_path(exchange, self.path)
        place, acts, _ = self._found(raw)
        account = "" if place.account is None else decode_percent(place.account, "path")
        if self._accounts and place.account is not None and account not in self._accounts:
            raise self._no_route(raw)
        act = acts.get("GET" if exchange.method == "HEAD" else exchange.method)
        if act is None:
            raise MethodNotAllowed(exchange.method, sorted(_methods(acts)))
        operation, do = act
        try:
            key = decode_percent(place.key, "path")
            id = place.namespace.decode(errors="replace")
            return await do(Call(account, id, key, exchange))
        except KvError as error:
            raise Failed(operation, error) from error

    def _found(self, raw: bytes) -> tuple[_Place, _Acts, str]:
        """What a path names, what can be done there, and its template."""
        match raw.split(b"/", 7):
            case [b"accounts", account, b"storage", b"kv", b"namespaces"]:
                return _Place(account), self._all, self._template()
            case [b"accounts", account, b"storage", b"kv", b"namespaces", id]:
                if not id:
                    return _Place(account), self._all, self._template()
                return _Place(account, id), self._one, self._template("{namespace_id}")
            case [b"accounts", account, b"storage", b"kv", b"namespaces", id, *kind]:
                place, name = _Place(account, id), b"/".join(kind)
                if name in self._kinds:
                    template = self._template("{namespace_id}", name.decode())
                    return place, self._kinds[name], template
                if len(kind) == 2 and kind[0] in self._keyed:
                    template = self._template("{namespace_id}", kind[0].decode(), "{key_name}")
                    return _Place(account, id, kind[1]), self._keyed[kind[0]], template
            case [b"accounts", account, *below] if b"/".join(below) in self._of_account:
                name = b"/".join(below)
                return _Place(account), self._of_account[name], self._account(name)
        if raw in self._others:
            return _Place(), self._others[raw], self.path + raw.decode()
        raise self._no_route(raw)

    def _account(self, below: bytes) -> str:
        account = f"{self.path}accounts/{{account_id}}"
        return f"{account}/{below.decode()}" if below else account

    def _template(self, *below: str) -> str:
        return "/".join([self._account(b"storage/kv/namespaces"), *below])

    def _no_route(self, raw: bytes) -> NotFound:
        path = self.path + raw.decode(errors="replace")
        return NotFound(
            f"Could not route to {path[:200]}, perhaps your object identifier is invalid?"
        )


def _methods(acts: _Acts) -> frozenset[str]:
    return frozenset({*acts, "HEAD"} if "GET" in acts else acts)
