"""Test 3: which class is taken for which, and how well each class is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.colors import LinearSegmentedColormap, to_rgb

from vljepa_core.figures.display import Display, show
from vljepa_core.figures.reading import get, setting, title
from vljepa_core.figures.style import BLUE, INK, VERMILLION, new_figure, styled
from vljepa_core.probes import wilson

# From nothing to blue: an empty cell is the page itself, and ink is legible on every step in between.
RAMP = LinearSegmentedColormap.from_list("ramp", [(*to_rgb(BLUE), 0.0), (*to_rgb(BLUE), 1.0)])


def _by_support(record: Any) -> tuple[list[str], np.ndarray]:
    """Labels and counts (rows true, columns predicted), largest class first, unused classes left out."""
    confusion = get(record, "confusion")
    if not confusion:
        raise ValueError(f"{title(record)}: the record holds no confusion matrix")
    matrix = np.asarray(confusion["matrix"], dtype=np.int64)
    used = np.flatnonzero(matrix.sum(0) + matrix.sum(1))
    order = used[np.argsort(-matrix.sum(1)[used], kind="stable")]
    return [confusion["labels"][i] for i in order], matrix[np.ix_(order, order)]


@styled
def confusion_matrix(record: Any) -> Display:
    """Counts of true against predicted classes; colour is the share of the row (the true class)."""
    labels, counts = _by_support(record)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = max(3.2, 1.5 + 0.26 * len(labels))
    fig = new_figure(size, max(size, 3.6))
    ax = fig.add_subplot()
    text = np.where(counts > 0, counts.astype(str), "")
    sns.heatmap(
        shares,
        ax=ax,
        vmin=0,
        vmax=1,
        cmap=RAMP,
        cbar=False,
        square=True,
        annot=text,
        fmt="",
        annot_kws={"color": INK, "fontsize": 7.5},
        xticklabels=labels,
        yticklabels=labels,
    )
    edges = np.arange(len(labels) + 1)
    ax.hlines(edges, 0, len(labels), color=INK, alpha=0.18, linewidth=0.5)
    ax.vlines(edges, 0, len(labels), color=INK, alpha=0.18, linewidth=0.5)
    ax.grid(False)
    ax.tick_params(length=0, labelsize=9)
    ax.tick_params(axis="x", rotation=90)
    ax.tick_params(axis="y", rotation=0)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    total, right = int(counts.sum()), int(np.trace(counts))
    column = counts.sum(0)
    most = int(column.argmax())
    alt = (
        f"Confusion matrix of {title(record)} ({setting(record)}), {len(labels)} classes: {right} of "
        f"{total} images on the diagonal ({right / max(total, 1):.1%}); {labels[most]} is predicted most "
        f"often, for {int(column[most])} images ({column[most] / max(total, 1):.1%})."
    )
    return show(
        fig,
        alt,
        "Numbers: images. Colour: share of the true class (row), from none to all of it.",
        min_width=520,
    )


@styled
def class_accuracy(record: Any) -> Display:
    """Accuracy of each class with n and Wilson's 95% interval, and what the largest class alone gives."""
    labels, counts = _by_support(record)
    n, right = counts.sum(1), np.diag(counts)
    kept = np.flatnonzero(n)
    labels, n, right = [labels[i] for i in kept], n[kept], right[kept]
    accuracy = right / n
    bounds = np.array([wilson(int(k), int(m)) for k, m in zip(right, n, strict=True)])
    y = np.arange(len(labels))
    fig = new_figure(0.9 + 0.27 * len(labels))
    ax = fig.add_subplot()
    ax.barh(y, accuracy, color=BLUE, alpha=0.85, height=0.62)
    spread = np.abs(np.stack([accuracy - bounds[:, 0], bounds[:, 1] - accuracy]))
    ax.errorbar(accuracy, y, xerr=spread, fmt="none", ecolor=INK, elinewidth=1.1, capsize=2)
    overall, majority = right.sum() / n.sum(), n.max() / n.sum()
    ax.axvline(overall, color=INK, linewidth=1.3, label=f"all images: {overall:.1%}")
    ax.axvline(
        majority,
        color=VERMILLION,
        linestyle=(0, (5, 2)),
        linewidth=1.6,
        label=f"always “{labels[int(n.argmax())]}”: {majority:.1%}",
    )
    ax.set_yticks(y, [f"{name}  ({m})" for name, m in zip(labels, n, strict=True)])
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_xlim(0, 1)
    ax.grid(False, axis="y")
    ax.set_xlabel("accuracy within the class (share of its images)")
    fig.legend(loc="outside upper left", ncols=2)
    each = ", ".join(f"{name} {a:.0%} of {m}" for name, a, m in zip(labels, accuracy, n, strict=True))
    alt = (
        f"Accuracy per class of {title(record)} ({setting(record)}): {overall:.1%} over all "
        f"{int(n.sum())} images, "
        f"{majority:.1%} by always answering {labels[int(n.argmax())]}. By class: {each}."
    )
    return show(fig, alt, "In brackets: images of the class. Whiskers: Wilson's 95% interval.")
