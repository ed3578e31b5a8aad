"""What is left of a plan that is cut: bits kept, by the number of vectors, their width and their precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from vljepa_core.figures.confusion import RAMP
from vljepa_core.figures.display import Display, show
from vljepa_core.figures.reading import setting
from vljepa_core.figures.style import INK, new_figure, styled
from vljepa_core.figures.units import said_bytes
from vljepa_core.rate_record import KEPT, RateCurve, keeps

_PRECISIONS = {"fp16": "fp16", "int8": "int8", "int4": "int4", "binary": "binary", "fsq5": "FSQ, 5 levels"}


@styled
def plan_sizes(curve: RateCurve) -> Display:
    """A panel per precision: vectors down, numbers of each across; number and colour: the share of the bits kept.

    A frame marks where CIDEr is kept as well (90% of both). An empty cell was not measured.

    Raises:
        ValueError: nothing has been measured that keeps or loses anything.
    """
    rows = [row for row in curve.measured("plan") if row["family"] in _PRECISIONS and row["bits_kept"]]
    if not rows:
        raise ValueError(f"plan_sizes: the curve of {setting(curve)} has no measured cut")
    precisions = [name for name in _PRECISIONS if any(row["family"] == name for row in rows)]
    vectors = sorted({row["vectors"] for row in rows}, reverse=True)
    widths = sorted({row["width"] for row in rows})
    fig = new_figure(0.9 + (0.9 + 0.48 * len(vectors)) * -(-len(precisions) // 2))
    axes = fig.subplots(-(-len(precisions) // 2), 2, squeeze=False)
    said = []
    for ax, name in zip(axes.flat, precisions, strict=False):
        said += _panel(ax, [row for row in rows if row["family"] == name], vectors, widths)
        ax.set_title(_PRECISIONS[name], loc="left", fontsize=9.5)
        ax.set_xlabel("numbers of each vector")
        ax.set_ylabel("vectors")
    for ax in axes.flat[len(precisions) :]:
        ax.set_axis_off()
    alt = f"Bits kept of a plan that is cut ({setting(curve)}): {'; '.join(said)}."
    caption = (
        f"Run on {setting(curve)}. Number and colour: bits delivered, as a share of what the whole plan of "
        f"{curve.plan_bytes:,} bytes delivers; below it the bytes of an image. Framed: {KEPT:.0%} of bits and CIDEr "
        "are kept. An empty cell was not measured."
    )
    return show(fig, alt, caption, min_width=520)


def _panel(ax: Axes, rows: list[dict[str, Any]], vectors: list[int], widths: list[int]) -> list[str]:
    """Draw the cuts of one precision; returns what they say, in words."""
    shares = np.full((len(vectors), len(widths)), np.nan)
    text = np.full(shares.shape, "", dtype=object)
    said = []
    for row in rows:
        at = vectors.index(row["vectors"]), widths.index(row["width"])
        shares[at] = np.clip(row["bits_kept"]["value"], 0, 1)
        size = row["bytes"] if row["bytes"] < 1000 else round(row["bytes"])  # a decimal more does not fit
        text[at] = f"{row['bits_kept']['value']:.0%}\n{said_bytes(size)} B"
        said.append(f"{row['name']}, {said_bytes(row['bytes'])} bytes: {row['bits_kept']['value']:.0%}")
        if keeps(row):
            frame = (at[1] + 0.04, at[0] + 0.04), 0.92, 0.92
            ax.add_patch(Rectangle(*frame, fill=False, edgecolor=INK, linewidth=1.4, zorder=5))
    sns.heatmap(
        shares, ax=ax, vmin=0, vmax=1, cmap=RAMP, cbar=False, annot=text, fmt="", mask=np.isnan(shares),
        annot_kws={"color": INK, "fontsize": 8}, xticklabels=[str(w) for w in widths],
        yticklabels=[str(v) for v in vectors],
    )  # fmt: skip
    ax.tick_params(length=0)
    ax.set_yticklabels(ax.get_yticklabels(), rotation=0)
    ax.grid(False)
    return said
