"""Use the namespaces of a storage that manages them itself, as another server does."""

from collections.abc import Sequence

from ..entry import DEFAULT_ID, DEFAULT_NAMESPACE
from ..errors import StorageUnsupported
from ..storage import Directory, Storage
from ..wire.namespaces import Namespace
from .namespace import DEFAULT, check_title
from .service import CACHE_SECONDS, Namespaces, not_default

_CACHE_NAMES = 10_000


class NamespacesElsewhere(Namespaces):
    """The namespaces that a directory has.

    A namespace may have been read up to `CACHE_SECONDS` ago, also if it must be fresh: the storage
    itself refuses operations in a namespace that it does not have.
    """

    def __init__(
        self, storage: Storage, directory: Directory, accounts: Sequence[str] = ()
    ) -> None:
        super().__init__(storage, accounts)
        self._directory = directory
        self._known: dict[str, tuple[float, Namespace]] = {}
        """By an id or a title: until when it need not be asked again, and the namespace."""

    async def find(self, id: str, *, fresh: bool = True) -> Namespace:
        return DEFAULT if id == DEFAULT_ID else await self._asked(id)

    async def named(self, name: str, *, fresh: bool = True) -> Namespace:
        return DEFAULT if name == DEFAULT_NAMESPACE else await self._asked(name)

    async def all(self, account: str | None = None) -> list[Namespace]:
        found = await self._directory.all()
        return [one for one in found if account is None or self.belongs(one, account)]

    async def create(self, title: str, account: str = "") -> Namespace:
        self._check_account(account)
        check_title(title)
        return await self._directory.create(title)

    async def restore(self, namespace: Namespace) -> Namespace:
        self._check_account(namespace.account)
        check_title(namespace.title)
        self._known.clear()
        return await self._directory.create(namespace.title, namespace.id)

    async def rename(self, id: str, title: str) -> Namespace:
        check_title(title)
        self._known.clear()
        return await self._directory.rename(not_default(id, "renamed"), title)

    async def delete(self, id: str) -> None:
        self._known.clear()
        await self._directory.delete(not_default(id, "deleted"))

    async def purge(self, limit: int) -> int:
        """Do nothing: the storage removes the keys of deleted namespaces itself."""
        return 0

    async def purge_namespace(self, id: str, limit: int) -> int:
        """Do nothing, as `purge`."""
        return 0

    async def _asked(self, name: str) -> Namespace:
        now = self._storage.clock()
        known = self._known.get(name)
        if known is not None and now < known[0]:
            return known[1]
        found = await self._directory.named(name)
        if len(self._known) >= _CACHE_NAMES:
            self._known.clear()
        self._known[name] = (now + CACHE_SECONDS, found)
        return found

    def _check_account(self, account: str) -> None:
        if self._accounts and account not in ("", self._accounts[0]):
            raise StorageUnsupported(
                "The server behind keeps no account with a namespace; expected the first of "
                "cloudflare.accounts"
            )
