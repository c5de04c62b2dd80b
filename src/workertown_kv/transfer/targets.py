"""Find the namespace of a store for each namespace that is moved into it."""

from ..entry import DEFAULT_ID
from ..errors import NamespaceNotFound
from ..namespaces import Namespace, Namespaces
from .forms import BadFile


class Targets:
    """Finds the namespaces of a store by their ids, then by their titles, and creates the others.

    With `only`, all entries go into this namespace, and they must come from a single namespace.
    """

    def __init__(
        self, namespaces: Namespaces, only: Namespace | None = None, *, is_dry_run: bool = False
    ) -> None:
        self._namespaces = namespaces
        self._only = only
        self._is_dry_run = is_dry_run
        self.created: list[Namespace] = []
        """The namespaces that were created."""
        self._source: Namespace | None = None
        """The only namespace whose entries may go into `only`."""

    async def find(self, source: Namespace) -> str:
        """Return the name of the namespace for the entries of `source`, which it may create."""
        if self._only is not None:
            return self._only.name
        if source.id == DEFAULT_ID:
            return source.name
        for name in (source.id, source.title):
            try:
                return (await self._namespaces.named(name)).name
            except NamespaceNotFound:
                continue
        if self._is_dry_run:
            return source.name
        self.created.append(await self._namespaces.restore(source))
        return self.created[-1].name

    def use(self, source: Namespace) -> None:
        """Note that there are entries of a namespace. Raises `BadFile` if there may be none."""
        if self._only is None or self._source in (None, source):
            self._source = source
            return
        assert self._source is not None
        raise BadFile(
            f"There are entries of the namespaces {self._source.title[:100]!r} and "
            f"{source.title[:100]!r}; expected a single namespace, or no --namespace"
        )
