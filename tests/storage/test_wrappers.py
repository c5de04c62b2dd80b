"""Test that storages around another storage define each public method."""

import inspect
from collections.abc import Callable

import pytest

from workertown_kv import Storage, User
from workertown_kv.options import CacheOptions
from workertown_kv.storage.memory import MemoryStorage
from workertown_kv.storage.wrappers.audited import AuditedStorage
from workertown_kv.storage.wrappers.cached import CachedStorage
from workertown_kv.storage.wrappers.permitted import PermittedStorage
from workertown_kv.tracing import TracedStorage
from workertown_kv.tracing.tracing import Recorder, Tracing

METHODS = {
    name
    for name, found in vars(Storage).items()
    if inspect.isfunction(found) and name not in ("unsupported", "key_beside") and name[0] != "_"
}
OF_THE_SERVER = {
    "open",
    "learn",
    "close",
    "check",
    "probe",
    "warnings",
    "measurements",
    "migrate",
    "sweep",
    "figures",
    "secret",
}
"""The methods that only a server or an operator calls, and never on behalf of a user."""


@pytest.mark.parametrize(
    ("wrapper", "left_out"),
    [
        (CachedStorage, set()),
        (PermittedStorage, OF_THE_SERVER),
        (AuditedStorage, OF_THE_SERVER),
        (TracedStorage, OF_THE_SERVER - {"measurements", "learn"}),
    ],
)
def test_a_wrapper_leaves_no_method_to_the_defaults_of_a_storage(
    wrapper: type[Storage], left_out: set[str]
) -> None:
    # A default would hide the method of the storage inside, such as its migrations.
    assert METHODS - vars(wrapper).keys() == left_out


def no_recorder() -> Recorder:
    raise NotImplementedError


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda storage: CachedStorage(storage, CacheOptions()),
        lambda storage: PermittedStorage(storage, User(id="u", strategy="test", scopes=())),
        lambda storage: AuditedStorage(storage, lambda _: None, reads=False),
        lambda storage: TracedStorage(storage, Tracing(no_recorder)),
    ],
    ids=["cached", "permitted", "audited", "traced"],
)
def test_a_wrapper_knows_what_the_storage_learns_as_it_opens(
    wrapped: Callable[[Storage], Storage],
) -> None:
    inside = MemoryStorage()
    wrapper = wrapped(inside)
    inside.keeps_answers = True  # as another server says that it does
    assert wrapper.keeps_answers
