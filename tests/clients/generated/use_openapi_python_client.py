# mypy: disable-error-code="import-not-found"
"""Use a store with the client that openapi-python-client has made."""

import sys
from io import BytesIO

from generated import AuthenticatedClient
from generated.api.cloudflare import (
    cloudflare_bulk_get,
    cloudflare_bulk_put,
    cloudflare_delete_value,
    cloudflare_get_metadata,
    cloudflare_get_value,
    cloudflare_list_keys,
    cloudflare_list_namespaces,
    cloudflare_put_value,
)
from generated.api.keys import batch, list_keys
from generated.api.namespaces import create_namespace
from generated.api.values import delete_value, get_value, head_value, set_value
from generated.models import (
    BatchAnswer,
    BatchBody,
    BatchResult,
    BulkGetBody,
    BulkPair,
    BulkResultAnswer,
    BulkValuesAnswer,
    CloudflareDoneAnswer,
    CloudflareFailure,
    CloudflareKeysAnswer,
    CloudflareListNamespacesOrder,
    CloudflareMetadataAnswer,
    CloudflareNamespacesAnswer,
    DeleteOperation,
    Failure,
    GetOperation,
    KeyPageAnswer,
    Metadata,
    NamespaceAnswer,
    PutBody,
    SetOperation,
    TitleBody,
    ValueAnswer,
)
from generated.types import File

url, token = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=token)
KEY = "a/b c%20?#é"

# The native API
metadata = Metadata.from_dict({"from": "web"})
body = PutBody(value={"x": [1, None]}, ttl=3600, metadata=metadata)
detailed = set_value.sync_detailed(KEY, client=client, body=body)
assert isinstance(detailed.parsed, ValueAnswer), detailed
version = detailed.headers["ETag"]
got = get_value.sync(KEY, client=client)
assert isinstance(got, ValueAnswer), got
assert got.data == {"x": [1, None]}
assert get_value.sync_detailed(KEY, client=client, if_none_match=version).status_code == 304
head = head_value.sync_detailed(KEY, client=client)
assert (head.status_code, head.headers["X-KV-Metadata"]) == (200, '{"from":"web"}')
page = list_keys.sync(client=client, prefix="a/", limit=10)
assert isinstance(page, KeyPageAnswer), page
assert [(one.key, f'"{one.version}"') for one in page.data.keys] == [(KEY, version)]
assert page.data.keys[0].metadata.additional_properties == {"from": "web"}
assert page.data.complete is True
assert page.data.cursor is None
operations = [
    SetOperation(op="set", key="b", value=None),
    GetOperation(op="get", key=KEY),
    GetOperation(op="get", key="none"),
    SetOperation(op="set", key="b", value=1, if_version="x"),
    DeleteOperation(op="delete", key="b"),
]
done = batch.sync(client=client, body=BatchBody(operations=operations))
assert isinstance(done, BatchAnswer), done
assert all(isinstance(one, BatchResult) for one in done.data)
assert isinstance(done.data[0].version, str)
assert done.data[1].value == {"x": [1, None]}
assert (done.data[2].value, done.data[2].version) == (None, None)
assert done.data[3].status == 412
deleted = delete_value.sync(KEY, client=client)
assert not isinstance(deleted, Failure)
assert deleted.data is True
missing = get_value.sync(KEY, client=client)
assert isinstance(missing, Failure), missing
assert (missing.status, missing.data, missing.error) == (404, None, "Not found")
wrong = set_value.sync(KEY, client=client, body=PutBody(value=1, ttl=0))
assert isinstance(wrong, Failure), wrong
assert wrong.errors[0].path == ["ttl"]
made = create_namespace.sync(client=client, body=TitleBody(title="photos"))
assert isinstance(made, NamespaceAnswer), made

# Cloudflare's REST API
place = ("me", made.data.id)
put = cloudflare_put_value.sync(*place, KEY, client=client, body=File(payload=BytesIO(b"\0raw")))
assert isinstance(put, CloudflareDoneAnswer), put
raw = cloudflare_get_value.sync(*place, KEY, client=client)
assert raw.payload.read() == b"\0raw"
pairs = [BulkPair(key="t", value="text", expiration_ttl=3600, metadata=[1])]
written = cloudflare_bulk_put.sync(*place, client=client, body=pairs)
assert isinstance(written, BulkResultAnswer), written
assert written.result.successful_key_count == 1
keys = cloudflare_list_keys.sync(*place, client=client, limit=10)
assert isinstance(keys, CloudflareKeysAnswer), keys
assert [one.name for one in keys.result] == [KEY, "t"]
assert (keys.result_info.count, keys.result_info.cursor) == (2, "")
values = cloudflare_bulk_get.sync(*place, client=client, body=BulkGetBody(keys=["t", "none"]))
assert isinstance(values, BulkValuesAnswer), values
assert values.result.values.additional_properties == {"t": "text", "none": None}
told = cloudflare_get_metadata.sync(*place, "t", client=client)
assert isinstance(told, CloudflareMetadataAnswer), told
assert told.result == [1]
assert isinstance(cloudflare_delete_value.sync(*place, KEY, client=client), CloudflareDoneAnswer)
gone = cloudflare_get_value.sync(*place, KEY, client=client)
assert isinstance(gone, CloudflareFailure), gone
assert gone.errors[0].code == 10009
spaces = cloudflare_list_namespaces.sync(
    "me", client=client, order=CloudflareListNamespacesOrder.TITLE
)
assert isinstance(spaces, CloudflareNamespacesAnswer), spaces
assert spaces.result_info.total_count == len(spaces.result) == 2
