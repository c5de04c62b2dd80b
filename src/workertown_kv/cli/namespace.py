"""Define `workertown-kv namespace`, for the namespaces of a store."""

import json
from collections.abc import Awaitable, Callable

import click

from ..entry import DEFAULT_ID
from ..namespaces import Namespace
from .asking import confirm
from .flag import Text
from .store import OpenStore, StoreChoice, opened, run, whole_store_options

_Act = Callable[[OpenStore], Awaitable[str]]


@click.group()
def namespace() -> None:
    """List, create, rename and delete namespaces.

    Each namespace has an id, which never changes, and a title. The namespace default always exists.
    """


@namespace.command(name="list")
@whole_store_options
def list_(*, store: StoreChoice) -> None:
    """Print the id and the title of each namespace, one per line."""

    async def act(opened: OpenStore) -> str:
        found = await opened.namespaces.all()
        return "\n".join(_line(item) for item in sorted(found, key=lambda item: item.title))

    _run(store, act)


@namespace.command()
@click.argument("title", type=Text())
@whole_store_options
def create(*, title: str, store: StoreChoice) -> None:
    """Create a namespace with this TITLE, and print its id and title."""

    async def act(opened: OpenStore) -> str:
        return _line(await opened.namespaces.create(title))

    _run(store, act, adds=True)


@namespace.command()
@click.argument("name", type=Text(), metavar="ID_OR_TITLE")
@click.argument("title", type=Text())
@whole_store_options
def rename(*, name: str, title: str, store: StoreChoice) -> None:
    """Change the title of a namespace to TITLE."""

    async def act(opened: OpenStore) -> str:
        found = await opened.namespaces.named(name)
        return _line(await opened.namespaces.rename(found.id, title))

    _run(store, act)


@namespace.command()
@click.argument("name", type=Text(), metavar="ID_OR_TITLE")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@whole_store_options
def delete(*, name: str, yes: bool, store: StoreChoice) -> None:
    """Delete a namespace with all its keys.

    Clients can no longer read its keys from that moment; this command then removes them. If it is
    interrupted, a server on the same database removes the rest. If the store is a server, it
    removes the keys itself.
    """

    async def act(opened: OpenStore) -> str:
        namespaces = opened.namespaces
        found = await namespaces.named(name)
        # The namespace default cannot be deleted, so there is nothing to confirm.
        if not yes and found.id != DEFAULT_ID:
            question = f"Delete the namespace {_line(found)} with all its keys?"
            confirm(question)
        await namespaces.delete(found.id)
        if opened.storage.directory is not None:
            return f"Deleted {_line(found)}; the server removes its keys"
        removed = 0
        while step := await namespaces.purge_namespace(found.id, _STEP):
            removed += step
        return f"Deleted {_line(found)}, with {removed:,} {'key' if removed == 1 else 'keys'}"

    _run(store, act)


_STEP = 1000


def _line(namespace: Namespace) -> str:
    # A title may contain line feeds, but each namespace has exactly one line.
    title = namespace.title
    return f"{namespace.id} {title if title.isprintable() else json.dumps(title)}"


def _run(store: StoreChoice, act: _Act, *, adds: bool = False) -> None:
    async def acting() -> None:
        async with opened(store, adds=adds) as found:
            printed = await act(found)
        click.echo(printed)

    run(acting)
