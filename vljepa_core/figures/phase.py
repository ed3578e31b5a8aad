"""Known bits as a phase diagram: where plans carry their picture, and where they collapse."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes

from vljepa_core.figures.confusion import RAMP
from vljepa_core.figures.display import Display, show
from vljepa_core.figures.style import INK, WIDTH, new_figure, styled
from vljepa_core.known_bits import KnownBits

# What goes across: its axis label, its unit, which attribute all columns then share, and how that is written.
_ACROSS = {
    "n_train": ("training images", "images", "image_size", "{:,} px"),
    "image_size": ("pixels a side", "px", "n_train", "{:,} training images"),
}


@styled
def phase_diagram(runs: Sequence[KnownBits], across: str = "n_train") -> Display:
    """Difficulty down, one dial across, a panel per loss; colour: share of the bits that arrive, by InfoNCE.

    Several runs of one place (seeds) are averaged. An empty cell was not run.

    Args:
        runs: of one image size, or, across image sizes, of one number of training images.
        across: "n_train" or "image_size".

    Raises:
        ValueError: no runs, or runs that differ in more than what goes down and across.
    """
    label, _, held, words = _ACROSS[across]
    fixed = {getattr(run, held) for run in runs}
    if len(fixed) != 1:
        raise ValueError(f"phase_diagram across {across} draws runs of one {held}, got {sorted(fixed) or 'no runs'}")
    held_at = words.format(fixed.pop())
    losses = list(dict.fromkeys(run.loss for run in runs))
    levels = sorted({run.level for run in runs})
    columns = sorted({getattr(run, across) for run in runs})
    cells = len(losses) * len(columns)
    fig = new_figure(1.3 + 0.75 * len(levels), max(WIDTH, 0.9 + 0.8 * cells))  # a cell holds the word "collapsed"
    axes = fig.subplots(1, len(losses), sharey=True, squeeze=False)[0]
    said = []
    for ax, loss in zip(axes, losses, strict=True):
        said += _panel(ax, [run for run in runs if run.loss == loss], levels, columns, across)
        ax.set_xlabel(label)
        ax.set_title(textwrap.fill(loss, 60 // len(losses)), loc="left", fontsize=9.5)
    needed = {run.level: run.needed.value for run in runs}
    axes[0].set_yticks(np.arange(len(levels)) + 0.5, [f"level {n}\n{needed[n]:.1f} bits" for n in levels], rotation=0)
    axes[0].set_ylabel("difficulty")
    steps = sorted({f"{run.steps:,}" for run in runs})
    alt = f"Phase diagram, {held_at}. Bits that InfoNCE shows of those that it could show: {'; '.join(said)}."
    caption = (
        "Number and colour: InfoNCE as a share of what it could show, which is the bits needed, or log2 of the images "
        f"measured where that is less; 0 where its 95% interval holds 0. {held_at}, {' or '.join(steps)} steps. "
        "An empty cell was not run."
    )
    return show(fig, alt, caption, min_width=70 * cells)


def _panel(ax: Axes, runs: Sequence[KnownBits], levels: list[int], columns: list[int], across: str) -> list[str]:
    """Draw the runs of one loss; returns what they say, in words."""
    shares = np.full((len(levels), len(columns)), np.nan)
    text = np.full(shares.shape, "", dtype=object)
    said = []
    for row, level in enumerate(levels):
        for column, n in enumerate(columns):
            here = [run for run in runs if (run.level, getattr(run, across)) == (level, n)]
            if not here:
                continue
            share = float(np.mean([run.delivered for run in here]))
            bits = round(float(np.mean([run.infonce.value for run in here])), 1) + 0.0  # no -0.0
            fallen = sum(run.collapsed for run in here)
            shares[row, column] = share
            text[row, column] = f"{share:.0%}\n{bits:.1f} bits" + ("\ncollapsed" if fallen == len(here) else "")
            said.append(
                f"{here[0].loss}, level {level}, {n:,} {_ACROSS[across][1]}: "
                f"{bits:.1f} of {here[0].ceiling:.1f} bits ({share:.0%})"
                + (f", {fallen} of {len(here)} collapsed" if fallen else "")
            )
    labels = [f"{n:,}" for n in columns]
    sns.heatmap(
        shares, ax=ax, vmin=0, vmax=1, cmap=RAMP, cbar=False, annot=text, fmt="", mask=np.isnan(shares),
        annot_kws={"color": INK, "fontsize": 8.5}, xticklabels=labels,
    )  # fmt: skip
    ax.hlines(np.arange(len(levels) + 1), 0, len(columns), color=INK, alpha=0.18, linewidth=0.5)
    ax.vlines(np.arange(len(columns) + 1), 0, len(levels), color=INK, alpha=0.18, linewidth=0.5)
    ax.grid(False)
    ax.tick_params(length=0)
    return said
