"""The ladder as a phase diagram: where plans carry their picture, and where they collapse."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes

from vljepa_core.figures.confusion import RAMP
from vljepa_core.figures.display import Display, show
from vljepa_core.figures.style import INK, new_figure, styled
from vljepa_core.ladder import Rung


@styled
def phase_diagram(rungs: Sequence[Rung]) -> Display:
    """Difficulty down, training images across, a panel per loss; colour: share of the bits that arrive, by InfoNCE.

    Rungs of one image size; several of one place (seeds) are averaged. An empty cell was not run.

    Raises:
        ValueError: no rungs, or rungs of several image sizes.
    """
    sizes = {rung.image_size for rung in rungs}
    if len(sizes) != 1:
        raise ValueError(f"phase_diagram draws rungs of one image size, got {sorted(sizes) or 'none'}")
    losses = list(dict.fromkeys(rung.loss for rung in rungs))
    levels = sorted({rung.level for rung in rungs})
    counts = sorted({rung.n_train for rung in rungs})
    fig = new_figure(1.3 + 0.75 * len(levels))
    axes = fig.subplots(1, len(losses), sharey=True, squeeze=False)[0]
    said = []
    for ax, loss in zip(axes, losses, strict=True):
        said += _panel(ax, [rung for rung in rungs if rung.loss == loss], levels, counts)
        ax.set_title(textwrap.fill(loss, 60 // len(losses)), loc="left", fontsize=9.5)
    needed = {rung.level: rung.needed.value for rung in rungs}
    axes[0].set_yticks(np.arange(len(levels)) + 0.5, [f"level {n}\n{needed[n]:.1f} bits" for n in levels], rotation=0)
    axes[0].set_ylabel("difficulty")
    steps = sorted({f"{rung.steps:,}" for rung in rungs})
    (size,) = sizes
    alt = f"Phase diagram at {size} px. Bits that InfoNCE shows of those that it could show: {'; '.join(said)}."
    caption = (
        "Number and colour: InfoNCE as a share of what it could show, which is the bits needed, or log2 of the images "
        f"measured where that is less; 0 where its 95% interval holds 0. {size} px, {' or '.join(steps)} steps. "
        "An empty cell was not run."
    )
    return show(fig, alt, caption)


def _panel(ax: Axes, rungs: Sequence[Rung], levels: list[int], counts: list[int]) -> list[str]:
    """Draw the rungs of one loss; returns what they say, in words."""
    shares = np.full((len(levels), len(counts)), np.nan)
    text = np.full(shares.shape, "", dtype=object)
    said = []
    for row, level in enumerate(levels):
        for column, n in enumerate(counts):
            here = [rung for rung in rungs if (rung.level, rung.n_train) == (level, n)]
            if not here:
                continue
            share = float(np.mean([rung.delivered for rung in here]))
            bits = round(float(np.mean([rung.infonce.value for rung in here])), 1) + 0.0  # no -0.0
            fallen = sum(rung.collapsed for rung in here)
            shares[row, column] = share
            text[row, column] = f"{share:.0%}\n{bits:.1f} bits" + ("\ncollapsed" if fallen == len(here) else "")
            said.append(
                f"{here[0].loss}, level {level}, {n:,} images: {bits:.1f} of {here[0].ceiling:.1f} bits ({share:.0%})"
                + (f", {fallen} of {len(here)} collapsed" if fallen else "")
            )
    labels = [f"{n:,}" for n in counts]
    sns.heatmap(
        shares, ax=ax, vmin=0, vmax=1, cmap=RAMP, cbar=False, annot=text, fmt="", mask=np.isnan(shares),
        annot_kws={"color": INK, "fontsize": 8.5}, xticklabels=labels,
    )  # fmt: skip
    ax.hlines(np.arange(len(levels) + 1), 0, len(counts), color=INK, alpha=0.18, linewidth=0.5)
    ax.vlines(np.arange(len(counts) + 1), 0, len(levels), color=INK, alpha=0.18, linewidth=0.5)
    ax.grid(False)
    ax.tick_params(length=0)
    ax.set_xlabel("training images")
    return said
