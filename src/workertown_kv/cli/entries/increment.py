"""Define `workertown-kv increment`."""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import click

from ...entry import check_key, lifetime
from ...operations import Updated
from ...patches.increment import Amount, Increment
from ...patches.number import exact
from ...updates import Target
from ...updates import increment as incremented
from ..epilog import epilog
from ..store import StoreChoice, opened, run, store_options
from .arguments import (
    WithNegativeNumbers,
    check_one_end,
    expires_at_option,
    key_argument,
    ttl_option,
)

_F = TypeVar("_F", bound=Callable[..., Any])


class _Number(click.ParamType[Amount]):
    """Accepts a JSON number, and keeps all of its digits."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Amount:
        if isinstance(value, int | Decimal):
            return value
        number = exact(value.encode(errors="replace"))
        if number is None:
            self.fail(f"{value[:100]!r} is not a number, such as 1, -5 or 0.25", param, ctx)
        return number


def _bound(flag: str, name: str, help: str) -> Callable[[_F], _F]:
    return click.option(flag, name, type=_Number(), metavar="NUMBER", help=help)


@click.command(
    cls=WithNegativeNumbers,
    epilog=epilog(
        "increment hits",
        "increment stock -1 --min 0",
        "increment window:42 --ttl 60",
        codes={1: "another error, or the value is no number, or would leave its bounds"},
    ),
)
@key_argument
@click.argument("by", type=_Number(), default=1)
@_bound("--initial", "initial", "Begin with this number if there is no value; by default with 0.")
@_bound("--min", "least", "Change nothing if the number would be below this.")
@_bound("--max", "most", "Change nothing if the number would be above this.")
@ttl_option
@expires_at_option
@store_options
def increment(
    *,
    store: StoreChoice,
    key: str,
    by: Amount,
    initial: Amount | None,
    least: Amount | None,
    most: Amount | None,
    ttl: int | None,
    expires_at: float | None,
) -> None:
    """Add BY, or 1, to the number under KEY, and print the sum.

    No other write comes between the read and the write. A key without a value is created; --ttl
    and --expires-at apply only then.
    """
    check_one_end(ttl, expires_at)
    adding = Increment(by=by, initial=initial or 0, least=least, most=most)

    if adding.has_no_room:
        raise click.UsageError(f"--min {least} is above --max {most}; expected at most {most}")

    async def act() -> None:
        # Before the store is opened, so that wrong arguments make no database.
        check_key(key, store.limits.key_bytes)
        until = lifetime(ttl=ttl, expires_at=expires_at, now=time.time())
        async with opened(store, may_create=adding.may_begin) as found:
            target = Target(found.namespace_id, key)
            updated = await found.storage.update(incremented(target, adding, until))
        click.echo(_number_in(updated))

    run(act)


def _number_in(updated: Updated) -> bytes:
    assert updated.after is not None
    return updated.after.value
