# mypy: disable-error-code="import-not-found"
"""Use a store with the client that OpenAPI Generator has made for Python."""

import sys

import pytest
from generated import ApiClient, ApiException, CloudflareApi, Configuration, KeysApi, ValuesApi
from generated.models import (
    BatchBody,
    BatchOperation,
    BatchResult,
    BulkGetBody,
    BulkPair,
    DeleteOperation,
    GetOperation,
    KeyPage,
    PutBody,
    SetOperation,
)

url, token = sys.argv[1:]
client = ApiClient(Configuration(host=url, access_token=token))
values, keys, cloudflare = ValuesApi(client), KeysApi(client), CloudflareApi(client)
KEY = "a/b c%20?#é"

# The native API
body = PutBody(value={"x": [1, None]}, ttl=3600, metadata={"from": "web"})
detailed = values.set_value_with_http_info(KEY, body)
assert detailed.data.data == {"x": [1, None]}
version = detailed.headers["etag"]
assert values.get_value(KEY).data == {"x": [1, None]}
assert values.head_value_with_http_info(KEY).headers["x-kv-metadata"] == '{"from":"web"}'
page = keys.list_keys(prefix="a/", limit=10).data
assert isinstance(page, KeyPage)
assert [(one.key, f'"{one.version}"') for one in page.keys] == [(KEY, version)]
assert page.keys[0].metadata == {"from": "web"}
assert (page.complete, page.cursor) == (True, None)
operations = [
    SetOperation(op="set", key="b", value=None),
    GetOperation(op="get", key=KEY),
    GetOperation(op="get", key="none"),
    SetOperation(op="set", key="b", value=1, if_version="x"),
    DeleteOperation(op="delete", key="b"),
]
done = keys.batch(BatchBody(operations=[BatchOperation(one) for one in operations])).data
assert all(isinstance(one, BatchResult) for one in done)
assert isinstance(done[0].version, str)
assert done[1].value == {"x": [1, None]}
assert (done[2].value, done[2].version) == (None, None)
assert done[3].status == 412
assert values.delete_value(KEY).data is True
with pytest.raises(ApiException) as raised:
    values.get_value(KEY)
assert (raised.value.status, raised.value.data.error) == (404, "Not found")

# Cloudflare's REST API
place = ("me", "0" * 32)
assert cloudflare.cloudflare_put_value(*place, KEY, body=b"\0raw").success is True
assert cloudflare.cloudflare_get_value(*place, KEY) == b"\0raw"
pairs = [BulkPair(key="t", value="text", expiration_ttl=3600, metadata=[1])]
assert cloudflare.cloudflare_bulk_put(*place, pairs).result.successful_key_count == 1
listed = cloudflare.cloudflare_list_keys(*place, limit=10)
assert [one.name for one in listed.result] == [KEY, "t"]
assert (listed.result_info.count, listed.result_info.cursor) == (2, "")
read = cloudflare.cloudflare_bulk_get(*place, BulkGetBody(keys=["t", "none"]))
assert read.result.values == {"t": "text", "none": None}
assert cloudflare.cloudflare_get_metadata(*place, "t").result == [1]
assert cloudflare.cloudflare_delete_value(*place, KEY).success is True
spaces = cloudflare.cloudflare_list_namespaces("me", order="title")
assert spaces.result_info.total_count == len(spaces.result)
with pytest.raises(ApiException) as raised:
    cloudflare.cloudflare_get_metadata(*place, KEY)
assert (raised.value.status, raised.value.data.errors[0].code) == (404, 10009)
