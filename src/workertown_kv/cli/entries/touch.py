"""Define `workertown-kv touch`."""

import click

from ...entry import check_key, lifetime
from ...operations import Precondition, Touch
from ..epilog import epilog
from ..store import StoreChoice, opened, run, store_options
from .arguments import (
    WithKey,
    expires_at_option,
    if_version_option,
    key_argument,
    key_not_found,
    ttl_option,
)


@click.command(
    cls=WithKey,
    epilog=epilog(
        "touch session:1 --ttl 3600",
        "touch theme --persist",
        codes={1: "another error, or the precondition does not hold"},
    ),
)
@key_argument
@ttl_option
@expires_at_option
@click.option("--persist", is_flag=True, help="Never expire.")
@if_version_option
@store_options
def touch(
    *,
    store: StoreChoice,
    key: str,
    ttl: int | None,
    expires_at: float | None,
    persist: bool,
    if_version: str | None,
) -> None:
    """Change only when KEY expires. Its value and its version stay."""
    if sum((ttl is not None, expires_at is not None, persist)) != 1:
        raise click.UsageError("Expected --ttl, --expires-at or --persist, and only one of them")

    async def act() -> None:
        async with opened(store) as found:
            check_key(key, found.limits.key_bytes)
            touched = await found.storage.touch(
                Touch(
                    namespace=found.namespace_id,
                    key=key,
                    expires_at=lifetime(ttl=ttl, expires_at=expires_at, now=found.storage.clock()),
                    precondition=None if if_version is None else Precondition((if_version,)),
                )
            )
        if touched is None:
            raise key_not_found(key)

    run(act)
