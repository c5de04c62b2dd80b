"""Test header fields that come twice: from the client, and from its proxy."""

import pytest

from caller import API_KEY, make_server
from workertown_kv.http.fields import SINGLE
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

KEY = ("Authorization", f"Bearer {API_KEY}")
PATHS = (
    "/v1/kv/a",
    "/workerd/a",
    "/client/v4/accounts/a/storage/kv/namespaces/" + "0" * 32 + "/values/a",
    "/admin/info",
    "/health",
)


@pytest.mark.parametrize("field", sorted(SINGLE))
async def test_a_field_that_names_one_thing_may_come_only_once(field: bytes) -> None:
    name = field.decode()
    server = make_server(MemoryStorage({"a": 1}))
    # Also if both are equal: a proxy that adds its field has not removed that of the client.
    for values in (("default", "other"), ("default", "default")):
        for path in PATHS:
            # The query does not avoid the refusal.
            for query in ("", "?namespace=default"):
                headers = [KEY, *((name, value) for value in values)]
                answer = await server.request("GET", path + query, headers=headers)
                assert answer.status_code == 400, path
                assert name in answer.text


async def test_other_fields_may_come_as_often_as_they_like() -> None:
    server = make_server(MemoryStorage({"a": 1}))
    version = (await server.request("GET", "/v1/kv/a", headers=[KEY])).headers["etag"]
    several = [("If-None-Match", '"x"'), ("If-None-Match", version), ("Accept", "*/*")]
    answer = await server.request("GET", "/v1/kv/a", headers=[KEY, *several, *several])
    assert answer.status_code == 304


async def test_two_credentials_are_none() -> None:
    server = make_server(MemoryStorage({"a": 1}))
    assert (await server.request("GET", "/v1/kv/a", headers=[KEY, KEY])).status_code == 401
