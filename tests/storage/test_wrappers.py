"""Test that storages around another storage define each public method."""

import inspect

import pytest

from workertown_kv import Storage
from workertown_kv.storage.cached import CachedStorage
from workertown_kv.storage.permitted import PermittedStorage
from workertown_kv.tracing import TracedStorage

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
        (TracedStorage, OF_THE_SERVER - {"measurements", "learn"}),
    ],
)
def test_a_wrapper_leaves_no_method_to_the_defaults_of_a_storage(
    wrapper: type[Storage], left_out: set[str]
) -> None:
    # A default would hide the method of the storage inside, such as its migrations.
    assert METHODS - vars(wrapper).keys() == left_out
