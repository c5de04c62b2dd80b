"""Test the console in Chromium: log in, browse, and every act on a key.

One test of the API pages shares the browser, which takes long to start.
"""

import json

import pytest
from playwright.sync_api import Route, expect

from endpoints.pages.console import API_KEY, ODD_KEY, Console

HOSTILE = "<script>window.broken = 1</script>"
IMAGE = "<img src=x onerror='window.broken = 1'>"


def test_a_user_logs_in_with_a_key_or_a_password_and_stays_so_if_asked(console: Console) -> None:
    page = console.page
    page.goto(console.store.url)
    assert page.url.endswith("/console/")
    page.get_by_label("API key or token").fill("wrong")
    console.button("Log in").click()
    expect(page.get_by_role("alert")).to_have_text("The server does not accept these credentials.")
    page.get_by_label("API key or token").fill("")
    page.get_by_label("User").fill("ada")
    page.get_by_label("Password", exact=True).fill("engine:é")
    page.get_by_label("Keep me logged in").check()
    console.button("Log in with a password").click()
    expect(page.get_by_text("ada: everything")).to_be_visible()
    page.reload()
    expect(page.get_by_text("ada: everything")).to_be_visible()
    console.button("Log out").click()
    page.reload()
    expect(console.button("Log in")).to_be_visible()


def test_a_key_is_made_edited_counted_touched_deleted_and_brought_back(console: Console) -> None:
    page = console.page
    console.open()
    expect(page.get_by_text("No keys yet.")).to_be_visible()
    console.link("New key").click()
    page.get_by_label("Key", exact=True).fill("visits")
    console.text.fill("[1, 2")
    problem = page.locator("#value-problem")
    expect(problem).to_have_text("Line 1, column 6: The text ends; expected , or ]")
    expect(console.button("Save")).to_be_disabled()
    console.text.fill(" 41 ")
    page.get_by_label("Metadata").fill('{"by": "ada"}')
    console.button("Save").click()
    console.button("Increment by").click()
    expect(console.text).to_have_value("42")
    assert console.value("visits") == 42
    page.get_by_label("Lifetime in seconds").fill("3600")
    console.button("Set lifetime").click()
    expect(page.locator(".edit .expires")).to_contain_text("expires in ")
    assert "Expires" in console.request("GET", "visits").headers
    console.text.fill('{"n": 1.10}')
    page.keyboard.press("Control+s")
    expect(console.notices).to_contain_text("Saved.")
    answer = console.request("GET", "visits")
    assert '{"n":1.10}' in answer.text
    assert "Expires" in answer.headers
    assert json.loads(answer.headers["X-KV-Metadata"]) == {"by": "ada"}
    console.button("Delete").click()
    console.button("Undo").click()
    expect(console.text).to_have_value('{\n  "n": 1.10\n}')
    back = console.request("GET", "visits")
    assert back.headers["X-KV-Metadata"] == answer.headers["X-KV-Metadata"]
    assert back.headers["Expires"] == answer.headers["Expires"]


def test_an_operation_is_found_filled_in_and_sent(console: Console) -> None:
    page = console.page
    page.goto(f"{console.store.url}/docs/#/")
    page.get_by_role("heading", name="The API of").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("put {key} set")
    expect(page.get_by_text("1 of ")).to_be_visible()
    page.get_by_role("link", name="Set a value").press("Enter")
    expect(page.get_by_role("heading", name="Set a value")).to_be_focused()
    assert page.url.endswith("/docs/#/set_value")
    page.get_by_label("key", exact=True).fill(ODD_KEY)
    page.get_by_label("namespace", exact=True).fill(console.namespace)
    page.get_by_role("textbox", name="Request body").fill('{"value": [1.10]}')
    console.button("Send").click()
    expect(page.locator(".status")).to_contain_text("401 Unauthorized")
    console.button("Log in").click()
    page.get_by_label("API key or token").fill(API_KEY)
    page.locator("#login").get_by_role("button", name="Log in", exact=True).click()
    console.button("Log out").wait_for()
    console.button("Send").click()
    expect(page.locator(".status")).to_contain_text("200 OK")
    expect(page.get_by_label("Body of the response")).to_contain_text("    1.10")
    assert console.value(ODD_KEY) == [1.1]


@pytest.mark.deep
def test_a_change_of_somebody_else_is_shown_beside_and_never_overwritten(console: Console) -> None:
    page = console.page
    console.put("theme", "dark")
    console.open("#/key/{ns}/theme")
    console.wait_until_live()
    console.text.fill('"mine"')
    console.put("theme", "theirs")
    expect(page.locator("#theirs")).to_have_text('"theirs"')
    expect(page.locator("#yours")).to_have_text('"mine"')
    expect(console.button("Save")).to_be_disabled()
    console.button("Edit mine over theirs").click()
    assert console.value("theme") == "theirs"

    def be_faster(route: Route) -> None:
        if route.request.method == "PUT":
            console.put("theme", "later")
        route.continue_()

    page.route("**/v1/kv?*", be_faster)
    console.button("Save").click()
    expect(page.locator("#theirs")).to_have_text('"later"')
    assert console.value("theme") == "later"
    page.unroute_all()
    console.button("Edit mine over theirs").click()
    console.button("Save").click()
    expect(console.notices).to_contain_text("Saved.")
    assert console.value("theme") == "mine"


@pytest.mark.deep
def test_folders_pages_and_a_search_show_the_keys(console: Console) -> None:
    page = console.page
    for key in ("shop/2026/a", "shop/b", "theme", *(f"many/{n:03}" for n in range(150))):
        console.put(key, key)
    console.open()
    console.link("shop/").click()
    console.link("2026/").click()
    expect(console.row("a")).to_contain_text('"shop/2026/a"')
    assert page.url.endswith("/shop%2F2026%2F")
    console.link("all keys").click()
    console.link("many/").click()
    expect(console.link("000")).to_be_visible()
    expect(console.link("100")).to_have_count(0)
    console.button("Next").click()
    expect(console.link("149")).to_be_visible()
    console.button("Previous").click()
    expect(console.link("000")).to_be_visible()
    console.button("Last").click()
    expect(console.link("149")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.press("Control+a")
    page.keyboard.type("th")
    expect(console.row("theme")).to_contain_text("7 B")
    assert page.url.endswith("/th")


@pytest.mark.deep
def test_rows_follow_the_store(console: Console) -> None:
    page = console.page
    console.put("b", 1)
    console.open()
    console.wait_until_live()
    console.put("a", {"n": 1}, metadata={"by": "ada"}, ttl=3600)
    expect(console.row("a")).to_contain_text('{"by":"ada"}')
    expect(console.row("a")).to_contain_text("9:5")
    console.put("b", "changed")
    expect(console.row("b")).to_contain_text("changed")
    console.put("folder/c", 1)
    expect(console.link("folder/")).to_be_visible()
    assert console.request("DELETE", "b").status_code == 200
    expect(console.link("b")).to_have_count(0)
    names = page.locator("tbody th").all_inner_texts()
    assert names == ["a", "folder/"]


@pytest.mark.deep
def test_hostile_keys_and_values_are_only_text(console: Console) -> None:
    page = console.page
    keys = [HOSTILE, IMAGE, "a\u202egpj.exe", "new\nline", "..", "é" * 1024, "%2F", "a b?c#d"]
    for key in keys:
        console.put(key, IMAGE)
    console.open()
    expect(page.locator("tbody tr")).to_have_count(len(keys))
    expect(page.locator("tbody")).to_contain_text("U+202E")
    for key in keys:
        folder = key.rpartition("/")[0] + "/" if "/" in key else ""
        console.go("#/list/{ns}/" + page.evaluate("encodeURIComponent", folder))
        console.go("#/key/{ns}/" + page.evaluate("encodeURIComponent", key))
        expect(console.text).to_have_value(json.dumps(IMAGE))
    assert page.evaluate("window.broken") is None
    assert page.locator("main img, main script").count() == 0


@pytest.mark.deep
def test_bytes_are_shown_as_an_image_or_as_hex(console: Console) -> None:
    page = console.page
    pixel = bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000a49444154789c63000100000500010d0a2db40000000049454e44ae426082"
    )
    console.put_bytes("pixel", pixel)
    console.put_bytes("page", b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>\xff")
    console.open("#/key/{ns}/pixel")
    expect(page.get_by_alt_text("The value as an image")).to_be_visible()
    page.get_by_label("Show as").select_option("Hex")
    expect(page.locator("pre.hex")).to_contain_text("89 50 4e 47")
    console.go("#/key/{ns}/page")
    expect(page.locator("pre.hex")).to_contain_text("<svg")
    assert page.get_by_label("Show as").locator("option").all_inner_texts() == ["Hex"]


@pytest.mark.deep
def test_what_the_scopes_do_not_allow_is_not_offered(console: Console) -> None:
    page = console.page
    console.put("theme", 1)
    console.put("shop/a", 1)
    console.open("#/key/{ns}/theme", "reader-key")
    expect(console.text).to_have_js_property("readOnly", True)
    for name in ("Save", "Delete", "Increment by", "Set lifetime", "Delete all these…"):
        expect(console.button(name)).to_have_count(0)
    for name in ("New key", "API keys", "Namespaces"):
        expect(console.link(name)).to_have_count(0)
    console.button("Log out").click()
    console.open("", "shop-key")
    console.link("shop/").click()
    console.link("a").click()
    expect(console.button("Save")).to_be_visible()
    expect(console.link("theme")).to_have_count(0)
    console.button("Log out").click()
    console.open("#/new/{ns}/in%2F", "nobody-key")
    page.get_by_label("Key", exact=True).fill("in/a")
    console.text.fill("1")
    console.button("Save").click()
    expect(console.notices).to_contain_text("needs the verb read")
    assert console.value("in/a") == 1


@pytest.mark.deep
def test_a_session_that_has_ended_asks_for_credentials_again(console: Console) -> None:
    console.put("a", 1)
    with console.store.client() as client:
        made = client.post("/admin/api-keys", json={"name": console.namespace}).json()
        console.open(token=made["data"]["api_key"])
        expect(console.row("a")).to_contain_text("1 B")
        assert client.delete(f"/admin/api-keys/{console.namespace}").status_code == 200
    console.go("#/key/{ns}/a")
    alert = console.page.get_by_role("alert")
    expect(alert).to_have_text("Your credentials are no longer valid. Log in again.")
    console.page.get_by_label("API key or token").fill(API_KEY)
    console.button("Log in").click()
    expect(console.text).to_have_value("1")


@pytest.mark.deep
def test_what_is_typed_outlives_a_server_that_is_away(console: Console) -> None:
    console.put("a", 1)
    console.open("#/key/{ns}/a")
    console.text.fill("2")
    console.page.context.set_offline(True)
    console.button("Save").click()
    expect(console.page.locator("#offline")).to_contain_text("does not respond")
    expect(console.text).to_have_value("2")
    console.page.context.set_offline(False)
    console.button("Save").click()
    expect(console.page.locator("#offline")).to_be_hidden()
    expect(console.notices).to_contain_text("Saved.")
    assert console.value("a") == 2
