"""Test each act of the console with an all-powerful, a read-only and a prefix-scoped key."""

import pytest
from playwright.sync_api import expect

from endpoints.pages.console import API_KEY, Console

pytestmark = pytest.mark.deep

ADMIN_PAGES = ("Overview", "Namespaces", "API keys", "Export and import")
WRITES = ("Save", "Delete", "Increment by", "Set lifetime")


@pytest.mark.parametrize(
    ("token", "may_write", "is_admin"),
    [(API_KEY, True, True), ("reader-key", False, False), ("shop-key", True, False)],
    ids=["all-powerful", "read-only", "prefix-scoped"],
)
def test_a_key_is_offered_the_acts_that_it_permits(
    console: Console, token: str, may_write: bool, is_admin: bool
) -> None:
    page = console.page
    for key in ("shop/a", "shop/b", "shop/c"):
        console.put(key, 41)
    console.put("theme", "dark")
    console.open("#/list/{ns}/shop%2F", token)
    expect(console.row("c")).to_contain_text("41")
    for name in ADMIN_PAGES:
        expect(console.link(name)).to_have_count(int(is_admin))
    expect(console.link("New key")).to_have_count(int(may_write))
    expect(console.button("Delete all these…")).to_have_count(int(may_write))
    expect(page.get_by_label("Select shop/b")).to_have_count(int(may_write))
    console.link("a").click()
    expect(console.text).to_have_value("41")
    expect(console.button("Download")).to_have_count(1)
    expect(console.button("curl")).to_have_count(1)
    for name in WRITES:
        expect(console.button(name)).to_have_count(int(may_write))
    expect(console.text).to_have_js_property("readOnly", not may_write)
    if may_write:
        write(console)
    look_outside(console, token)


def write(console: Console) -> None:
    """Do each act that changes a key, below `shop/`."""
    page = console.page
    console.text.fill("42")
    console.button("Save").click()
    expect(console.notices).to_contain_text("Saved.")
    console.button("Increment by").click()
    expect(console.text).to_have_value("43")
    page.get_by_label("Lifetime in seconds").fill("3600")
    console.button("Set lifetime").click()
    expect(page.locator(".edit .expires")).to_contain_text("expires in ")
    assert console.value("shop/a") == 43
    console.button("Delete").click()
    console.button("Undo").click()
    expect(console.text).to_have_value("43")
    console.go("#/new/{ns}/shop%2F")
    page.get_by_label("Key", exact=True).fill("shop/d")
    console.text.fill("1")
    console.button("Save").click()
    expect(console.row("d")).to_contain_text("1 B")
    console.go("#/list/{ns}/shop%2F")
    page.get_by_label("Select shop/b").check()
    console.button("Delete 1 selected").click()
    expect(console.link("b")).to_have_count(0)
    console.button("Delete all these…").click()
    console.button("Delete 3 keys").click()
    expect(console.notices).to_contain_text("Deleted 3 keys.")
    assert console.value("shop/a") is None


def look_outside(console: Console, token: str) -> None:
    """See that a key outside `shop/` is as closed as the credentials say."""
    is_scoped = token == "shop-key"
    console.go("#/list/{ns}/")
    expect(console.link("theme")).to_have_count(0 if is_scoped else 1)
    expect(console.button("Delete all these…")).to_have_count(1 if token == API_KEY else 0)
    console.go("#/key/{ns}/theme")
    if is_scoped:
        expect(console.notices).to_contain_text("needs the verb read")
    else:
        expect(console.text).to_have_value('"dark"')
    assert console.value("theme") == "dark"
