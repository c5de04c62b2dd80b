"""Find the handler for a method and a path of the REST API.

Keys are taken from the path as it was sent, so that `%2F` in a key is no separator.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

from ....errors import KvError, MethodNotAllowed, NotFound
from ....http.answer import Answer
from ....http.exchange import Exchange
from ....http.path import decode_percent, raw_rest_of_path
from ....http.route import OTHER, PLAIN_READS, Route, StorageFailed
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
"""By method, the name that Cloudflare has for the operation, and its handler."""

_ACCOUNT: Final = "accounts/{account_id}"
_NAMESPACES: Final = f"{_ACCOUNT}/storage/kv/namespaces"
_NAMESPACE: Final = f"{_NAMESPACES}/{{namespace_id}}"
_WITH_KEYS: Final = (b"values", b"metadata")


class _Named(NamedTuple):
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
    """Return the only route of the group, which takes all paths below `prefix`."""
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
        super().__init__(REST_API, prefix, {}, rest="path", plain_methods=PLAIN_READS)
        self._accounts = options.cloudflare.accounts
        limits = Limits.of(options)
        self._acts = {
            **_account_acts(AccountHandlers(namespaces, self._accounts)),
            **_namespace_acts(NamespaceHandlers(namespaces, limits)),
            **_entry_acts(EntryHandlers(storage, namespaces, limits, failed)),
        }
        self.templates = {self.path + path: _methods(acts) for path, acts in self._acts.items()}

    def template_of(self, exchange: Exchange) -> str:
        try:
            _, template = parse_path(raw_rest_of_path(exchange, self.path))
        except KvError:
            return OTHER
        return self.path + template if template in self._acts else OTHER

    def key_of(self, exchange: Exchange) -> str | None:
        named, _ = parse_path(raw_rest_of_path(exchange, self.path))
        return decode_percent(named.key, "path") if named.key else None

    def target_of(self, exchange: Exchange) -> str | None:
        named, _ = parse_path(raw_rest_of_path(exchange, self.path))
        return named.namespace.decode(errors="replace") or None

    async def answer(self, exchange: Exchange) -> Answer:
        raw = raw_rest_of_path(exchange, self.path)
        named, template = parse_path(raw)
        acts = self._acts.get(template)
        if acts is None:
            raise self._no_route(raw)
        account = "" if named.account is None else decode_percent(named.account, "path")
        if self._accounts and named.account is not None and account not in self._accounts:
            raise self._no_route(raw)
        act = acts.get("GET" if exchange.method == "HEAD" else exchange.method)
        if act is None:
            raise MethodNotAllowed(exchange.method, sorted(_methods(acts)))
        operation, do = act
        try:
            key = decode_percent(named.key, "path")
            id = named.namespace.decode(errors="replace")
            return await do(Call(account, id, key, exchange))
        except KvError as error:
            raise Failed(operation, error) from error

    def _no_route(self, raw: bytes) -> NotFound:
        path = self.path + raw.decode(errors="replace")
        return NotFound(
            f"Could not route to {path[:200]}, perhaps your object identifier is invalid?"
        )


def parse_path(raw: bytes) -> tuple[_Named, str]:
    """Return what a path names, and its template. There may be no operation of this template."""
    match raw.split(b"/", 7):
        case [b"accounts", account, b"storage", b"kv", b"namespaces", *id] if id in ([], [b""]):
            return _Named(account), _NAMESPACES
        case [b"accounts", account, b"storage", b"kv", b"namespaces", id, kind, key] if (
            kind in _WITH_KEYS
        ):
            return _Named(account, id, key), f"{_NAMESPACE}/{kind.decode()}/{{key_name}}"
        case [b"accounts", account, b"storage", b"kv", b"namespaces", id, *below]:
            return _Named(account, id), _join(_NAMESPACE, below)
        case [b"accounts", account, *below]:
            return _Named(account), _join(_ACCOUNT, below)
    return _Named(), raw.decode(errors="replace")


def _join(template: str, below: Sequence[bytes]) -> str:
    return "/".join([template, *(one.decode(errors="replace") for one in below)])


def _account_acts(accounts: AccountHandlers) -> dict[str, _Acts]:
    verify: _Acts = {"GET": ("verify token", accounts.verify)}
    return {
        "accounts": {"GET": ("list accounts", accounts.list)},
        "memberships": {"GET": ("list memberships", accounts.memberships)},
        "user": {"GET": ("get user", accounts.user)},
        "user/tokens/verify": verify,
        _ACCOUNT: {"GET": ("get account", accounts.get)},
        f"{_ACCOUNT}/tokens/verify": verify,
    }


def _namespace_acts(namespaces: NamespaceHandlers) -> dict[str, _Acts]:
    return {
        _NAMESPACES: {
            "GET": ("list namespaces", namespaces.list),
            "POST": ("create namespace", namespaces.create),
        },
        _NAMESPACE: {
            "GET": ("get namespace", namespaces.get),
            "PUT": ("rename namespace", namespaces.rename),
            "DELETE": ("remove namespace", namespaces.delete),
        },
    }


def _entry_acts(entries: EntryHandlers) -> dict[str, _Acts]:
    bulk_delete = "bulk remove keys", entries.bulk_delete
    return {
        f"{_NAMESPACE}/keys": {"GET": ("list keys", entries.list)},
        f"{_NAMESPACE}/bulk": {"PUT": ("bulk put keys", entries.bulk_put), "DELETE": bulk_delete},
        f"{_NAMESPACE}/bulk/get": {"POST": ("bulk get keys", entries.bulk_get)},
        f"{_NAMESPACE}/bulk/delete": {"POST": bulk_delete},
        f"{_NAMESPACE}/values/{{key_name}}": {
            "GET": ("get", entries.get),
            "PUT": ("put", entries.put),
            "DELETE": ("remove key", entries.delete),
        },
        f"{_NAMESPACE}/metadata/{{key_name}}": {"GET": ("get metadata", entries.metadata)},
    }


def _methods(acts: _Acts) -> frozenset[str]:
    return frozenset({*acts, "HEAD"} if "GET" in acts else acts)
