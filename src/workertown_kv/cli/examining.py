"""Examine a store: whether it works, and what an operator should know of it."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from ..errors import KvError
from ..options import without_credentials
from ..storage import Capability, Storage
from .counting import count
from .ending import ExitCode, exit_code_of
from .store import OpenStore, StoreChoice, opened

LEAST_FREE: Final = 0.05
"""The part of a file system below which its space runs out soon."""

PATIENCE_SECONDS: Final = 10
"""How long a read or the probe of a write may take."""

_NOTICED: Final = (
    Capability.PRECONDITIONS,
    Capability.ATOMIC_BATCHES,
    Capability.LISTING,
    Capability.SEEKING,
    Capability.NAMESPACES,
    Capability.TOUCH,
)
"""What users notice if a storage lacks it, besides changes."""


class Grade(StrEnum):
    """How good a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True):
    """A sentence about a store."""

    grade: Grade
    sentence: str
    code: int = 0
    """The exit code of a finding that fails."""


async def examine(choice: StoreChoice) -> AsyncIterator[Finding]:
    """Yield what is found, from the outside to the inside."""
    url = without_credentials(choice.url)
    try:
        async with opened(choice) as found:
            answers = await _tried(f"{url} answers", f"{url} does not answer", found.storage.check)
            yield answers
            if answers.grade is not Grade.FAIL:
                async for finding in _examine_open(found):
                    yield finding
    except KvError as error:
        yield _failed(f"{url} cannot be used", error)


async def _examine_open(found: OpenStore) -> AsyncIterator[Finding]:
    storage = found.storage
    ran = ", ".join(migration.migration for migration in found.migrations)
    yield Finding(Grade.OK, f"The schema is up to date{f', now that {ran} ran' if ran else ''}")
    yield await _tried("Entries can be written", "Entries cannot be written", storage.probe)
    if storage.file is not None:
        yield _space(storage.file)
    for finding in await _warnings(storage):
        yield finding
    for lacking in _NOTICED:
        if lacking in storage.lacks:
            why = storage.lacks[lacking].rstrip(".")
            yield Finding(Grade.WARN, f"The storage has no {lacking}: {why}")
    yield _changes(storage)
    yield _backups(storage)
    yield await _counted(found)


async def _tried(good: str, bad: str, act: Callable[[], Awaitable[None]]) -> Finding:
    began = time.perf_counter()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await act()
    except KvError as error:
        return _failed(bad, error)
    except TimeoutError:
        return Finding(
            Grade.FAIL, f"{bad}: no answer in {PATIENCE_SECONDS} s", ExitCode.UNAVAILABLE
        )
    return Finding(Grade.OK, f"{good} ({_since(began)})")


def _space(file: Path) -> Finding:
    usage = shutil.disk_usage(file.parent)
    share = usage.free / usage.total
    grade = Grade.OK if share >= LEAST_FREE else Grade.WARN
    return Finding(
        grade,
        f"The disk has {usage.free / 2**30:,.1f} GiB of space left ({share:.0%}); the file has "
        f"{file.stat().st_size / 2**20:,.1f} MiB",
    )


async def _warnings(storage: Storage) -> Sequence[Finding]:
    try:
        sentences = await storage.warnings()
    except KvError as error:
        return [_failed("The storage does not say whether anything is wrong", error)]
    found = [Finding(Grade.WARN, sentence.rstrip(".")) for sentence in sentences]
    return found or [
        Finding(Grade.OK, "The storage has no warning, as of its clock or of eviction")
    ]


def _changes(storage: Storage) -> Finding:
    if storage.retention is None or Capability.CHANGES in storage.lacks:
        return Finding(Grade.WARN, "No changes are kept, so `watch` does not work")
    kept = storage.retention
    return Finding(
        Grade.OK, f"Changes are kept for {kept.seconds:,.0f} s, at most {kept.entries:,} of them"
    )


def _backups(storage: Storage) -> Finding:
    if storage.file is not None:
        return Finding(Grade.OK, "`workertown-kv backup FILE` makes a backup of a file in use")
    return Finding(
        Grade.OK, "Backups are those of the engine; `workertown-kv export FILE` copies all entries"
    )


async def _counted(found: OpenStore) -> Finding:
    try:
        counted = await count(found, one=False)
    except KvError as error:
        return _failed("The entries cannot be counted", error)
    entries = sum(one.entries for one in counted)
    expired = [one.expired for one in counted if one.expired is not None]
    shown = f"Entries: {entries:,}; namespaces: {len(counted):,}"
    if expired:
        shown += f"; expired entries that still take space: {sum(expired):,}"
    return Finding(Grade.OK, shown)


def _failed(what: str, error: KvError) -> Finding:
    return Finding(Grade.FAIL, f"{what}: {error.message}", exit_code_of(error))


def _since(began: float) -> str:
    return f"{1000 * (time.perf_counter() - began):,.0f} ms"
