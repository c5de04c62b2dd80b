"""Define the flags that imports and copies share."""

from typing import Final

import click

from ...transfer.writing import OnConflict

on_conflict_option: Final = click.option(
    "--on-conflict",
    type=click.Choice([one.value for one in OnConflict]),
    default=OnConflict.OVERWRITE.value,
    show_default=True,
    help="What to do with an entry whose key exists already. fail ends the command there.",
)
dry_run_option: Final = click.option(
    "--dry-run", is_flag=True, help="Write nothing; only say what would be written."
)
