"""Test deletions in steps."""

import pytest

from workertown_kv.operations import DeletePrefix, Deletion
from workertown_kv.storage.deletion import delete_in_steps
from workertown_kv.storage.listing import KeyRange


@pytest.mark.anyio
async def test_a_step_that_deletes_what_others_write_meanwhile_is_the_last() -> None:
    limits: list[int] = []

    async def delete_some(keys: KeyRange, limit: int) -> tuple[int, KeyRange | None]:
        limits.append(limit)
        return limit + 2, KeyRange("a/m", keys.end)

    deletion = await delete_in_steps(DeletePrefix("default", "a/", 7), delete_some)
    assert deletion == Deletion(9, "a/m")
    assert limits == [7]
