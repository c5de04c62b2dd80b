"""Behind a real nginx that compresses answers: their versions are still good for conditions."""

from collections.abc import Callable, Iterator

import httpx2
import pytest

from servers.nginx import RunningNginx
from workertown_kv.testing import ServedStore

REST = "/client/v4/accounts/a/storage/kv/namespaces/" + "0" * 32 + "/values/"


@pytest.fixture(scope="module")
def client(require_program: Callable[[str, str], str]) -> Iterator[httpx2.Client]:
    program = require_program("nginx", "nginx")
    with (
        ServedStore() as store,
        RunningNginx(program, store.url) as nginx,
        httpx2.Client(base_url=nginx.url, headers=store.headers, timeout=30) as client,
    ):
        yield client


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
        # It is another version now, or none.
        again = client.put(f"{below}a", json=value, headers=condition)
        assert again.status_code == 412
