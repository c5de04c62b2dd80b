"""Test that answers, errors and log lines name the same request."""

import logging
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from caller import Caller, make_server
from workertown_kv.entry import Entry
from workertown_kv.operations import Get
from workertown_kv.storage.memory import MemoryStorage

pytestmark = pytest.mark.anyio

NEW = re.compile(r"[0-9a-f]{10}-\d+")
VALUE = f"/client/v4/accounts/a/storage/kv/namespaces/{'0' * 32}/values/a"
WORKERD = {"CF-KV-FLPROD-405": "https://x/a"}


class Failing(MemoryStorage):
    async def get(self, operation: Get) -> Entry | None:
        raise RuntimeError("secret")


@pytest.mark.parametrize(
    ("sent", "is_taken"),
    [
        ("a", True),
        ("A.b_c-9", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("", False),
        ("a b", False),
        ("a/b", False),
        ("a\x00b", False),
        ("a,b", False),
    ],
)
async def test_an_id_of_the_client_is_taken_if_it_is_one(sent: str, *, is_taken: bool) -> None:
    call = Caller(make_server(MemoryStorage()))
    answer = await call("GET", "/v1/kv/a", headers={"X-Request-Id": sent})
    found = answer.headers["x-request-id"]
    assert found == sent if is_taken else NEW.fullmatch(found)
    assert answer.json()["request_id"] == found


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/kv/a", 200),
        ("HEAD", "/v1/kv/a", 200),
        ("GET", "/v1/kv/b", 404),
        ("GET", "/v1/kv?limit=0", 400),
        ("PATCH", "/v1/kv/a", 415),
        ("GET", "/admin/export", 200),
        ("GET", "/health", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/console/", 200),
        ("GET", VALUE, 200),
        ("GET", VALUE + "b", 404),
        ("OPTIONS", "/v1/kv/a", 405),
    ],
)
async def test_every_answer_has_the_id(method: str, path: str, status: int) -> None:
    async with make_server(MemoryStorage({"a": 1})) as server:
        answer = await Caller(server)(method, path, headers={"X-Request-Id": "mine"})
    assert (answer.status_code, answer.headers.get_list("x-request-id")) == (status, ["mine"])
    if status >= 400 and path.startswith("/v1"):
        assert answer.json()["request_id"] == "mine"


async def test_a_304_and_an_answer_of_the_operators_own_route_have_the_id() -> None:
    async def own(_: object) -> PlainTextResponse:
        return PlainTextResponse("hello", headers={"X-Request-Id": "another"})

    server = make_server(MemoryStorage({"a": 1}))
    server.router.routes.append(Route("/own", own))
    call = Caller(server)
    for path in ("/v1/kv/a", "/own"):
        headers = {"If-None-Match": "*", "X-Request-Id": "mine"}
        answer = await call("GET", path, headers=headers)
        assert answer.headers.get_list("x-request-id") == ["mine"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/v1/kv/a", {}), (VALUE, {}), ("/a", WORKERD)],
    ids=["v1", "rest", "bind"],
)
async def test_a_hidden_error_has_the_id_of_the_request_in_its_words_and_in_the_log(
    path: str, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    call = Caller(make_server(Failing()))
    answer = await call("GET", path, headers={"X-Request-Id": "mine", **headers})
    assert answer.status_code == 500
    assert "Internal error (request id mine)" in answer.text
    assert "secret" not in answer.text
    assert answer.headers.get_list("x-request-id") == ["mine"]
    (message,) = [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]
    assert message.startswith("request mine: GET ")


async def test_a_page_may_send_and_read_the_id() -> None:
    call = Caller(make_server(MemoryStorage({"a": 1}), cors={"origin": "http://page.example"}))
    page = {"Origin": "http://page.example", "X-Request-Id": "mine"}
    got = await call("GET", "/v1/kv/a", headers=page)
    assert "X-Request-Id" in got.headers["access-control-expose-headers"]
    preflight = {**page, "Access-Control-Request-Method": "GET"}
    asked = await call("OPTIONS", "/v1/kv/a", headers=preflight)
    assert "X-Request-Id" in asked.headers["access-control-allow-headers"]
    assert asked.headers["x-request-id"] == "mine"


async def test_the_description_names_the_field() -> None:
    described: Any = (await make_server(MemoryStorage()).request("GET", "/open-api.json")).json()
    answers: Sequence[dict[str, Any]] = [
        answer
        for methods in described["paths"].values()
        for operation in methods.values()
        for answer in operation["responses"].values()
    ]
    assert all("X-Request-Id" in answer["headers"] for answer in answers)


FORKS = """
import os
from workertown_kv.http.request_id import REQUEST_IDS
first = REQUEST_IDS.new()
child = os.fork()
if child:
    os.waitpid(child, 0)
print(first.decode(), REQUEST_IDS.new().decode(), flush=True)
"""


def test_a_forked_process_makes_other_ids() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKS], capture_output=True, text=True, check=True, timeout=60
    )
    (first, of_child), (_, of_parent) = (line.split() for line in done.stdout.splitlines())
    assert all(map(NEW.fullmatch, (first, of_child, of_parent)))
    assert len({first, of_child, of_parent}) == 3
    assert of_parent[:10] == first[:10]
    assert of_child[:10] != first[:10]
