"""Test the pages for administrators in Chromium, and that axe finds nothing on any page."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import expect

from endpoints.pages.console import Console, axe_findings
from servers.installed import Find, npm_packages

pytestmark = pytest.mark.deep


EXPORT: Final = """\
{"workertown_kv_export": 1, "at": 1795905459}
{"namespace": "00000000000000000000000000000000", "title": "default"}
{"key": "a", "value": "\\"key"}
{"key": "b", "value": 1}
{"key": "c", "value": {"key": 1}}
{"key": "d", "base64": "/w=="}
{"end": true, "count": 4, "sha256": ""}
"""
COUNT: Final = """async (text) => {
    const { EntryCount } = await import("./export-count.js");
    const bytes = new TextEncoder().encode(text);
    return Array.from({ length: bytes.length }, (_, index) => {
        const count = new EntryCount();
        const size = index + 1;
        for (let at = 0; at < bytes.length; at += size) count.add(bytes.slice(at, at + size));
        return count.entries;
    });
}"""
FOLLOW: Final = """async ([text, mayCount]) => {
    const { Transfer } = await import("./transfer.js");
    const lines = text.match(/.*\\n/g);
    let counted;
    const isCounted = mayCount ? new Promise((resolve) => (counted = resolve)) : null;
    // Each piece after the first waits until the bar has shown the piece before it.
    const stream = new ReadableStream({
        async pull(controller) {
            await isCounted;
            await new Promise((resolve) => setTimeout(resolve));
            if (lines.length) controller.enqueue(new TextEncoder().encode(lines.shift()));
            else controller.close();
        },
    }, { highWaterMark: 0 });
    const transfer = new Transfer({
        paths: { admin: "/admin" },
        permissions: { mayEverywhere: (verb) => mayCount || verb !== "write" },
        deletePrefix: async () => (counted(), 4),
        request: async () => new Response(stream),
    }, new Map([["default", "default"]]));
    document.body.append(transfer.element);
    const states = [];
    await new Promise((resolve) => {
        new MutationObserver(() => {
            states.push([transfer.state.textContent, transfer.bar.position]);
            if (transfer.state.textContent.startsWith("Exported")) resolve();
        }).observe(transfer.state, { childList: true });
        transfer.element.querySelector("form").requestSubmit();
    });
    return states;
}"""


@pytest.fixture(scope="module")
def npm(require_program: Find) -> Path:
    return npm_packages(Path(__file__).parent / "npm", require_program)


def test_an_api_key_is_made_shown_once_and_revoked(console: Console) -> None:
    page = console.page
    console.open("#/api-keys")
    page.get_by_role("textbox", name="Name").fill(console.namespace)
    page.get_by_label("read").check()
    page.get_by_label("list").check()
    page.get_by_label("On keys that begin with").fill("shop/")
    page.get_by_label("Lifetime in seconds").fill("1h")
    console.button("Make an API key").click()
    expect(console.notices).to_contain_text("Expected a lifetime in whole seconds")
    expect(page.locator("#new-api-key")).to_have_count(0)
    page.get_by_label("Lifetime in seconds").fill("")
    console.button("Make an API key").click()
    made = page.locator("#new-api-key").input_value()
    fields = {"Authorization": f"Bearer {made}"}
    assert console.request("GET", "shop/a", headers=fields).status_code == 404
    assert console.request("GET", "theme", headers=fields).status_code == 403
    expect(page.get_by_text("may: read, list on shop/")).to_be_visible()
    console.button("Done").click()
    expect(page.locator("#new-api-key")).to_have_count(0)
    console.button(f"Revoke {console.namespace}").click()
    console.button("Revoke it now").click()
    expect(console.button(f"Revoke {console.namespace}")).to_have_count(0)
    assert console.request("GET", "shop/a", headers=fields).status_code == 401


def test_a_namespace_is_made_renamed_and_deleted_with_its_title(console: Console) -> None:
    page = console.page
    console.open("#/namespaces")
    title = f"m{console.namespace}"
    page.get_by_label("Title", exact=True).fill(title)
    console.button("Make a namespace").click()
    item = page.get_by_role("listitem").filter(has=console.link(title))
    item.get_by_label("Title of").fill(f"{title}!")
    item.get_by_role("button", name="Rename").click()
    item = page.get_by_role("listitem").filter(has=console.link(f"{title}!"))
    item.get_by_role("button", name="Delete…").click()
    expect(console.button("Delete it with all its keys")).to_be_disabled()
    page.get_by_label("Type its title").fill(f"{title}!")
    console.button("Delete it with all its keys").click()
    expect(console.link(f"{title}!")).to_have_count(0)


def test_keys_are_deleted_by_prefix_after_their_number_and_by_selection(console: Console) -> None:
    page = console.page
    for key in ("a/1", "a/2", "b", "c"):
        console.put(key, 1)
    console.open("#/list/{ns}/a%2F")
    console.button("Delete all these…").click()
    expect(page.get_by_text("2 keys begin with this.")).to_be_visible()
    assert console.value("a/1") == 1
    console.button("Delete 2 keys").click()
    expect(console.notices).to_contain_text("Deleted 2 keys.")
    console.link("all keys").click()
    page.get_by_label("Select b").check()
    console.button("Delete 1 selected").click()
    expect(console.notices).to_contain_text("Deleted 1 key.")
    expect(console.link("b")).to_have_count(0)
    expect(console.button("Delete selected")).to_be_disabled()
    assert console.value("c") == 1


def test_a_namespace_is_exported_and_imported(console: Console, tmp_path: Path) -> None:
    page = console.page
    console.put("theme", "dark")
    console.put_bytes("bytes", b"\xff")
    console.open("#/transfer")
    page.get_by_label("Namespaces").select_option(console.namespace)
    with page.expect_download() as downloading:
        console.button("Export").click()
    file = tmp_path / "export.ndjson"
    downloading.value.save_as(file)
    assert json.loads(file.read_text().splitlines()[-1])["count"] == 2
    assert console.request("DELETE", "theme").status_code == 200
    page.get_by_label("File").set_input_files(file)
    console.button("Import").click()
    expect(page.get_by_text("Wrote 1 entries; 1 skipped, 0 expired.")).to_be_visible()
    assert console.value("theme") == "dark"
    file.write_text("nothing")
    page.get_by_label("File").set_input_files(file)
    console.button("Import").click()
    expect(page.get_by_role("alert")).to_be_visible()


def test_the_entries_of_an_export_are_counted_however_its_bytes_arrive(console: Console) -> None:
    console.page.goto(f"{console.store.url}/console/")
    assert set(console.page.evaluate(COUNT, EXPORT)) == {4}


def test_an_export_shows_how_much_of_it_has_arrived(console: Console) -> None:
    page = console.page
    page.goto(f"{console.store.url}/console/")
    states = page.evaluate(FOLLOW, [EXPORT, True])
    half = len("".join(EXPORT.splitlines(keepends=True)[:4]))
    assert [f"Exporting: 50 %, 2 of 4 entries, {half} B", 0.5] in states
    assert states[-1][0] == f"Exported 4 entries, {len(EXPORT)} B."
    # Users who may not count get no total.
    texts = [text for text, _ in page.evaluate(FOLLOW, [EXPORT, False])]
    assert f"Exporting: 2 entries, {half} B" in texts
    assert not any("%" in text for text in texts)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_axe_finds_nothing(console: Console, npm: Path, scheme: Any, width: int) -> None:
    page = console.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    console.put("session:42", {"user": "ada"}, ttl=3600, metadata={"device": "phone"})
    console.put("folder/a", 41)

    def check() -> None:
        assert axe_findings(page, npm) == {}

    page.goto(f"{console.store.url}/console/")
    console.button("Log in").wait_for()
    check()
    console.open()
    expect(console.row("session:42")).to_contain_text("ada")
    check()
    console.link("session:42").click()
    console.button("Python").click()
    check()
    console.text.fill("{")
    console.put("session:42", "theirs")
    expect(page.locator("#theirs")).to_be_visible()
    check()
    console.button("Take theirs").click()
    console.button("Delete all these…").click()
    check()
    pages = ("#/overview", "#/namespaces", "#/api-keys", "#/feed/{ns}/", "#/transfer")
    for place in ("#/new/{ns}/", *pages):
        console.go(place)
        page.locator(".page, .edit").first.wait_for()
        check()
