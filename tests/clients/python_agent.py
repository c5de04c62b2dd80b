"""Make the calls on stdin with Cloudflare's Python SDK. Each call and each result is a JSON line.

Only the packages of the SDK are installed here, and nothing of the project.
"""

import base64
import functools
import json
import sys
from pathlib import Path
from typing import Any

import cloudflare  # type: ignore[import-not-found]  # the tests install it

client = functools.cache(cloudflare.Cloudflare)


def given(value: Any) -> Any:
    """Return an argument that JSON cannot express."""
    if isinstance(value, dict) and set(value) == {"$bytes"}:
        return base64.b64decode(value["$bytes"])
    if isinstance(value, dict) and set(value) == {"$path"}:
        return Path(value["$path"])
    return value


def told(result: Any) -> Any:
    """Return the result of a call as JSON."""
    if hasattr(result, "iter_bytes"):
        return {
            "$bytes": base64.b64encode(result.read()).decode(),
            "headers": dict(getattr(result, "headers", None) or result._response.headers),
        }
    if hasattr(result, "get_next_page"):
        return [told(one) for one in result]
    return result.to_dict() if hasattr(result, "to_dict") else result


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """Make one call."""
    method: Any = client(**asked["client"])
    for name in asked["method"].split("."):
        method = getattr(method, name)
    named = {name: given(value) for name, value in asked["named"].items()}
    try:
        return {"result": told(method(*asked["positional"], **named))}
    except cloudflare.APIStatusError as error:
        errors = error.body["errors"] if isinstance(error.body, dict) else []
        return {"kind": type(error).__name__, "status": error.status_code, "errors": errors}
    except Exception as error:  # noqa: BLE001  (whatever a client raises is told to the test)
        return {"kind": type(error).__name__, "status": 0, "errors": [{"message": str(error)}]}


for line in sys.stdin.buffer:
    print(json.dumps(answer(json.loads(line))), flush=True)
