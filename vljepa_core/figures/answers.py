"""A captioner beside trivial answers: their scores, how often captions repeat, retrieval by likelihood."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import PercentFormatter

from vljepa_core.figures.display import Display, show
from vljepa_core.figures.style import BLUE, GREY, INK, VERMILLION, new_figure, styled
from vljepa_core.figures.units import is_share, number, unit_of
from vljepa_core.metrics import Metric

_DASHES = ("-", (0, (6, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))  # lines that coincide are told apart by more than colour


@styled
def answer_bars(answers: Mapping[str, Mapping[str, Metric]], metrics: Sequence[str], own: str) -> Display:
    """One panel per metric, one bar per answer.

    Args:
        answers: name of the answer -> metric -> value with its interval; drawn from top to bottom.
        metrics: names of the metrics to draw.
        own: the answer to stand out; the others are its yardsticks.
    """
    return bars(answers, metrics, own, "Scores of the captions beside trivial answers")


def bars(answers: Mapping[str, Mapping[str, Metric]], metrics: Sequence[str], own: str, what: str) -> Display:
    """The same of any answers; ``what`` begins the alt text."""
    columns = 2 if len(metrics) > 1 else 1
    rows = -(-len(metrics) // columns)
    fig = new_figure((0.75 + 0.27 * len(answers)) * rows)
    axes = fig.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    said = []
    for ax, name in zip(axes, metrics, strict=False):
        scale = 100 if is_share(name) else 1
        top = scale * max(m.high if m.high is not None else m.value for m in (a[name] for a in answers.values()))
        for y, (answer, measured) in enumerate(answers.items()):
            m = measured[name]
            ax.barh(y, scale * m.value, height=0.7, color=VERMILLION if answer == own else GREY)
            end = m.value
            if m.low is not None:
                ends = [[scale * max(0.0, m.value - m.low)], [scale * max(0.0, m.high - m.value)]]
                ax.errorbar(scale * m.value, y, xerr=ends, fmt="none", ecolor=INK, elinewidth=1.1, capsize=2)
                end = m.high
            beside = {"textcoords": "offset points", "va": "center", "fontsize": 8.5}
            ax.annotate(number(name, m.value), (scale * end, y), (4, 0), **beside)
        ax.set_yticks(range(len(answers)), list(answers))
        ax.set_ylim(len(answers) - 0.5, -0.5)
        ax.set_xlim(0, 1.3 * top or 1)
        ax.grid(False, axis="y")
        label = unit_of(name).label
        title = f"{label} (%)" if is_share(name) else label
        ax.set_title(textwrap.fill(title, 18), loc="left", fontsize=9.5)  # beside long names the axes are narrow
        said.append(f"{label}: " + ", ".join(f"{a} {number(name, m[name].value)}" for a, m in answers.items()))
    for ax in axes[len(metrics) :]:
        ax.remove()
    return show(fig, f"{what}. {'. '.join(said)}.", "Whiskers: 95% interval over images.", min_width=480)


@styled
def caption_coverage(repeats: Mapping[str, Sequence[int]]) -> Display:
    """Share of the images that the most frequent captions cover: a collapse is high on the left.

    Args:
        repeats: whose captions -> how many images share each of them, largest first.
    """
    fig = new_figure(3.0)
    ax = fig.add_subplot()
    said = []
    for (name, counts), colour, dashes in zip(repeats.items(), (VERMILLION, GREY, BLUE), _DASHES, strict=False):
        covered = np.cumsum(counts) / np.sum(counts)
        ax.plot(np.arange(1, len(counts) + 1), covered, color=colour, linestyle=dashes, label=name)
        if len(counts) == 1:
            ax.plot(1, 1, "o", color=colour)
        said.append(
            f"{name}: {len(counts)} different captions for {sum(counts)} images, the most frequent for "
            f"{covered[0]:.1%}, the ten most frequent for {covered[min(9, len(counts) - 1)]:.1%}"
        )
    ax.set_xscale("log")
    ax.set_ylim(-0.03, 1.03)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel("number of captions, most frequent first")
    ax.set_ylabel("share of images")
    fig.legend(loc="outside upper left", ncols=2)
    return show(fig, f"Share of images covered by the most frequent captions. {'; '.join(said)}.")


@styled
def recall_curves(recall: Mapping[str, np.ndarray]) -> Display:
    """Retrieval by likelihood: share found among the first k, against chance (k of N).

    Args:
        recall: direction -> recall at 1, 2, ... N.
    """
    fig = new_figure(3.2)
    ax = fig.add_subplot()
    said = []
    for (name, values), colour, dashes in zip(recall.items(), (VERMILLION, BLUE), _DASHES, strict=False):
        k = np.arange(1, len(values) + 1)
        ax.plot(k, values, color=colour, linestyle=dashes, label=name)
        tenth = max(1, len(values) // 10)
        said.append(f"{name}: first in {values[0]:.2%}, among the first {tenth} in {values[tenth - 1]:.1%}")
    n = len(next(iter(recall.values())))
    k = np.arange(1, n + 1)
    ax.plot(k, k / n, color=INK, alpha=0.6, linewidth=1.2, linestyle=(0, (1, 1.5)), label="chance")
    ax.set_xscale("log")
    ax.set_ylim(-0.03, 1.03)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel(f"k, of {n:,} images")
    ax.set_ylabel("found among the first k")
    fig.legend(loc="outside upper left", ncols=3)
    alt = f"Retrieval by likelihood among {n} images, chance 1 in {n}. {'; '.join(said)}."
    return show(fig, alt)
