"""Describe `endpoints.cloudflare.rest` in the OpenAPI document."""

from collections.abc import Sequence
from typing import Final

from ....options import Options
from ....storage import Capability, Storage
from ...document import Group
from ...open_api import described, parameter
from ...schemas import NOTHING, Json, ref
from ..bulk_get import BulkGetBody
from ..limits import Limits
from .accounts import Account, CloudflareUser, Membership, VerifiedToken
from .bulk import BulkPair, BulkResult, BulkValues
from .envelope import CloudflareFailure
from .keys import CloudflareKey, CursorInfo
from .namespaces import CloudflareNamespace, CloudflareTitleBody
from .open_api_parts import (
    ACCOUNT,
    FAILURES,
    ID,
    NAMESPACE,
    TAG,
    get_operation,
    min_ttl,
    operation_of,
    success,
)
from .open_api_values import describe_values
from .pages import PageInfo

_ABOVE: Final = "accounts/{account_id}/storage/kv/namespaces"


def describe_rest(
    options: Options, storage: Storage, prefix: str, challenges: Sequence[str]
) -> Group:
    """Describe the group, with a 501 for operations that this storage lacks.

    `challenges` are those of the strategies whose credentials are in `Authorization`.
    """
    limits = Limits.of(options)
    base = prefix.rstrip("/")
    unlisted = [501] if Capability.LISTING in storage.lacks else []
    schemes, security = _other_credentials(challenges)
    key = {"maxLength": limits.key_bytes}
    return Group(
        tags={TAG: "Cloudflare's REST API for Workers KV, for its clients."},
        paths={
            **_accounts(base),
            **_credentials(base),
            **_namespaces(f"{base}/{_ABOVE}", storage, unlisted),
            **describe_values(f"{base}/{_ABOVE}/{{namespace_id}}", limits, storage, unlisted),
        },
        structs=[
            *(Account, CloudflareUser, Membership, VerifiedToken),
            *(BulkGetBody, BulkPair, BulkResult, BulkValues, CloudflareKey, CursorInfo),
            *(CloudflareFailure, CloudflareNamespace, CloudflareTitleBody, PageInfo),
        ],
        narrowed={
            "BulkPair.key": key,
            "BulkPair.expiration_ttl": {"minimum": min_ttl(limits)},
            "CloudflareTitleBody": {"required": ["title"]},
        },
        schemes=schemes,
        security=security,
        failures=FAILURES,
    )


def _other_credentials(challenges: Sequence[str]) -> tuple[dict[str, Json], list[Json]]:
    """Return the ways to send credentials that only this API has, and which belong together."""
    schemes: dict[str, Json] = {}
    security: list[Json] = []
    kinds = {one.partition(" ")[0] for one in challenges}
    if "Bearer" in kinds:
        schemes["cloudflare_key"] = _field("X-Auth-Key", "An API key or a token")
        schemes["cloudflare_service_key"] = _field(
            "X-Auth-User-Service-Key", "An API key or a token"
        )
        security += [{"cloudflare_key": []}, {"cloudflare_service_key": []}]
    if "Basic" in kinds:
        schemes["cloudflare_password"] = _field("X-Auth-Key", "The password of a user")
        schemes["cloudflare_email"] = _field("X-Auth-Email", "The name of the user")
        security += [{"cloudflare_password": [], "cloudflare_email": []}]
    return schemes, security


def _field(name: str, description: str) -> Json:
    return {"type": "apiKey", "in": "header", "name": name, "description": description}


def _accounts(base: str) -> dict[str, Json]:
    """Describe the requests that clients send before those for namespaces."""
    one = f"{base}/accounts/{{account_id}}"
    made_up = "The configured accounts or, without any, one that is made up."
    return {
        f"{base}/accounts": get_operation(
            "list_accounts",
            "List accounts",
            made_up,
            _page("AccountsAnswer", "Account", _ACCOUNT_SHOWN),
            [400],
            _PAGES,
        ),
        one: get_operation(
            "get_account",
            "Get an account",
            "Its id and its name.",
            success("AccountAnswer", "The account", ref("Account"), _ACCOUNT_SHOWN),
            [404],
            [ACCOUNT],
        ),
        f"{base}/memberships": get_operation(
            "list_memberships",
            "List accounts as memberships",
            f"The accounts again. {made_up}",
            _page(
                "MembershipsAnswer",
                "Membership",
                {"id": ID, "account": _ACCOUNT_SHOWN, "status": "accepted", "roles": []},
            ),
            [400],
            _PAGES,
        ),
    }


def _credentials(base: str) -> dict[str, Json]:
    """Describe what clients ask about the credentials and the user of a request."""
    verified = success(
        "VerifiedTokenAnswer",
        "They are good",
        ref("VerifiedToken"),
        {"id": "api_key", "status": "active"},
    )
    good = "Clients ask this before anything else."
    return {
        f"{base}/user": get_operation(
            "get_user",
            "Ask who makes the request",
            "Clients show the `email` as the name.",
            success(
                "CloudflareUserAnswer",
                "The user",
                ref("CloudflareUser"),
                {"id": "ada", "email": "ada"},
            ),
        ),
        f"{base}/user/tokens/verify": get_operation(
            "verify_token", "Ask whether the credentials are good", good, verified
        ),
        f"{base}/accounts/{{account_id}}/tokens/verify": get_operation(
            "verify_account_token",
            "Ask whether the credentials are good, in an account",
            good,
            verified,
            [404],
            [ACCOUNT],
        ),
    }


def _namespaces(path: str, storage: Storage, unlisted: Sequence[int]) -> dict[str, Json]:
    alone = [501] if storage.lacks.keys() - {Capability.CHANGES} else []
    body = {"application/json": described(ref("CloudflareTitleBody"), title={"title": "photos"})}
    one = success(
        "CloudflareNamespaceAnswer", "The namespace", ref("CloudflareNamespace"), _SPACE_SHOWN
    )
    return {
        path: {
            **get_operation(
                "list_namespaces",
                "List namespaces of an account",
                "One page of them; past the last page it is empty.",
                _page("CloudflareNamespacesAnswer", "CloudflareNamespace", _SPACE_SHOWN),
                [400, *unlisted],
                [ACCOUNT, *_PAGES, *_ORDERED],
            ),
            "post": operation_of(
                "create_namespace",
                "Make a namespace in an account",
                "It has no keys yet. 400 where the account has one with this title.",
                one,
                [408, 413, *alone],
                [ACCOUNT],
                body=body,
            ),
        },
        f"{path}/{{namespace_id}}": {
            **get_operation(
                "get_namespace",
                "Get a namespace of an account",
                "Its id and its title.",
                one,
                [404],
                NAMESPACE,
            ),
            "put": operation_of(
                "rename_namespace",
                "Give a namespace of an account another title",
                "Its id and its keys stay.",
                one,
                [404, 408, 413, *alone],
                NAMESPACE,
                body=body,
            ),
            "delete": operation_of(
                "delete_namespace",
                "Delete a namespace of an account with all its keys",
                "Nothing brings them back.",
                success("CloudflareGoneAnswer", "It is gone", NOTHING, None),
                [404, *alone],
                NAMESPACE,
            ),
        },
    }


def _page(name: str, schema: str, example: Json) -> dict[str, Json]:
    shown = {"page": 1, "per_page": 20, "count": 1, "total_count": 1, "total_pages": 1}
    items = {"type": "array", "items": ref(schema)}
    return success(name, "A page", items, [example], info=("PageInfo", shown))


_ACCOUNT_SHOWN: Final = {"id": ID, "name": "workertown-kv", "type": "standard"}
_SPACE_SHOWN: Final = {
    "id": "0f2e8a61c5d94b7f8a3d5c1b7e9f6042",
    "title": "photos",
    "supports_url_encoding": True,
}
_NUMBER: Final = {"type": "integer", "minimum": 1}
_PAGES: Final = (
    parameter("query", "page", "The number of the page, from 1", _NUMBER, example=1),
    parameter("query", "per_page", "At most 1,000; else 20", _NUMBER, example=20),
)
_ORDERED: Final = (
    parameter(
        "query", "order", "By what", {"type": "string", "enum": ["id", "title"]}, example="title"
    ),
    parameter(
        "query",
        "direction",
        "Up or down",
        {"type": "string", "enum": ["asc", "desc"]},
        example="asc",
    ),
)
