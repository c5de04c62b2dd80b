"""Test the API pages in Chromium: fill an operation in, send it, and run it as code."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page, expect

from endpoints.pages.console import API_KEY, ODD_KEY, Console, axe_findings
from servers.installed import Find, npm_packages


@pytest.fixture(scope="module")
def npm(require_program: Find) -> Path:
    return npm_packages(Path(__file__).parent / "npm", require_program)


def open_pages(console: Console, place: str = "#/", *, logs_in: bool = True) -> Page:
    page = console.page
    page.goto(f"{console.store.url}/docs/{place}")
    if logs_in:
        console.button("Log in").click()
        page.get_by_label("API key or token").fill(API_KEY)
        page.locator("#login").get_by_role("button", name="Log in", exact=True).click()
        expect(page.get_by_text("api_key: everything")).to_be_visible()
    return page


def document_of(console: Console) -> dict[str, Any]:
    document: dict[str, Any] = httpx2.get(f"{console.store.url}/open-api.json").json()
    return document


@pytest.mark.deep
def test_the_pages_and_the_console_lead_to_each_other(console: Console) -> None:
    console.open()
    console.link("API").click()
    expect(console.page.get_by_role("heading", name="The API of")).to_be_visible()
    console.link("Console").click()
    expect(console.button("Log in")).to_be_visible()


@pytest.mark.deep
def test_every_operation_of_the_server_has_a_page(console: Console) -> None:
    page = open_pages(console, logs_in=False)
    paths = document_of(console)["paths"]
    operations = [one for methods in paths.values() for one in methods.values()]
    expect(page.locator("#operations li")).to_have_count(len(operations))
    for operation in operations:
        console.go(f"#/{operation['operationId']}")
        expect(page.get_by_role("article", name=operation["summary"], exact=True)).to_be_visible()
        expect(page.locator("#snippet")).to_contain_text("curl")
        for summary in page.locator("article section > .members > li > details > summary").all():
            summary.click()
        expect(page.locator("section > .answer")).to_have_count(len(operation["responses"]))


@pytest.mark.deep
def test_a_stream_is_shown_as_it_arrives(console: Console) -> None:
    page = open_pages(console, "#/get_changes")
    page.get_by_label("namespace", exact=True).fill(console.namespace)
    page.get_by_label("Accept").select_option("text/event-stream")
    console.button("Send").click()
    body = page.get_by_label("Body of the response")
    expect(body).to_contain_text("event: ready")
    console.put("a", 1)
    expect(body).to_contain_text("event: set")
    console.button("Stop").click()
    expect(page.locator(".status")).to_contain_text("stopped")
    expect(console.button("Stop")).to_be_hidden()


@pytest.mark.deep
def test_a_form_with_a_file_or_with_fields_is_sent(console: Console, tmp_path: Path) -> None:
    page = open_pages(console, "#/set_value")
    page.get_by_label("key", exact=True).fill("file")
    page.get_by_label("namespace", exact=True).fill(console.namespace)
    page.get_by_label("Content type").select_option("application/octet-stream")
    file = tmp_path / "value.bin"
    file.write_bytes(b'"\xc3\xa9"')
    page.get_by_label("or a file").set_input_files(file)
    expect(page.locator("#snippet")).to_contain_text("--data-binary '@value.bin'")
    console.button("Send").click()
    expect(page.locator(".status")).to_contain_text("200 OK")
    assert console.value("file") == "é"
    console.go("#/cloudflare_put_value")
    page.get_by_label("namespace_id").fill(console.namespace)
    page.get_by_label("key_name").fill("form")
    page.get_by_label("Content type").select_option("multipart/form-data")
    page.get_by_label("metadata", exact=True).fill('{"by": "ada"}')
    console.button("Send").click()
    expect(page.locator(".status")).to_contain_text("200 OK")
    answer = console.request("GET", "form", headers={"Accept": "application/octet-stream"})
    assert (answer.text, answer.headers["X-KV-Metadata"]) == ("dark", '{"by":"ada"}')


@pytest.mark.deep
@pytest.mark.parametrize("language", ["curl", "Python", "JavaScript"])
def test_the_code_of_an_operation_does_what_it_does(
    console: Console, require_program: Find, tmp_path: Path, language: str
) -> None:
    page = open_pages(console, "#/set_value", logs_in=False)
    command = {
        "curl": [require_program("bash", "bash"), "snippet"],
        "Python": [sys.executable, "snippet"],
        "JavaScript": [require_program("node", "nodejs"), "snippet.mjs"],
    }[language]

    def run() -> str:
        text = page.locator("#snippet").text_content() or ""
        (tmp_path / command[1]).write_text(text)
        ran = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "KV_TOKEN": API_KEY},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, (text, ran.stderr)
        return ran.stdout

    def choose(place: str) -> None:
        console.go(place)
        if language != "curl":
            console.button(language).click()

    choose("#/set_value")
    page.get_by_label("key", exact=True).fill(ODD_KEY)
    page.get_by_label("namespace", exact=True).fill(console.namespace)
    page.get_by_label("ttl", exact=True).fill("3600")
    body = page.get_by_role("textbox", name="Request body")
    page.get_by_label("Content type").select_option("application/octet-stream")
    for value in ('"\'`${x}`\\\\ \\"é"', '{\n "a": 1}'):
        body.fill(value)
        run()
        answer = console.request("GET", ODD_KEY, headers={"Accept": "application/octet-stream"})
        assert answer.text == value
        assert "Expires" in answer.headers
    choose("#/get_value")
    page.get_by_label("key", exact=True).fill(ODD_KEY)
    page.get_by_label("namespace", exact=True).fill(console.namespace)
    page.get_by_label("Accept").select_option("application/octet-stream")
    assert '{\n "a": 1}' in run()
    choose("#/cloudflare_put_value")
    page.get_by_label("namespace_id").fill(console.namespace)
    page.get_by_label("key_name").fill("form")
    page.get_by_label("Content type").select_option("multipart/form-data")
    page.get_by_label("value", exact=True).fill("it's @value")
    run()
    answer = console.request("GET", "form", headers={"Accept": "application/octet-stream"})
    assert answer.text == "it's @value"
    assert not (tmp_path / "broken").exists()


@pytest.mark.deep
@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 390)])
def test_axe_finds_nothing(console: Console, npm: Path, scheme: Any, width: int) -> None:
    page = console.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    open_pages(console, logs_in=False)
    page.get_by_role("heading", name="The API of").wait_for()
    assert axe_findings(page, npm) == {}
    console.button("Log in").click()
    assert axe_findings(page, npm) == {}
    console.go("#/batch")
    page.get_by_role("heading", name="Do several operations").wait_for()
    page.get_by_text("operations array of").click()
    console.button("Send").click()
    page.locator(".status").wait_for()
    assert axe_findings(page, npm) == {}
    assert page.evaluate("document.documentElement.scrollWidth") <= width
