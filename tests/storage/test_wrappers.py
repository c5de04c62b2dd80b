"""Storages around another storage: each public method has to be theirs."""

import inspect

import pytest

from workertown_kv import Storage
from workertown_kv.storage.cached import CachedStorage
from workertown_kv.storage.permitted import PermittedStorage

METHODS = {
    name
    for name, found in vars(Storage).items()
    if inspect.iscoroutinefunction(found) and not name.startswith("_")
}
OF_THE_SERVER = {"open", "close", "check", "probe", "warnings", "migrate", "sweep"}
"""What only a server does with a storage, and never on behalf of a user."""


@pytest.mark.parametrize(
    ("wrapper", "left_out"), [(CachedStorage, set()), (PermittedStorage, OF_THE_SERVER)]
)
def test_a_wrapper_leaves_no_method_to_the_defaults_of_a_storage(
    wrapper: type[Storage], left_out: set[str]
) -> None:
    # A default would answer for the storage inside: that nothing had to be migrated, for one.
    assert METHODS - vars(wrapper).keys() == left_out
