"""Bars that compare runs on one metric: published, recorded, this build."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from vljepa_core.figures.display import Display, show
from vljepa_core.figures.reading import TITLES, get, metric, settings
from vljepa_core.figures.style import AMBER, GREEN, INK, ORIGIN, PURPLE, new_figure, styled
from vljepa_core.figures.units import is_share, number, unit_of
from vljepa_core.published import PUBLISHED

_LINES = ((PURPLE, (0, (1, 1.5))), (AMBER, (0, (6, 2, 1, 2))), (GREEN, (0, (3, 1))))


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
        ValueError: there are no records.
    """
    records, recorded = list(records), list(recorded)
    if not records:
        raise ValueError("metric_bars needs at least one record")
    scale = 100 if is_share(name) else 1
    fig = new_figure(0.9 + 0.95 * len(records) + 0.2 * len(baselines or {}))
    ax = fig.add_subplot()
    said, top = [], 0.0
    for group, record in enumerate(records):
        experiment = get(record, "experiment")
        bars = (
            ("published", *_published(experiment, name)),
            ("recorded", *_measured(name, [r for r in recorded if get(r, "experiment") == experiment])),
            ("this build", *_measured(name, [record])),
        )
        words = []
        for place, (origin, value, low, high, dots) in enumerate(bars):
            y = group + (place - 1) * 0.27
            if value is None:
                text = "not reported" if origin == "published" else "not measured"
                ax.annotate(text, (0, y), (3, 0), textcoords="offset points", va="center", fontsize=8.5, style="italic")
                words.append(f"{origin} {text}")
                continue
            ax.barh(y, scale * value, height=0.24, color=ORIGIN[origin], label=origin if origin not in _labels(ax) else None)
            end = value
            if low is not None:
                ends = [[scale * max(0.0, value - low)], [scale * max(0.0, high - value)]]
                ax.errorbar(scale * value, y, xerr=ends, fmt="none", ecolor=INK, elinewidth=1.1, capsize=2)
                end = max(end, high)
            if len(dots) > 1:
                ax.plot([scale * d for d in dots], [y] * len(dots), "o", markersize=3, color=INK)
                end = max(end, *dots)
            top = max(top, scale * end)
            ax.annotate(number(name, value), (scale * end, y), (4, 0), textcoords="offset points", va="center", fontsize=8.5)
            interval = f" (95% interval {number(name, low)} to {number(name, high)})" if low is not None else ""
            seeds = f" (mean of {len(dots)} seeds)" if len(dots) > 1 else ""
            words.append(f"{origin} {number(name, value)}{interval}{seeds}")
        said.append(f"{TITLES.get(experiment, experiment)}: {', '.join(words)}")
    for (label, value), (colour, dashes) in zip((baselines or {}).items(), _LINES, strict=False):
        ax.axvline(scale * value, color=colour, linestyle=dashes, linewidth=1.6, label=f"{label}: {number(name, value)}")
        said.append(f"{label}: {number(name, value)}")
        top = max(top, scale * value)
    ax.set_yticks(range(len(records)), [TITLES.get(get(r, "experiment"), get(r, "experiment")) for r in records])
    ax.set_ylim(len(records) - 0.5, -0.5)
    ax.set_xlim(0, (top or 1) * 1.14)
    ax.grid(False, axis="y")
    unit = unit_of(name)
    ax.set_xlabel(f"{unit.label} ({unit.unit})" if unit.unit else unit.label)
    handles, labels = ax.get_legend_handles_labels()
    first = list(ORIGIN)
    order = sorted(range(len(labels)), key=lambda i: first.index(labels[i]) if labels[i] in first else len(first))
    fig.legend([handles[i] for i in order], [labels[i] for i in order], loc="outside upper left",
               ncols=1 if baselines else 3)
    where = f"This build: {settings(records)}."
    if recorded:
        where += f" Recorded: {settings(recorded)}."
    return show(fig, f"Bars of {unit.label}. {'. '.join(said)}. {where}", where + " Whiskers: 95% interval over images.")


def _published(experiment: str, name: str) -> tuple[float | None, None, None, list[float]]:
    run = PUBLISHED.get(experiment)
    reported = run.metrics.get(name) if run else None
    return (reported.value if reported else None), None, None, []


def _measured(name: str, runs: list[Any]) -> tuple[float | None, float | None, float | None, list[float]]:
    found = [m for m in (metric(run, name) for run in runs) if m]
    if not found:
        return None, None, None, []
    values = [m["value"] for m in found]
    low, high = (found[0].get("low"), found[0].get("high")) if len(found) == 1 else (None, None)
    return float(np.mean(values)), low, high if low is not None else None, values


def _labels(ax: Any) -> list[str]:
    return ax.get_legend_handles_labels()[1]
