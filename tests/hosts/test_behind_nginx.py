"""Test a server behind a real nginx: one that compresses answers, and one as in the docs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx2
import pytest
from docs.pages import ROOT, blocks

from servers.nginx import COMPRESSING, RunningNginx
from workertown_kv.testing import ServedStore

PAGE = ROOT / "docs" / "how-to" / "behind-a-proxy.md"

REST = "/client/v4/accounts/a/storage/kv/namespaces/" + "0" * 32 + "/values/"


@pytest.fixture(scope="module")
def program(require_program: Callable[[str, str], str]) -> str:
    return require_program("nginx", "nginx-light")


@pytest.fixture(scope="module")
def store() -> Iterator[ServedStore]:
    with ServedStore() as served:
        yield served


@pytest.fixture(scope="module")
def client(program: str, store: ServedStore) -> Iterator[httpx2.Client]:
    with behind(program, store, COMPRESSING) as client:
        yield client


@pytest.fixture(scope="module")
def documented(program: str, store: ServedStore) -> Iterator[httpx2.Client]:
    (server,) = (one.text for one in blocks(PAGE) if one.text.startswith("upstream "))
    with behind(program, store, server) as client:
        yield client


@contextmanager
def behind(program: str, store: ServedStore, server: str) -> Iterator[httpx2.Client]:
    with (
        RunningNginx(program, store.url.removeprefix("http://"), server) as nginx,
        httpx2.Client(
            base_url=nginx.url, headers=store.headers, timeout=30, verify=False
        ) as client,
    ):
        yield client


def test_the_configuration_of_the_docs_passes_on_keys_and_large_bodies(
    store: ServedStore, documented: httpx2.Client
) -> None:
    for key in ("a%2Fb//c%20%25/%3F", "caf%C3%A9", "..%2Fup"):
        assert documented.put(f"/v1/kv/{key}", json={"value": key}).status_code == 200
        with store.client() as straight:
            assert straight.get(f"/v1/kv/{key}").json()["data"] == key
    values = [{"op": "set", "key": name, "value": "x" * 15_900_000} for name in "ab"]
    answer = documented.post("/v1/kv", json={"operations": values})
    assert answer.status_code == 200


def test_the_configuration_of_the_docs_streams(documented: httpx2.Client) -> None:
    fields = {"Accept": "text/event-stream"}
    with documented.stream("GET", "/v1/changes?prefix=streamed/", headers=fields) as stream:
        lines = (line for line in stream.iter_lines() if line.startswith("data: "))
        next(lines)  # of the event `ready`
        for name in "ab":  # each must arrive before the next is written
            documented.put(f"/v1/kv/streamed/{name}", json={"value": 1})
            assert f'"key":"streamed/{name}"' in next(lines)


@pytest.mark.parametrize("below", ["/v1/kv/", REST])
def test_a_version_from_a_compressed_answer_is_good_for_a_write(
    client: httpx2.Client, below: str
) -> None:
    value = {"value": "a" * 1000}
    assert client.put(f"{below}a", json=value).status_code == 200
    for method in ("PUT", "DELETE"):
        read = client.get(f"{below}a")
        assert read.headers["content-encoding"] == "gzip"
        version = read.headers["etag"]
        assert version.startswith('W/"')
        unchanged = client.get(f"{below}a", headers={"If-None-Match": version})
        assert unchanged.status_code == 304
        condition = {"If-Match": version}
        assert client.get(f"{below}a", headers=condition).status_code == 200
        written = client.request(method, f"{below}a", json=value, headers=condition)
        assert written.status_code == 200
        # Now the entry has another version, or is gone.
        again = client.put(f"{below}a", json=value, headers=condition)
        assert again.status_code == 412
