"""Measures against images, steps and width, with the lines that are drawn through them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from vljepa_core.extrapolation import ALONG, LAST, Curve
from vljepa_core.figures.display import Display, show
from vljepa_core.figures.style import AMBER, BLUE, GREY, INK, VERMILLION, new_figure, styled
from vljepa_core.goals import SHARES

_LABELS = {
    "infonce": "InfoNCE (bits)",
    "gain_over_blind": "gain over blind\n(bits per caption)",
    "retrieval": "R@1\n(times chance)",
    "greedy_unique": "distinct captions\n(% of images)",
    "greedy_cider": "CIDEr",
    "category": "category off the\nplan (points)",
    "delivered": "share delivered (%)",
}
_DASHES, _DOTS = (0, (5, 2)), (0, (1, 1.2))


@styled
def growth(curves: Sequence[Curve]) -> Display:
    """A row per measure, a column per thing that was turned up; floors and goals as lines.

    Raises:
        ValueError: no curves, or two of one measure along one thing, such as those of two experiments.
    """
    if not curves:
        raise ValueError("growth needs at least one curve")
    if len({(curve.along, curve.measure) for curve in curves}) < len(curves):
        raise ValueError("growth draws the curves of one experiment, got two of one measure along one thing")
    measures = list(dict.fromkeys(curve.measure for curve in curves))
    columns = [along for along in ALONG if any(curve.along == along for curve in curves)]
    fig = new_figure(1.2 + 1.25 * len(measures))
    axes = fig.subplots(len(measures), len(columns), sharex="col", sharey="row", squeeze=False)
    said = []
    for row, measure in enumerate(measures):
        for column, along in enumerate(columns):
            here = [curve for curve in curves if (curve.along, curve.measure) == (along, measure)]
            if here:
                said.append(_draw(axes[row, column], here[0]))
        axes[row, 0].set_ylabel(_LABELS[measure], fontsize=8.5)
    for column, along in enumerate(columns):
        axes[-1, column].set_xlabel(ALONG[along][0], fontsize=9)
        # For the whole column, which shares its axis: one measure may have points that another one lacks.
        at = sorted({point.at for curve in curves if curve.along == along for point in curve.points})
        axes[-1, column].xaxis.set_major_locator(FixedLocator(at))
        axes[-1, column].set_xlim(at[0] / math.sqrt(2), 2 * at[-1])
    first = axes[0, 0]
    for label, style in (
        ("floor", {"color": AMBER, "linestyle": _DOTS}), ("goal", {"color": INK, "linestyle": _DOTS}),
        ("line through all", {"color": GREY}), (f"through the last {LAST}", {"color": BLUE, "linestyle": _DASHES}),
    ):  # fmt: skip
        first.plot([], [], linewidth=1.3, label=label, **style)
    fig.legend(loc="outside upper left", ncols=2, alignment="left", fontsize=9)
    alt = f"Measures against what was turned up. {' '.join(said)}"
    return show(fig, alt, "Whiskers: 95% intervals over images. Lines are drawn against the logarithm.", min_width=480)


def _draw(ax: Axes, curve: Curve) -> str:
    """One panel; returns what it says, in words."""
    factor = 100 if curve.measure in SHARES else 1
    at = [point.at for point in curve.points]
    ends = np.array([at[0], 2 * at[-1]])
    for last, style in ((None, {"color": GREY}), (curve.last, {"color": BLUE, "linestyle": _DASHES})):
        start, slope = curve.line(last)
        left = curve.points[-last].at if last else ends[0]
        across = np.array([left, ends[1]])
        ax.plot(across, factor * (start + slope * np.log2(across)), linewidth=1.2, **style)
    for value, colour in ((curve.floor, AMBER), (curve.goal, INK)):
        if value is not None:
            ax.axhline(factor * value, color=colour, linestyle=_DOTS, linewidth=1.3)
    for point in curve.points:
        if point.low is not None:
            ax.plot([point.at, point.at], [factor * point.low, factor * point.high], color=VERMILLION, linewidth=1.3)
    ax.plot(at, [factor * point.value for point in curve.points], "o", color=VERMILLION, markersize=4.5)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 1000:g}k" if x >= 1000 else f"{x:g}"))
    ax.tick_params(labelsize=8)
    numbers = ", ".join(f"{factor * point.value:.3g} at {point.at:,}" for point in curve.points)
    return f"{_LABELS[curve.measure].replace(chr(10), ' ')} by {ALONG[curve.along][0]}: {numbers}."
