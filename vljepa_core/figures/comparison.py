"""Bars that compare runs on one metric: published, recorded, this build."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from vljepa_core.figures.display import Display, show
from vljepa_core.figures.reading import TITLES, as_made, get, metric, setting, settings
from vljepa_core.figures.style import AMBER, GREEN, INK, ORIGIN, PURPLE, new_figure, styled
from vljepa_core.figures.units import is_share, number, unit_of
from vljepa_core.published import PUBLISHED

_LINES = ((PURPLE, (0, (1, 1.5))), (AMBER, (0, (6, 2, 1, 2))), (GREEN, (0, (3, 1))))


@dataclass(frozen=True)
class _Bar:
    """One bar in the metric's own unit; value None: there is no number."""

    origin: str
    value: float | None
    interval: tuple[float, float] | None = None
    seeds: tuple[float, ...] = ()
    missing: str = "not measured"  # why there is no number

    def words(self, name: str) -> str:
        if self.value is None:
            return f"{self.origin} {self.missing}"
        text = f"{self.origin} {number(name, self.value)}"
        if self.interval:
            text += f" (95% interval {number(name, self.interval[0])} to {number(name, self.interval[1])})"
        return text + (f" (mean of {len(self.seeds)} seeds)" if len(self.seeds) > 1 else "")

    @property
    def end(self) -> float:
        """The furthest that anything of it reaches."""
        return max((self.value or 0.0), *(self.interval or ()), *self.seeds, 0.0)


@styled
def metric_bars(
    name: str,
    records: Iterable[Any],
    recorded: Iterable[Any] = (),
    baselines: Mapping[str, float] | None = None,
) -> Display:
    """One group of bars per experiment, in the order of ``records``.

    Args:
        name: a metric of the records, such as "sampled_content_match".
        records: this build's runs, one per experiment.
        recorded: earlier runs of the same experiments; several of one experiment are its seeds: the bar is
            their mean, and each is a dot.
        baselines: vertical lines, label to value in the metric's own unit.

    Raises:
        ValueError: there are no records, or the recorded runs of one experiment differ in data, scale or recipe.
    """
    records, recorded, baselines = list(records), list(recorded), baselines or {}
    if not records:
        raise ValueError("metric_bars needs at least one record")
    fig = new_figure(0.9 + 0.95 * len(records) + 0.2 * len(baselines))
    ax = fig.add_subplot()
    scale = 100 if is_share(name) else 1
    said, bars = [], []
    for group, record in enumerate(records):
        experiment = get(record, "experiment")
        bars += (three := _bars(name, record, [r for r in recorded if get(r, "experiment") == experiment]))
        for place, bar in enumerate(three):
            _draw(ax, bar, group + (place - 1) * 0.27, name, scale)
        said.append(f"{TITLES.get(experiment, experiment)}: {', '.join(bar.words(name) for bar in three)}")
    for origin, colour in ORIGIN.items():
        if any(bar.origin == origin and bar.value is not None for bar in bars):
            ax.barh(0, 0, color=colour, label=origin)  # nothing but the legend's entry
    for (label, value), (colour, dashes) in zip(baselines.items(), cycle(_LINES)):
        text = f"{label}: {number(name, value)}"
        ax.axvline(scale * value, color=colour, linestyle=dashes, linewidth=1.6, label=text)
        said.append(text)
    top = scale * max([bar.end for bar in bars] + list(baselines.values()))
    titles = [TITLES.get(get(r, "experiment"), get(r, "experiment")) for r in records]
    ax.set_yticks(range(len(records)), titles)
    ax.set_ylim(len(records) - 0.5, -0.5)
    # A share keeps its whole range: 1 of 400 must not look like a lot beside 1 of 2,000.
    ax.set_xlim(0, 112 if is_share(name) else 1.14 * top or 1)
    ax.grid(False, axis="y")
    unit = unit_of(name)
    ax.set_xlabel(f"{unit.label} ({unit.unit})" if unit.unit else unit.label)
    fig.legend(loc="outside upper left", ncols=1 if baselines else 3)
    where = f"This build: {settings(records)}."
    if recorded:
        where += f" Recorded: {settings(recorded)}."
    alt = f"Bars of {unit.label}. {'. '.join(said)}. {where}"
    if any(bar.interval for bar in bars):
        where += " Whiskers: 95% interval over images."
    return show(fig, alt, where)


def _bars(name: str, record: Any, recorded: list[Any]) -> list[_Bar]:
    """Published, recorded and this build's bar of one experiment."""
    places = {setting(run).rsplit(", seed ", 1)[0] for run in recorded}
    if len(places) > 1:
        raise ValueError(
            f"recorded runs of {get(record, 'experiment')} on {' and on '.join(sorted(places))} can't share "
            "a bar: pass those of one"
        )
    if len({as_made(run) for run in recorded}) > 1:
        raise ValueError(f"recorded runs of {get(record, 'experiment')} of several recipes can't share a bar")
    run = PUBLISHED.get(get(record, "experiment"))
    reported = run.metrics.get(name) if run else None
    return [
        _Bar("published", reported.value if reported else None, missing="not reported" if run else "not in the study"),
        _measured("recorded", name, recorded),
        _measured("this build", name, [record]),
    ]


def _measured(origin: str, name: str, runs: list[Any]) -> _Bar:
    found = [m for m in (metric(run, name) for run in runs) if m]
    if not found:
        return _Bar(origin, None)
    if len(found) == 1:
        one = found[0]
        known = one.get("low") is not None and one.get("high") is not None
        return _Bar(origin, one["value"], (one["low"], one["high"]) if known else None)
    values = tuple(m["value"] for m in found)
    return _Bar(origin, float(np.mean(values)), None, values)


def _draw(ax: Axes, bar: _Bar, y: float, name: str, scale: float) -> None:
    beside = {"textcoords": "offset points", "va": "center", "fontsize": 8.5}
    if bar.value is None:
        ax.annotate(bar.missing, (0, y), (3, 0), style="italic", **beside)
        return
    ax.barh(y, scale * bar.value, height=0.24, color=ORIGIN[bar.origin])
    if bar.interval:
        low, high = bar.interval
        ends = [[scale * max(0.0, bar.value - low)], [scale * max(0.0, high - bar.value)]]
        ax.errorbar(scale * bar.value, y, xerr=ends, fmt="none", ecolor=INK, elinewidth=1.1, capsize=2)
    if len(bar.seeds) > 1:
        ax.plot([scale * seed for seed in bar.seeds], [y] * len(bar.seeds), "o", markersize=3, color=INK)
    ax.annotate(number(name, bar.value), (scale * bar.end, y), (4, 0), **beside)
