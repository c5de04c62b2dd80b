"""Stand in for Cloudflare's REST API: this server's own, and a server that fails as it is told."""

import json
from typing import Any, Final

from servers.stand_in import Asked, Reply, StandIn
from workertown_kv.options import Secret
from workertown_kv.storage import Clock
from workertown_kv.storage.cloudflare_kv import CloudflareKVStorage
from workertown_kv.testing import ServedStore

TOKEN: Final = "s3cr3t-token"
DEFAULT_ID: Final = "0" * 32
_NAMESPACES: Final = "/client/v4/accounts/any/storage/kv/namespaces"


def served() -> ServedStore:
    """Return a server whose own REST API stands in for that of Cloudflare."""
    return ServedStore(api_key=TOKEN)


def new_namespace(store: ServedStore, title: str) -> str:
    """Create a namespace through the REST API. Returns its id."""
    with store.client() as client:
        answer = client.post(_NAMESPACES, json={"title": title})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["result"]["id"])


def storage_at(
    endpoint: str, clock: Clock, *, namespace: str = DEFAULT_ID, parameters: str = ""
) -> CloudflareKVStorage:
    """Return the storage on a namespace of the account `any` at a server."""
    url = f"cloudflare-kv://any/{namespace}?endpoint={endpoint}{parameters}"
    return CloudflareKVStorage(url, token=Secret(TOKEN), clock=clock)


def success(result: object, **info: object) -> Reply:
    """Return the answer to a success, laid out over several lines as Cloudflare does."""
    whole: dict[str, Any] = {"result": result, "success": True, "errors": [], "messages": []}
    return Reply(body=json.dumps({**whole, "result_info": info}, indent=2).encode())


def failure(status: int, code: int, message: str, **headers: str) -> Reply:
    """Return the answer to an error."""
    errors = [{"code": code, "message": message}]
    body = json.dumps({"result": None, "success": False, "errors": errors, "messages": []})
    return Reply(status, body.encode(), {name.replace("_", "-"): headers[name] for name in headers})


CUT: Final = Reply(is_cut=True)
HTML: Final = Reply(502, b"<html>Bad gateway</html>", {"Content-Type": "text/html"})


class ScriptedCloudflare(StandIn):
    """Answers requests with the replies in `replies`, and then as an empty namespace would."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Asked] = []
        self.replies: list[Reply] = []

    def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        if self.replies:
            return self.replies.pop(0)
        if asked.path.endswith("/bulk/get"):
            return success({"values": {}})
        if "/keys?" in asked.path:
            return success([], cursor="")
        return failure(404, 10009, "key not found") if asked.method == "GET" else success({})
