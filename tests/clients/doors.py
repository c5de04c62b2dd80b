"""Send keys to a server by hand, in every way that its APIs have."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

import httpx2
from docs.key_vectors import Vector, vectors

from .sdk import ACCOUNT

VECTORS = vectors()
IN_ORDER = sorted((one.key for one in VECTORS), key=str.encode)
OCTETS = {"Accept": "application/octet-stream"}


def value(vector: Vector) -> bytes:
    """Return a different value for each key: JSON, so that every API accepts it."""
    return b'"%d"' % VECTORS.index(vector)


class Door(Protocol):
    """Writes, reads and deletes by key. Values are JSON."""

    def put(self, vector: Vector, value: bytes) -> None: ...

    def get(self, vector: Vector) -> bytes | None: ...

    def delete(self, vector: Vector) -> None: ...


def doors(http: httpx2.Client, namespace: str) -> dict[str, Door]:
    """Return all ways by name."""
    named = {"X-KV-Namespace": namespace}
    workerd = named | {"CF-KV-FLPROD-405": "https://fake-host"}
    native = named | OCTETS | {"Content-Type": "application/json"}
    return {
        "the native path": _Addressed(http, "/v1/kv/{}", native, b'{"value":%b}'),
        "the native query": _Addressed(http, "/v1/kv?key={}", native, b'{"value":%b}'),
        "a native batch": _Batch(http, named),
        "the REST path": _Addressed(http, f"{rest(namespace)}/values/{{}}"),
        "REST in bulk": _Bulk(http, namespace),
        "the binding": _Addressed(http, "/{}?urlencoded=true", workerd),
    }


def rest(namespace: str) -> str:
    """Return the path of a namespace in the REST API."""
    return f"/client/v4/accounts/{ACCOUNT}/storage/kv/namespaces/{namespace}"


def listed(http: httpx2.Client, namespace: str) -> list[str]:
    """Return all keys of a namespace that has few."""
    return [one["name"] for one in http.get(f"{rest(namespace)}/keys").json()["result"]]


class _Addressed:
    """Sends the key in the URL."""

    def __init__(
        self,
        http: httpx2.Client,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"%b",
    ) -> None:
        self._http = http
        self._url = url
        self._headers = headers
        self._body = body

    def put(self, vector: Vector, value: bytes) -> None:
        assert self._ask("PUT", vector, content=self._body % value).status_code == 200

    def get(self, vector: Vector) -> bytes | None:
        answer = self._ask("GET", vector)
        assert answer.status_code in (200, 404)
        return answer.content if answer.status_code == 200 else None

    def delete(self, vector: Vector) -> None:
        assert self._ask("DELETE", vector).status_code == 200

    def _ask(self, method: str, vector: Vector, **given: Any) -> httpx2.Response:
        url = self._url.format(vector.path)
        return self._http.request(method, url, headers=self._headers, **given)


class _Batch:
    """Sends the key in the body of a batch."""

    def __init__(self, http: httpx2.Client, headers: Mapping[str, str]) -> None:
        self._http = http
        self._headers = headers

    def put(self, vector: Vector, value: bytes) -> None:
        self._do(op="set", key=vector.key, value=json.loads(value))

    def get(self, vector: Vector) -> bytes | None:
        found = self._do(op="get", key=vector.key)
        return None if found["version"] is None else json.dumps(found["value"]).encode()

    def delete(self, vector: Vector) -> None:
        self._do(op="delete", key=vector.key)

    def _do(self, **operation: Any) -> Any:
        asked = {"operations": [operation]}
        answer = self._http.post("/v1/kv", json=asked, headers=self._headers)
        assert answer.status_code == 200, answer.text
        [result] = answer.json()["data"]
        assert result["key"] == operation["key"]
        return result


class _Bulk:
    """Sends the key in the body of a bulk request of the REST API."""

    def __init__(self, http: httpx2.Client, namespace: str) -> None:
        self._http = http
        self._url = f"{rest(namespace)}/bulk"

    def put(self, vector: Vector, value: bytes) -> None:
        pair = {"key": vector.key, "value": value.decode()}
        assert self._http.put(self._url, json=[pair]).status_code == 200

    def get(self, vector: Vector) -> bytes | None:
        answer = self._http.post(f"{self._url}/get", json={"keys": [vector.key]})
        assert answer.status_code == 200, answer.text
        found = answer.json()["result"]["values"][vector.key]
        return None if found is None else found.encode()

    def delete(self, vector: Vector) -> None:
        assert self._http.post(f"{self._url}/delete", json=[vector.key]).status_code == 200
