"""Test in a browser that the editor of a key loses nothing that a user has typed."""

import json

import pytest
from playwright.sync_api import Route, expect

from endpoints.pages.console import Console

pytestmark = pytest.mark.deep

LONG_NUMBER = "12345678901234567890"
BYTES = {"Accept": "application/octet-stream"}


def test_another_view_keeps_what_was_typed(console: Console) -> None:
    page = console.page
    console.put("a", {"n": 1})
    console.open("#/key/{ns}/a")
    view = page.get_by_label("Show as")
    console.text.fill("hello")
    expect(page.locator("#value-problem")).to_contain_text("Line 1, column 1")
    view.select_option("Text")
    expect(console.text).to_have_value("hello")
    view.select_option("Hex")
    expect(console.notices).to_contain_text("Save the value first")
    expect(view).to_have_value("Text")
    expect(console.text).to_have_value("hello")
    console.button("Save").click()
    expect(console.notices).to_contain_text("Saved.")
    assert console.request("GET", "a", headers=BYTES).text == "hello"


def test_what_is_typed_while_a_value_is_saved_stays(console: Console) -> None:
    page = console.page
    console.put("a", 1)
    console.open("#/key/{ns}/a")
    console.text.fill("2")

    def type_meanwhile(route: Route) -> None:
        if route.request.method == "PUT":
            console.text.fill("23")
            page.keyboard.press("Control+s")  # a second one, before the first is over
            console.text.fill("234")
        route.continue_()

    page.route("**/v1/kv?*", type_meanwhile)
    page.keyboard.press("Control+s")
    expect(console.notices).to_contain_text("Saved.")
    page.unroute_all()
    assert console.value("a") == 2
    expect(console.text).to_have_value("234")
    expect(page.locator("#theirs")).to_have_count(0)
    console.button("Save").click()
    expect(page.locator("#version")).to_be_visible()
    expect(console.row("a")).to_contain_text("3 B")
    assert console.value("a") == 234


def test_a_change_of_somebody_else_does_not_take_the_focus(console: Console) -> None:
    page = console.page
    console.put("a", "theirs")
    console.open("#/key/{ns}/a")
    console.wait_until_live()
    console.text.fill('"mine')
    console.put_bytes("a", b"\xff\x00")
    expect(page.get_by_text("Somebody else changed this key.")).to_be_visible()
    expect(console.text).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.type(' too"')
    console.button("Edit mine over theirs").click()
    expect(console.text).to_have_value('"mine too"')
    console.button("Save").click()
    expect(console.notices).to_contain_text("Saved.")
    assert console.request("GET", "a", headers=BYTES).text == ('"mine too"')


@pytest.mark.parametrize(
    ("stored", "edited"), [("a,b\r\nc,d", "a,x\r\nc,d"), ("a,b\nc,d\n", "a,x\nc,d\n")]
)
def test_the_ends_of_lines_stay(console: Console, stored: str, edited: str) -> None:
    console.put_bytes("table.csv", stored.encode())
    console.open("#/key/{ns}/table.csv")
    expect(console.text).to_have_value(stored.replace("\r", ""))
    console.go("#/list/{ns}/")
    expect(console.page.locator(".edit")).to_have_count(0)
    console.go("#/key/{ns}/table.csv")
    console.text.fill(edited.replace("\r", ""))
    console.button("Save").click()
    expect(console.notices).to_contain_text("Saved.")
    assert console.request("GET", "table.csv", headers=BYTES).content == edited.encode()


def test_a_text_with_several_ends_of_lines_is_only_shown(console: Console) -> None:
    console.put_bytes("mixed", b"a\r\nb\nc")
    console.open("#/key/{ns}/mixed")
    expect(console.text).to_have_js_property("readOnly", True)
    expect(console.page.locator("#value-problem")).to_contain_text("end in different ways")


def test_metadata_is_edited_beside_any_value_and_keeps_its_numbers(console: Console) -> None:
    page = console.page
    kind = {"Content-Type": "image/png", "X-KV-Metadata": f'{{"id":{LONG_NUMBER},"n":"\\u00e9"}}'}
    for key, content in (("bytes", b"\xff\x00"), ("text", b'"a"')):
        console.request("PUT", key, content=content, headers=kind)
    console.open("#/key/{ns}/bytes")
    metadata = page.get_by_label("Metadata")
    expect(metadata).to_have_value(f'{{"id":{LONG_NUMBER},"n":"é"}}')
    metadata.fill(f'{{"id": {LONG_NUMBER}, "n": 1.0}}')
    console.go("#/list/{ns}/")
    expect(console.notices).to_contain_text("changes that are not saved")
    page.get_by_label("Lifetime in seconds").fill("60")
    console.button("Save").click()
    expect(console.notices).to_contain_text("Saved.")
    found = console.request("GET", "bytes", headers=BYTES)
    assert (found.content, "Expires" in found.headers) == (b"\xff\x00", True)
    assert found.headers["X-KV-Metadata"] == f'{{"id":{LONG_NUMBER},"n":1.0}}'
    console.button("Dismiss").click()
    console.go("#/key/{ns}/text")
    console.text.fill('"b"')
    console.button("Save").click()
    expect(console.notices).to_contain_text("Saved.")
    found = console.request("GET", "text")
    assert found.json()["data"] == "b"
    assert json.loads(found.headers["X-KV-Metadata"])["n"] == "é"
    assert LONG_NUMBER in found.headers["X-KV-Metadata"]


def test_metadata_that_is_no_object_stays(console: Console) -> None:
    page = console.page
    fields = {"Content-Type": "text/plain", "X-KV-Metadata": '"v1"'}
    precise = {"precise": "true"}
    put = console.request("PUT", "a", content=b"1", headers=fields, params=precise)
    assert put.status_code == 200
    console.open("#/key/{ns}/a")
    expect(page.get_by_label("Metadata")).to_have_value('"v1"')
    page.get_by_label("Lifetime in seconds").fill("60")
    console.button("Set lifetime").click()
    expect(console.notices).to_contain_text("Lifetime set.")
    console.button("Dismiss").click()
    console.text.fill("2")
    console.button("Save").click()
    expect(console.notices).to_contain_text("Saved.")
    found = console.request("GET", "a")
    assert (found.json()["data"], found.headers["X-KV-Metadata"]) == (2, '"v1"')


def test_a_value_that_is_left_is_no_longer_on_the_page(console: Console) -> None:
    page = console.page
    console.put("a", 1)
    console.put("b", 2)
    console.open("#/key/{ns}/a")
    console.text.fill("10")
    console.link("b").click()
    console.button("Leave them").click()
    expect(console.text).to_have_value("2")
    assert page.locator(".edit").count() == 1
    assert console.value("a") == 1


def test_a_list_has_what_was_written_while_it_was_loaded(console: Console) -> None:
    page = console.page
    console.put("a", 1)
    console.put("b", 1)

    def write_meanwhile(route: Route) -> None:
        if route.request.method == "POST" and console.value("a") == 1:
            # For the previews, once the keys are listed.
            console.put("c", 3)
            console.request("DELETE", "a")
        route.continue_()

    page.route("**/v1/kv?*", write_meanwhile)
    console.open()
    console.wait_until_live()
    expect(console.row("c")).to_contain_text("1 B")
    expect(console.link("a")).to_have_count(0)


def test_the_focus_stays_on_the_buttons_of_pages_and_on_the_namespace(console: Console) -> None:
    page = console.page
    for number in range(250):
        console.put(f"{number:03}", number)
    console.open()
    console.button("Next").press("Enter")
    expect(console.link("100")).to_be_visible()
    expect(console.button("Next")).to_be_focused()
    page.keyboard.press("Enter")
    expect(console.link("200")).to_be_visible()
    expect(console.button("First")).to_be_focused()
    namespace = page.get_by_label("Namespace")
    namespace.focus()
    namespace.select_option("default")
    expect(console.link("200")).to_have_count(0)
    expect(page.get_by_label("Namespace")).to_be_focused()


def test_typed_text_is_never_put_over_a_value_that_was_not_seen(console: Console) -> None:
    page = console.page
    console.put("a", "first")
    page.route("**/v1/changes*", lambda route: route.abort())
    console.open("#/key/{ns}/a")
    console.text.fill('"mine"')
    console.put("a", "theirs")
    console.button("Delete").click()
    expect(console.notices).to_contain_text("so nothing was done")
    expect(page.locator("#theirs")).to_have_text('"theirs"')
    expect(page.locator("#yours")).to_have_text('"mine"')
    assert console.value("a") == "theirs"


def test_metadata_of_somebody_else_is_said_before_it_is_replaced(console: Console) -> None:
    page = console.page
    console.put("a", 1, metadata={"n": 1})
    console.open("#/key/{ns}/a")
    console.wait_until_live()
    page.get_by_label("Metadata").fill('{"n": 2}')
    page.get_by_label("Add").fill("10")
    console.put("a", 5, metadata={"n": 3})
    expect(console.notices).to_contain_text('Somebody else changed the metadata: {"n":3}')
    expect(page.get_by_label("Metadata")).to_have_value('{"n": 2}')
    console.button("Increment by").click()
    expect(console.text).to_have_value("15")
