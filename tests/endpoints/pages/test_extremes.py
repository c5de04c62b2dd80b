"""Test the console in Chromium with much data, and with a server that really goes away."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from endpoints.pages.console import Console
from workertown_kv.testing import ServedStore

pytestmark = pytest.mark.deep

MANY = 100_000
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedStore]:
    with ServedStore(tmp_path_factory.mktemp("store") / "kv.sqlite") as served:
        yield served


def fill(console: Console) -> None:
    for start in range(0, MANY, 1000):
        operations = [
            {"op": "set", "key": f"k{number:06}", "value": number}
            for number in range(start, start + 1000)
        ]
        fields = {"X-KV-Namespace": console.namespace}
        with console.store.client() as client:
            answer = client.post("/v1/kv", json={"operations": operations}, headers=fields)
        assert answer.status_code == 200


def test_the_last_of_many_keys_is_a_click_away(console: Console) -> None:
    page = console.page
    fill(console)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    console.open()
    expect(console.row("k000000")).to_be_visible()
    console.button("Last").click()
    expect(console.row("k099999")).to_be_visible()
    console.button("Previous").click()
    expect(console.row("k099800")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("k05432")
    expect(console.row("k054329")).to_contain_text("54329")
    assert page.locator("tbody tr").count() == 10
    assert len([url for url in requests if "/v1/kv" in url]) <= 12


def test_a_value_of_25_mib_is_loaded_only_if_asked(console: Console) -> None:
    page = console.page
    console.put_bytes("large", json.dumps("x" * (25 * MIB - 2)).encode())
    console.put("small", 1)
    console.open("#/key/{ns}/large")
    expect(page.get_by_text("The value has 25.0 MiB, so it is not loaded.")).to_be_visible()
    expect(console.row("large")).to_contain_text("large value")
    console.button("Load and show it").click()
    expect(page.locator("#value-problem")).to_have_text(
        "Only the beginning is shown, which cannot be edited."
    )
    expect(console.text).to_have_js_property("readOnly", True)
    console.link("small").click()
    expect(console.text).to_have_value("1")


def test_the_console_goes_on_after_a_restart_of_the_server(console: Console) -> None:
    page = console.page
    console.put("a", 1)
    console.open("#/key/{ns}/a")
    console.wait_until_live()
    console.text.fill("2")
    console.store.kill()
    console.button("Save").click()
    expect(page.locator("#offline")).to_contain_text("does not respond")
    expect(page.locator("#live")).to_have_text("reconnecting…")
    console.store.start()
    console.wait_until_live()
    expect(page.locator("#offline")).to_be_hidden()
    console.button("Save").click()
    expect(console.notices).to_contain_text("Saved.")
    console.put("b", "after")
    expect(console.row("b")).to_contain_text("after")


def test_a_phone_shows_the_keys_and_a_value(console: Console) -> None:
    page = console.page
    page.set_viewport_size({"width": 360, "height": 640})
    console.put("theme", "dark", metadata={"by": "ada"})
    console.open()
    console.link("theme").click()
    console.text.fill('"light"')
    console.button("Save").click()
    expect(console.notices).to_contain_text("Saved.")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_everything_can_be_done_with_the_keyboard(console: Console) -> None:
    page = console.page
    console.put("a", 1)
    console.put("b", 2)
    console.open()
    expect(console.row("b")).to_contain_text("2")
    console.link("a").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(console.text).to_have_value("2")
    console.text.focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("3")
    page.keyboard.press("Control+s")
    expect(console.notices).to_contain_text("Saved.")
    console.button("Delete").press("Enter")
    expect(console.link("b")).to_have_count(0)
    console.button("Undo").press("Enter")
    expect(console.row("b")).to_contain_text("3")
