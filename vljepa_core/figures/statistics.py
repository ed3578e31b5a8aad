"""What a dataset is made of: its categories, and how long its captions are."""

from __future__ import annotations

from typing import Any

import numpy as np

from vljepa_core.datasets.categories import CategoryFinder
from vljepa_core.figures.display import Display, show
from vljepa_core.figures.style import BLUE, VERMILLION, new_figure, styled


@styled
def category_shares(dataset: Any) -> Display:
    """Shares of the dataset's categories among the images whose first caption names exactly one of them."""
    finder = CategoryFinder(dataset.categories)
    named = [finder.only(captions[0]) for captions in dataset.captions]
    counts = {name: named.count(name) for name in finder.names}
    total = sum(counts.values())
    order = sorted(counts, key=lambda name: -counts[name])
    shares = [counts[name] / max(total, 1) for name in order]
    fig = new_figure(0.8 + 0.25 * len(order))
    ax = fig.add_subplot()
    bars = ax.barh(order, [100 * s for s in shares], color=BLUE, height=0.7)
    ax.bar_label(bars, [f"{s:.1%}" for s in shares], padding=3, fontsize=8.5)
    ax.set_ylim(len(order) - 0.5, -0.5)
    ax.set_xlim(0, 112 * max(*shares, 0.01))
    ax.grid(False, axis="y")
    ax.set_xlabel("share of the unambiguous images (%)")
    each = ", ".join(f"{name} {share:.1%}" for name, share in zip(order, shares, strict=True))
    alt = (
        f"Categories in {dataset.name}: {total} of {len(named)} images ({total / max(len(named), 1):.1%}) "
        f"have a first caption that names exactly one category. Shares of these: {each}."
    )
    return show(fig, alt, f"{dataset.name}: {total:,} of {len(named):,} images are unambiguous.")


@styled
def caption_lengths(dataset: Any, cut: int = 126) -> Display:
    """Histogram of the captions' lengths in bytes.

    Args:
        dataset: a ``Dataset``; all captions count.
        cut: bytes that fit beside BOS and EOS; a longer caption loses its end.
    """
    lengths = np.array([len(caption.encode()) for captions in dataset.captions for caption in captions])
    longer = int((lengths > cut).sum())
    share = longer / len(lengths)
    top = max(int(lengths.max()), cut) + 4
    step = max(1, top // 45)
    fig = new_figure(2.9)
    ax = fig.add_subplot()
    ax.hist(lengths, bins=np.arange(0, top + step, step), color=BLUE)
    ax.axvline(
        cut,
        color=VERMILLION,
        linestyle=(0, (5, 2)),
        label=f"cut at {cut} bytes: {longer:,} of {len(lengths):,} captions are longer ({share:.1%})",
    )
    ax.set_xlabel("caption length (bytes)")
    ax.set_ylabel("captions")
    fig.legend(loc="outside upper left")
    median = float(np.median(lengths))
    alt = (
        f"Caption lengths in {dataset.name}, {len(lengths)} captions: {int(lengths.min())} to "
        f"{int(lengths.max())} bytes, "
        f"median {median:g}; {longer} ({share:.1%}) are longer than {cut} bytes and are cut."
    )
    return show(fig, alt)
