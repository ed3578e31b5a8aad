"""The ladder as a phase diagram: where plans carry their picture, and where they collapse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import seaborn as sns

from vljepa_core.figures.confusion import RAMP
from vljepa_core.figures.display import Display, show
from vljepa_core.figures.style import INK, new_figure, styled
from vljepa_core.ladder import Rung


@styled
def phase_diagram(rungs: Sequence[Rung]) -> Display:
    """Difficulty down, training images across; colour and number: share of the bits that InfoNCE shows to arrive.

    Rungs of one image size; several of one place (seeds) are averaged. A cell with a cross has collapsed.

    Raises:
        ValueError: no rungs, or rungs of several image sizes.
    """
    sizes = {rung.image_size for rung in rungs}
    if len(sizes) != 1:
        raise ValueError(f"phase_diagram draws rungs of one image size, got {sorted(sizes) or 'none'}")
    levels = sorted({rung.level for rung in rungs})
    counts = sorted({rung.n_train for rung in rungs})
    places = {(level, n): [r for r in rungs if (r.level, r.n_train) == (level, n)] for level in levels for n in counts}
    shares = np.full((len(levels), len(counts)), np.nan)
    text = np.full(shares.shape, "", dtype=object)
    said = []
    for (level, n), here in places.items():
        if not here:
            continue
        at = levels.index(level), counts.index(n)
        shares[at] = np.mean([rung.delivered for rung in here])
        bits = np.mean([rung.infonce.value for rung in here])
        fallen = sum(rung.collapsed for rung in here)
        text[at] = f"{shares[at]:.0%}\n{bits:.1f} bits" + ("\n× collapsed" if fallen == len(here) else "")
        said.append(
            f"level {level}, {n:,} images: {bits:.1f} of {here[0].ceiling:.1f} bits ({shares[at]:.0%})"
            + (f", {fallen} of {len(here)} collapsed" if fallen else "")
        )
    fig = new_figure(1.1 + 0.72 * len(levels))
    ax = fig.add_subplot()
    sns.heatmap(
        np.clip(shares, 0, 1), ax=ax, vmin=0, vmax=1, cmap=RAMP, cbar=False, annot=text, fmt="",
        annot_kws={"color": INK, "fontsize": 9},
        xticklabels=[f"{n:,}" for n in counts],
        yticklabels=[f"level {level}\n{_needed(rungs, level):.1f} bits" for level in levels],
    )  # fmt: skip
    ax.hlines(np.arange(len(levels) + 1), 0, len(counts), color=INK, alpha=0.18, linewidth=0.5)
    ax.vlines(np.arange(len(counts) + 1), 0, len(levels), color=INK, alpha=0.18, linewidth=0.5)
    ax.grid(False)
    ax.tick_params(length=0)
    ax.tick_params(axis="y", rotation=0)
    ax.set_xlabel("training images")
    ax.set_ylabel("difficulty, and bits a caption needs")
    steps = sorted({f"{rung.steps:,}" for rung in rungs})
    (size,) = sizes
    alt = f"Phase diagram at {size} px. Bits that InfoNCE shows of those that it could show: {'; '.join(said)}."
    caption = (
        "Number and colour: InfoNCE as a share of what it could show, which is the bits needed, or log2 of the images "
        f"measured where that is less; 0 where its 95% interval holds 0. {size} px, {' or '.join(steps)} steps."
    )
    return show(fig, alt, caption)


def _needed(rungs: Sequence[Rung], level: int) -> float:
    return next(rung.needed.value for rung in rungs if rung.level == level)
