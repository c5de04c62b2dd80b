"""Draws a run as SVG."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .measure import CPU, RATE
from .ours import NAME
from .results import Run
from .scenarios import GROWTH, is_over_engine

mpl.use("svg")
# Text stays text, and the same run always gives the same files.
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bench", "font.size": 9})

_OURS: Final = "#d9480f"
_OTHERS: Final = "#868e96"


def draw(run: Run, folder: Path) -> Mapping[str, str]:
    """Write the plots that the run has figures for; return what each file shows."""
    plots: Mapping[str, tuple[str, Callable[[Run], Figure | None]]] = {
        "get.svg": ("GET of 100 bytes: requests a second, and CPU time of a request", _get),
        "put.svg": ("PUT of 100 bytes: requests a second, and CPU time of a request", _put),
        "growth.svg": ("The CPU time of a request by size, keys, connections, workers", _growth),
        "engines.svg": ("Requests a second over each engine, and by its own client", _engines),
    }
    shown = {}
    for name, (title, plot) in plots.items():
        figure = plot(run)
        if figure:
            figure.savefig(folder / name, metadata={"Date": None}, bbox_inches="tight")
            shown[name] = title
    return shown


def _get(run: Run) -> Figure | None:
    return _bars(run, "get")


def _put(run: Run) -> Figure | None:
    return _bars(run, "put")


def _bars(run: Run, scenario: str) -> Figure | None:
    results = [one for one in run.results if one.scenario == scenario][::-1]
    if not results:
        return None
    figure = Figure(figsize=(8, 0.6 + 0.35 * len(results)))
    names = [one.subject for one in results]
    colours = [_OURS if name == NAME else _OTHERS for name in names]
    panels: Sequence[Axes] = figure.subplots(1, 2, sharey=True)
    for axes, measure in zip(panels, (RATE, CPU), strict=True):
        bars = axes.barh(names, [one.values[measure] for one in results], color=colours)
        axes.bar_label(bars, fmt="{:,.0f}", padding=3)
        axes.margins(x=0.2)
        axes.set_xlabel(measure)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _growth(run: Run) -> Figure | None:
    figure = Figure(figsize=(8, 5), layout="tight")
    panels: Sequence[Axes] = figure.subplots(2, 2).flat
    drawn = 0
    for axes, (factor, loads) in zip(panels, GROWTH.items(), strict=True):
        for load, scenarios in loads.items():
            found = {x: run.find(name, NAME, load) for x, name in scenarios.items()}
            points = [(x, values[CPU]) for x, values in found.items() if values]
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", label=load)
                drawn += 1
        if factor == "workers":
            axes.set_xticks([1, 2])
        else:
            axes.set_xscale("log")
        axes.set_xlabel(factor)
        axes.set_ylabel(CPU)
        axes.set_ylim(0, 1.15 * axes.get_ylim()[1])
        if len(loads) > 1:
            axes.legend()
    return figure if drawn else None


def _engines(run: Run) -> Figure | None:
    results = [one for one in run.results if is_over_engine(one.scenario)][::-1]
    if not results:
        return None
    figure = Figure(figsize=(8, 0.6 + 0.3 * len(results)))
    axes = figure.subplots()
    names = [f"{one.about}: {one.subject}" for one in results]
    colours = [_OURS if one.subject == NAME else _OTHERS for one in results]
    bars = axes.barh(names, [one.values[RATE] for one in results], color=colours)
    axes.bar_label(bars, fmt="{:,.0f}", padding=3)
    axes.margins(x=0.15)
    axes.set_xlabel(RATE)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
