"""Test that Cloudflare's unmodified SDKs find everything where they expect it."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from clients.doors import IN_ORDER, VECTORS, listed, rest, value
from clients.sdk import ACCOUNT, PYTHON_4, PYTHON_5, TYPESCRIPT, Sdk, SdkError
from depth import IS_DEEP

BYTES = bytes(range(256))


def only(*names: str) -> pytest.MarkDecorator:
    """Run a test only with these SDKs."""
    return pytest.mark.parametrize("sdk", names, indirect=True, scope="module")


def refused(
    sdk: Sdk, kind: str, status: int, code: int, method: str, *to: str, **named: Any
) -> str:
    """What an SDK is told of an error that it has to know as this one."""
    with pytest.raises(SdkError) as caught:
        sdk.ask(method, *to, **named)
    assert (caught.value.kind, caught.value.status) == (kind, status), caught.value
    assert caught.value.codes == [code]
    message: str = caught.value.messages[0]
    return message


# Keys


def test_an_sdk_names_every_key_but_those_of_its_known_defects(
    sdk: Sdk, http: httpx2.Client, namespace: str
) -> None:
    kept = {one.key: value(one).decode() for one in VECTORS}
    pairs = [{"key": key, "value": text} for key, text in kept.items()]
    assert http.put(f"{rest(namespace)}/bulk", json=pairs).status_code == 200
    wrong = set()
    for key, text in kept.items():
        try:
            right = sdk.get(namespace, key) == text.encode()
        except SdkError:
            right = False
        if not right:
            wrong.add(key)
    assert wrong == {one.key for one in VECTORS if sdk.name in one.defects}
    good = kept.keys() - wrong
    for key in good:
        sdk.put(namespace, key, b'"again"')
    assert values(http, namespace) == kept | dict.fromkeys(good, '"again"')
    for key in good:
        sdk.delete(namespace, key)
    assert set(listed(http, namespace)) == wrong


def test_an_sdk_knows_every_key_in_a_body(sdk: Sdk, http: httpx2.Client, namespace: str) -> None:
    kept = {one.key: value(one).decode() for one in VECTORS}
    pairs = [{"key": key, "value": text} for key, text in kept.items()]
    sdk.ask("bulk_update", namespace, body=pairs)
    assert values(http, namespace) == kept
    assert [one["name"] for one in sdk.keys(namespace)] == IN_ORDER
    for key in kept:
        # Pages compare the prefix byte for byte.
        if len(key) < 100:
            assert key == sdk.keys(namespace, prefix=key)[0]["name"]
    assert sdk.ask("bulk_get", namespace, keys=IN_ORDER)["values"] == kept
    sdk.ask("bulk_delete", namespace, body=IN_ORDER)
    assert sdk.keys(namespace) == []


def values(http: httpx2.Client, namespace: str) -> dict[str, str]:
    """Return the values of all the keys that the tests use."""
    answer = http.post(f"{rest(namespace)}/bulk/get", json={"keys": IN_ORDER})
    found: dict[str, str] = answer.json()["result"]["values"]
    return found


LIMIT = 25 * 1024 * 1024


@only(PYTHON_5, TYPESCRIPT)
@pytest.mark.deep
def test_a_value_may_have_25_mebibytes_and_not_more(
    sdk: Sdk, namespace: str, tmp_path: Path
) -> None:
    value, file = BYTES * (LIMIT // len(BYTES)), tmp_path / "value"
    file.write_bytes(value)
    sdk.put(namespace, "key", file)
    same = sdk.get(namespace, "key") == value
    assert same
    file.write_bytes(value + b"1")
    with pytest.raises(SdkError) as caught:
        sdk.put(namespace, "key", file)
    assert (caught.value.status, caught.value.codes) == (413, [10024])
    file.write_bytes(value + value)
    with pytest.raises(SdkError) as caught:
        sdk.put(namespace, "key", file)
    assert (caught.value.status, caught.value.codes) == (413, [10024])


# Namespaces


def test_a_namespace_is_made_renamed_and_deleted(sdk: Sdk) -> None:
    made = sdk.ask("create", title="a namespace")
    id = made["id"]
    assert made == {"id": id, "title": "a namespace", "supports_url_encoding": True}
    assert sdk.ask("get", id) == made
    assert made in sdk.ask("list")
    renamed = sdk.ask("update", id, title="renamed")
    assert renamed is None or renamed["title"] == "renamed"
    assert sdk.ask("get", id)["title"] == "renamed"
    sdk.ask("delete", id)
    assert id not in [one["id"] for one in sdk.ask("list")]
    message = refused(sdk, "NotFoundError", 404, 10013, "get", id)
    assert message == "get namespace: 'namespace not found'"


def test_all_namespaces_are_listed_once(sdk: Sdk) -> None:
    made = [sdk.ask("create", title=f"one of many {number:02}")["id"] for number in range(25)]
    try:
        listed = [one["id"] for one in sdk.ask("list")]
        assert len(listed) == len(set(listed))
        assert set(made) <= set(listed)
        backwards = sdk.ask("list", order="title", direction="desc", per_page=7)
        titles = [one["title"] for one in backwards]
        assert len(titles) == len(listed)
        assert titles == sorted(titles, reverse=True)
    finally:
        for id in made:
            sdk.ask("delete", id)


def test_what_is_wrong_with_a_namespace_has_its_code(sdk: Sdk, namespace: str) -> None:
    refused(sdk, "BadRequestError", 400, 10014, "create", title="the test's own")
    refused(sdk, "BadRequestError", 400, 10019, "create", title="")
    refused(sdk, "BadRequestError", 400, 10011, "get", "no-id")
    refused(sdk, "NotFoundError", 404, 10013, "keys.list", "f" * 32)
    refused(sdk, "NotFoundError", 404, 10013, "values.get", "a", namespace_id="f" * 32)
    refused(sdk, "NotFoundError", 404, 10013, "delete", "f" * 32)


# Values


@pytest.mark.parametrize(
    "value", [b"", b"text", '{"é": 1}'.encode(), BYTES, b"\r\n--", BYTES * 1024]
)
def test_a_value_comes_back_byte_for_byte(sdk: Sdk, namespace: str, value: bytes) -> None:
    sdk.put(namespace, "key", value)
    assert sdk.get(namespace, "key") == value


def test_a_file_is_a_value(sdk: Sdk, namespace: str, tmp_path: Path) -> None:
    file = tmp_path / 'päth "of" a file'
    file.write_bytes(BYTES)
    sdk.put(namespace, "key", file)
    assert sdk.get(namespace, "key") == BYTES


def test_a_value_is_deleted(sdk: Sdk, namespace: str) -> None:
    sdk.put(namespace, "key", b"1")
    sdk.delete(namespace, "key")
    assert refused(
        sdk, "NotFoundError", 404, 10009, "values.get", "key", namespace_id=namespace
    ) == ("get: 'key not found'")
    sdk.delete(namespace, "key")  # again, which is no error


def test_metadata_is_kept_beside_a_value(sdk: Sdk, namespace: str) -> None:
    told = {"é": [1, None, {"x": "y"}]}
    sdk.put(namespace, "key", BYTES, metadata=told)
    assert sdk.get(namespace, "key") == BYTES
    assert sdk.metadata(namespace, "key") == told
    assert sdk.keys(namespace) == [{"name": "key", "metadata": told}]


# In a bulk put, which 4.3.1 needs, a string stays a string.
@only(PYTHON_5, TYPESCRIPT)
def test_metadata_may_be_sent_as_text(sdk: Sdk, namespace: str) -> None:
    sdk.put(namespace, "key", b"1", metadata='{"x": "é"}')
    assert sdk.metadata(namespace, "key") == {"x": "é"}
    with pytest.raises(SdkError) as caught:
        sdk.put(namespace, "key", b"1", metadata="{")
    assert (caught.value.status, caught.value.codes) == (400, [10047])


def test_a_put_clears_what_it_does_not_name(sdk: Sdk, namespace: str) -> None:
    sdk.put(namespace, "key", b"1", expiration_ttl=60, metadata={"x": 1})
    sdk.put(namespace, "key", b"2")
    assert sdk.keys(namespace) == [{"name": "key"}]
    assert sdk.metadata(namespace, "key") is None


def test_metadata_of_no_key_is_not_found(sdk: Sdk, namespace: str) -> None:
    refused(sdk, "NotFoundError", 404, 10009, "metadata.get", "none", namespace_id=namespace)


def test_a_value_may_expire_after_a_while_or_at_a_time(sdk: Sdk, namespace: str) -> None:
    before = int(time.time())
    at = before + 5000
    sdk.put(namespace, "after", b"1", expiration_ttl=3600)
    sdk.put(namespace, "at", b"1", expiration=at)
    sdk.put(namespace, "both", b"1", expiration=at, expiration_ttl=100)
    shown = {one["name"]: one["expiration"] for one in sdk.keys(namespace)}
    assert shown["at"] == at
    assert before + 3600 <= shown["after"] <= time.time() + 3601
    assert before + 100 <= shown["both"] <= time.time() + 101
    for key, expiration in shown.items():
        assert sdk.got(namespace, key)[1]["expiration"] == str(int(expiration))


def test_an_expiry_may_be_sent_back_as_it_was_listed(sdk: Sdk, namespace: str) -> None:
    """The Python SDK takes it for a float, and so sends a float."""
    at = int(time.time()) + 5000
    sdk.put(namespace, "a", b"1", expiration=at)
    [listed] = sdk.keys(namespace)
    sdk.put(namespace, "b", b"1", expiration=listed["expiration"])
    pair = {"key": "c", "value": "1", "expiration": listed["expiration"]}
    sdk.ask("bulk_update", namespace, body=[pair])
    sdk.ask("bulk_update", namespace, body=[{"key": "d", "value": "1", "expiration_ttl": 60.0}])
    found = [one["expiration"] for one in sdk.keys(namespace)]
    assert found[:3] == [at, at, at]
    pair = {"key": "c", "value": "1", "expiration": at + 0.5}
    refused(sdk, "BadRequestError", 400, 10033, "bulk_update", namespace, body=[pair])


def test_what_is_wrong_with_a_lifetime_has_its_code(sdk: Sdk, namespace: str) -> None:
    for named, code in (({"expiration_ttl": 59}, 10034), ({"expiration": 1_500_000_000}, 10033)):
        with pytest.raises(SdkError) as caught:
            sdk.put(namespace, "key", b"1", **named)
        assert caught.value.kind == "BadRequestError"
        assert caught.value.codes == [code]
        assert "must be at least 60" in caught.value.messages[0]


def test_a_key_of_513_bytes_is_too_long(sdk: Sdk, namespace: str) -> None:
    with pytest.raises(SdkError) as caught:
        sdk.put(namespace, "k" * 513, b"1")
    assert (caught.value.status, caught.value.codes) == (414, [10030])


# Listing, and many at once


def test_a_listing_of_many_pages_has_every_key_once(sdk: Sdk, namespace: str) -> None:
    limit = 1000 if IS_DEEP else 100
    names = [f"{number % 7}/ключ {number}+%" for number in range(26 * limit // 10)]
    all_done = {"successful_key_count": len(names), "unsuccessful_keys": []}
    done = sdk.ask("bulk_update", namespace, body=[{"key": one, "value": one} for one in names])
    assert done == all_done
    assert [one["name"] for one in sdk.keys(namespace, limit=limit)] == sorted(names)
    some = [one["name"] for one in sdk.keys(namespace, prefix="3/ключ ", limit=10)]
    assert some == sorted(one for one in names if one.startswith("3/"))
    assert sdk.keys(namespace, prefix="none") == []
    gone = sdk.ask("bulk_delete", namespace, body=names)
    assert gone == all_done
    assert sdk.keys(namespace) == []


def test_many_values_are_written_and_read_with_all_they_have(sdk: Sdk, namespace: str) -> None:
    at = int(time.time()) + 5000
    pairs = [
        {"key": "a/b", "value": "text é", "metadata": {"x": [1]}, "expiration": at},
        {"key": "bytes", "value": base64.b64encode(BYTES).decode(), "base64": True},
        {"key": "json", "value": '{"a": [1, null]}', "expiration_ttl": 3600},
        {"key": "plain", "value": "", "base64": False},
    ]
    done = sdk.ask("bulk_update", namespace, body=pairs)
    assert done == {"successful_key_count": 4, "unsuccessful_keys": []}
    assert sdk.get(namespace, "bytes") == BYTES
    asked = ["a/b", "json", "none"]
    read = sdk.ask("bulk_get", namespace, keys=asked)
    assert read == {"values": {"a/b": "text é", "json": '{"a": [1, null]}', "none": None}}
    read = sdk.ask("bulk_get", namespace, keys=["json", "none"], type="json")
    assert read == {"values": {"json": {"a": [1, None]}, "none": None}}
    read = sdk.ask("bulk_get", namespace, keys=["a/b", "plain", "none"], with_metadata=True)
    assert read["values"].pop("none") is None
    assert read["values"]["a/b"] == {"value": "text é", "metadata": {"x": [1]}, "expiration": at}
    assert read["values"]["plain"] == {"value": "", "metadata": None}
    refused(sdk, "BadRequestError", 400, 10029, "bulk_get", namespace, keys=["bytes"])


def test_nothing_is_written_where_one_of_many_is_wrong(sdk: Sdk, namespace: str) -> None:
    pairs = [{"key": "a", "value": "1"}, {"key": "b", "value": "1", "expiration_ttl": 5}]
    message = refused(sdk, "BadRequestError", 400, 10034, "bulk_update", namespace, body=pairs)
    assert "pair 1" in message
    pairs = [{"key": "a", "value": "1"}, {"key": "b", "value": "*", "base64": True}]
    refused(sdk, "BadRequestError", 400, 10012, "bulk_update", namespace, body=pairs)
    assert sdk.keys(namespace) == []


def test_a_limit_below_ten_is_refused_as_cloudflare_does(sdk: Sdk, namespace: str) -> None:
    refused(sdk, "BadRequestError", 400, 10028, "keys.list", namespace, limit=5)
    refused(sdk, "BadRequestError", 400, 10041, "keys.list", namespace, cursor="no cursor")


# Credentials


@pytest.fixture
def as_user(sdk: Sdk) -> Iterator[Sdk]:
    before = sdk.credentials
    yield sdk
    sdk.credentials = before


@pytest.mark.parametrize(
    "credentials",
    [
        {"api_token": "test-key"},
        {"api_key": "test-key", "api_email": "any@example.com"},
        {"api_key": "s3cret:word", "api_email": "me@example.com"},
        {"user_service_key": "test-key"},
        {"api_token": "me@example.com:s3cret:word"},
    ],
    ids=["token", "key", "user", "service key", "user as token"],
)
def test_each_way_to_send_credentials_lets_in(as_user: Sdk, credentials: dict[str, str]) -> None:
    as_user.credentials = credentials
    assert as_user.ask("get", "0" * 32)["title"] == "default"
    wrong = {
        name: text if name == "api_email" else text[:-1] + "x" for name, text in credentials.items()
    }
    as_user.credentials = wrong
    refused(as_user, "AuthenticationError", 401, 10000, "get", "0" * 32)


# Faults of the SDKs


@only(TYPESCRIPT)
def test_an_object_that_the_typescript_sdk_takes_apart_is_refused_and_not_lost(
    sdk: Sdk, namespace: str
) -> None:
    named = {"namespace_id": namespace, "value": b"1", "metadata": {"x": {"y": 1}}}
    message = refused(sdk, "BadRequestError", 400, 10047, "values.update", "key", **named)
    assert message == (
        "put: 'metadata must be valid JSON: it came in parts, as metadata[x][y]; "
        "expected one part of JSON text'"
    )
    assert sdk.keys(namespace) == []


def test_text_as_a_value_is_a_defect_of_the_python_sdk(sdk: Sdk, namespace: str) -> None:
    """4.3.1 sends JSON instead (below), 5.9.0 sends nothing; both accept it in bulk."""
    if sdk.name == TYPESCRIPT:
        sdk.ask("values.update", "key", namespace_id=namespace, value="text é")
        assert sdk.get(namespace, "key") == "text é".encode()
    else:
        with pytest.raises(SdkError) as caught:
            sdk.ask("values.update", "key", namespace_id=namespace, value="text")
        assert caught.value.status == 0
        sdk.ask("bulk_update", namespace, body=[{"key": "key", "value": "text é"}])
        assert sdk.get(namespace, "key") == "text é".encode()


@only(PYTHON_4)
@pytest.mark.deep
def test_cloudflare_4_3_1_sends_metadata_as_json_and_the_server_keeps_what_is_sent(
    sdk: Sdk, namespace: str, http: httpx2.Client
) -> None:
    """Cloudflare's answer would be the same: the client sends a JSON body, and no form."""
    sdk.ask("values.update", "key", namespace_id=namespace, value="text", metadata='{"x": 1}')
    assert sdk.get(namespace, "key") == b'{"metadata":"{\\"x\\": 1}","value":"text"}'
    assert sdk.metadata(namespace, "key") is None
    # A form, which the client does not send, would do what its user meant.
    url = f"/client/v4/accounts/{ACCOUNT}/storage/kv/namespaces/{namespace}/values/key"
    form = {"value": (None, b"text"), "metadata": (None, b'{"x": 1}')}
    assert http.put(url, files=form).status_code == 200
    assert sdk.get(namespace, "key") == b"text"
    assert sdk.metadata(namespace, "key") == {"x": 1}
