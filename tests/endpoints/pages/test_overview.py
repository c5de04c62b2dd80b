"""Test the overview of the console in Chromium: what it reads from the metrics, and draws."""

import json
import re
from typing import Final

import pytest
from playwright.sync_api import Route, expect

from endpoints.pages.console import Console

pytestmark = pytest.mark.deep

BEFORE: Final = """\
hits_total{kind="a \\"b\\" {c}"} 5
seconds_bucket{le="0.1"} 0
seconds_bucket{le="0.2"} 0
seconds_bucket{le="+Inf"} 0
"""
AFTER: Final = """\
# TYPE hits_total counter
hits_total{kind="a \\"b\\" {c}"} 8
hits_total{kind="new"} 1
seconds_bucket{le="0.1"} 4
seconds_bucket{le="0.2"} 8
seconds_bucket{le="+Inf"} 10
"""
READ: Final = """async ([first, second]) => {
    const { Reading, growth, quantile, rate } = await import("./metrics.js");
    const [was, is] = [new Reading(first, 10), new Reading(second, 12)];
    const all = () => true;
    return {
        growth: growth(was, is, "hits_total"),
        labelled: growth(was, is, "hits_total", ({ kind }) => kind.endsWith("{c}")),
        rate: rate(was, is, "hits_total"),
        restarted: growth(is, was, "hits_total"),
        missing: growth(was, is, "misses_total"),
        median: quantile(was, is, "seconds", 0.5, all),
        low: quantile(was, is, "seconds", 0.2, all),
        high: quantile(was, is, "seconds", 0.99, all),
        none: quantile(is, is, "seconds", 0.5, all),
    };
}"""


def test_two_readings_of_the_metrics_become_figures(console: Console) -> None:
    console.page.goto(f"{console.store.url}/console/")
    figures = console.page.evaluate(READ, [BEFORE, AFTER])
    assert figures == {
        "growth": 4,
        "labelled": 3,
        "rate": 2,
        "restarted": None,
        "missing": None,
        "median": pytest.approx(0.125),
        "low": pytest.approx(0.05),
        "high": 0.2,
        "none": None,
    }


def test_the_overview_draws_what_the_server_does(console: Console) -> None:
    page = console.page
    console.open()
    console.link("Overview").click()
    expect(page.get_by_text("Live: every 2 seconds")).to_be_visible()
    for number in range(20):
        console.put(f"k{number}", number)
    for title in ("Requests a second", "Latency", "Entries"):
        plot = page.get_by_role("img", name=title)
        expect(plot).to_have_attribute("aria-label", re.compile(r"now .*; at most .*[1-9]"))
        expect(plot.locator("path").first).to_have_attribute("d", re.compile(r"^M[\d. L]+"))
    expect(page.get_by_text("memory, 1 worker, since")).to_be_visible()
    expect(page.get_by_role("img", name="Size on disk")).to_have_count(0)


def test_only_administrators_are_offered_the_overview(console: Console) -> None:
    console.open("#/overview", "reader-key")
    expect(console.page.get_by_text("needs credentials with the verb admin")).to_be_visible()
    expect(console.link("Overview")).to_have_count(0)


def test_the_overview_says_how_to_turn_metrics_on(console: Console) -> None:
    def without_metrics(route: Route) -> None:
        paths = json.loads(route.fetch().body())
        route.fulfill(json={**paths, "metrics": None})

    console.page.route("**/paths.json", without_metrics)
    console.open("#/overview")
    expect(console.page.get_by_text("Set the option endpoints.metrics to a path")).to_be_visible()
