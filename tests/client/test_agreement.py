"""Test that the two clients and batches have the same methods."""

import inspect
import subprocess
import sys

from workertown_kv import AsyncClient, Client
from workertown_kv.client import Batch
from workertown_kv.client.key_operations import KeyOperations

ONLY_CORE = {"opened", "new_batch", "send"}
"""What `Client` uses of `AsyncClient`."""


def methods(kind: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(value)
        for name, value in vars(kind).items()
        if not name.startswith("_") and inspect.isfunction(value)
    }


def test_both_clients_have_the_same_methods_with_the_same_arguments() -> None:
    blocking, awaiting = methods(Client), methods(AsyncClient)
    assert set(blocking) - set(awaiting) == {"run", "iterated"}
    assert set(awaiting) - set(blocking) == ONLY_CORE
    for name in set(blocking) & set(awaiting):
        assert list(blocking[name].parameters.values()) == list(awaiting[name].parameters.values())


def test_batches_and_clients_have_all_operations_on_a_key() -> None:
    operations = methods(KeyOperations)
    assert {"get", "set", "increment"} <= set(operations)
    for kind in (Client, AsyncClient, Batch):
        assert {name: methods(kind)[name] for name in operations} == operations


def test_every_method_says_what_it_does() -> None:
    for kind in (Client, AsyncClient, Batch):
        for name, value in vars(kind).items():
            assert name.startswith("_") or not inspect.isfunction(value) or inspect.getdoc(value), (
                name
            )


def test_importing_a_client_loads_no_server_and_no_command() -> None:
    program = (
        "import sys; from workertown_kv import Client\n"
        "found = {one.partition('.')[0] for one in sys.modules}\n"
        "print(*sorted(found & {'starlette', 'click', 'uvicorn', 'httpx2', 'apsw', 'anyio'}))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert ran.stdout == "\n"
