"""Writes a run down in Markdown: the ratios with their targets, and the figures behind them."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from .measure import BYTES, CPU, RATE
from .ours import NAME
from .peers import bare, etcd, kinto, nginx, webdis
from .results import Result, Run
from .scenarios import GROWTH
from .targets import Target, comparisons

_ABOUT: Final = {
    webdis.NAME: webdis.ABOUT,
    nginx.NAME: nginx.ABOUT,
    etcd.NAME: etcd.ABOUT,
    kinto.NAME: kinto.ABOUT,
    **bare.ABOUT,
}
_MEASURES: Final = (RATE, BYTES, "p50 ms", "p99 ms", "p99.9 ms", CPU, "engine CPU µs")


def report(run: Run) -> str:
    """Return the whole report."""
    parts = (heading(run), peers(run), ratios(run), figures(run.results))
    return "\n\n".join("\n".join(part) for part in parts)


def heading(run: Run) -> Iterator[str]:
    """Return the machine, the versions, the time and the command."""
    yield f"- Machine: {run.machine}"
    yield "- Versions: " + ", ".join(f"{name} {text}" for name, text in run.versions.items())
    yield (
        f"- Run: {run.started}, `{run.command}`, {run.took_seconds / 60:.0f} minutes; medians of "
        f"{run.rounds} rounds of {run.seconds:g} s"
    )
    others = max((one.values.get("others", 0) for one in run.results), default=0)
    yield f"- Others used at most {others:.0%} of the machine's CPU during a round"
    yield f"- {run.failed:,} requests failed"
    for line in run.left_out:
        yield f"- Left out: {line}"
    for line in run.errors:
        yield f"- **Failed**: {line}"


def peers(run: Run) -> Iterator[str]:
    """Return how each server beside ours was configured."""
    measured = dict.fromkeys(one.subject for one in run.results)
    for name in measured:
        if name in _ABOUT:
            yield f"- {name}: {_ABOUT[name]}"


def ratios(run: Run) -> Iterator[str]:
    """Return the table of ratios: each is ours divided by what it is compared with."""
    yield from _head(("what", "load", "compared with", "speed", "CPU", "targets"), right=(3, 4))
    for one in comparisons(run):
        ratio = [f"{one.ratio(measure):.2f}" for measure in (one.rate, CPU) if one.theirs]
        targets = [_target(*each) for each in one.targets()]
        cells = (one.ours.about, one.ours.load, one.other or "-", *(ratio or ("-", "-")))
        yield _row((*cells, "; ".join(targets) or "-"))


def figures(results: Sequence[Result]) -> Iterator[str]:
    """Return the table of all figures."""
    names = [name for name in _MEASURES if any(name in one.values for one in results)]
    yield from _head(
        ("what", "load, connections", "server", *names), right=range(3, 3 + len(names))
    )
    for one in results:
        values = one.values
        if RATE in values:
            cells = (_number(values[name]) if name in values else "-" for name in names)
            what = f"{one.about} (`{one.scenario}`)"
            yield _row(chain((what, f"{one.load}, {one.connections}", one.subject), cells))


def growth(run: Run) -> Iterator[str]:
    """Return the table of what changes as one factor grows."""
    yield from _head(("factor", "load", "at", RATE, "p99 ms", CPU), right=(2, 3, 4, 5))
    for factor, loads in GROWTH.items():
        for load, scenarios in loads.items():
            for at, name in scenarios.items():
                values = run.find(name, NAME, load)
                if values:
                    cells = (_number(values[one]) for one in (RATE, "p99 ms", CPU))
                    yield _row((factor, load, f"{at:,.0f}", *cells))


def _target(measure: str, target: Target, reached: float) -> str:
    verdict = "met" if target.is_met(reached) else "**missed**"
    return f"{measure} {target}, reached {_number(reached)}: {verdict}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _head(columns: Sequence[str], right: Sequence[int]) -> Iterator[str]:
    yield _row(columns)
    yield f"|{'|'.join('--:' if at in right else '---' for at in range(len(columns)))}|"


def _row(cells: Iterator[str] | Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
