"""Curves over training: the loss, and how far the plans have collapsed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from vljepa_core.figures.display import Display, show
from vljepa_core.figures.reading import get, series, setting, settings, title
from vljepa_core.figures.style import AMBER, BLUE, GREEN, GREY, INK, PURPLE, VERMILLION, new_figure, styled

_REFERENCES = ((GREY, (0, (6, 3))), (PURPLE, (0, (1, 1.5))), (AMBER, (0, (6, 2, 1, 2))), (GREEN, (0, (3, 1))))


def _thin(recorded: list[Any]) -> str:
    return f"Thick: this build. Thin and dashed: recorded ({settings(recorded)})." if recorded else ""


# key, title, axis label, scale; a panel is drawn where a run has measured it
_COLLAPSE = (
    ("greedy_unique", "unique greedy captions", "share of images", "share"),
    ("val_accuracy", "validation accuracy", "share of images", "share"),
    ("plan_cosine", "mean cosine between plans", "cosine", "cosine"),
    ("plan_rank", "effective rank of the plans", "dimensions", "rank"),
    ("plan_variance_share", "plan variance between images", "share of variance", "share"),
    ("encoder_grad_norm", "gradient that reaches the encoder", "norm", "log"),
)


@styled
def loss_curves(record: Any, recorded: Iterable[Any] = (), references: Mapping[str, float] | None = None) -> Display:
    """Training loss (as trained) and validation loss over epochs, from the first.

    Epoch 0 (random weights, about 5.6 nats per byte) would press everything of interest to the floor.

    Args:
        record: the run to show.
        recorded: earlier runs, as thin lines.
        references: horizontal lines, name to value, such as ``baselines.loss_floors`` gives.
    """
    recorded = list(recorded)
    lines = [("train_loss", "training, as trained", BLUE), ("val_loss", "validation, unsmoothed", VERMILLION)]
    references = references or {}
    fig = new_figure(3.5 + 0.19 * len(references))
    ax = fig.add_subplot()
    said = []
    for old in recorded:
        for key, _, colour in lines:
            ax.plot(*series(old, key, since=1), color=colour, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1.5)
    for key, name, colour in lines:
        x, y = series(record, key, since=1)
        if y:
            marker = {"marker": "o", "markersize": 3.5} if len(y) < 25 else {}
            ax.plot(x, y, color=colour, label=name, **marker)
            said.append(f"{name} {y[0]:.3f} at epoch {x[0]} to {y[-1]:.3f} at epoch {x[-1]}")
    if not said:
        raise ValueError(f"{title(record)}: the record's history has neither train_loss nor val_loss")
    for (name, value), (colour, dashes) in zip(references.items(), _REFERENCES, strict=False):
        ax.axhline(value, color=colour, linestyle=dashes, linewidth=1.4, label=f"{name}: {value:.3f}")
        said.append(f"{name} {value:.3f}")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    ax.set_xlabel("epoch")
    per = "image" if get(record, "experiment") == "test3" else "byte"
    ax.set_ylabel(f"cross-entropy (nats per {per})")
    # The legend stands above the axes: inside, it would cover a curve on one run or another.
    fig.legend(loc="outside upper left", ncols=1 if references else 2, alignment="left")
    alt = f"Loss curves of {title(record)} ({setting(record)}), nats per {per}: {'; '.join(said)}."
    return show(fig, alt, _thin(recorded) or None)


@styled
def collapse_metrics(record: Any, recorded: Iterable[Any] = ()) -> Display:
    """Small multiples over epochs: what tells a collapse, where the run has measured it.

    Collapse is: few unique captions, cosine 1, rank 1, no variance between images, no gradient.
    """
    panels = [p for p in _COLLAPSE if series(record, p[0])[1]]
    if not panels:
        wanted = ", ".join(p[0] for p in _COLLAPSE)
        raise ValueError(f"{title(record)}: the record's history has none of {wanted}")
    recorded = list(recorded)
    columns = 2 if len(panels) > 1 else 1
    rows = -(-len(panels) // columns)
    fig = new_figure(1.95 * rows + 0.3)
    axes = fig.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    said = []
    for ax, (key, name, unit, scale) in zip(axes, panels, strict=False):
        for old in recorded:
            ax.plot(*series(old, key), color=GREY, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1.5)
        x, y = series(record, key)
        ax.plot(x, y, color=BLUE, **({"marker": "o", "markersize": 3} if len(y) < 25 else {}))
        _scale(ax, scale, y)
        ax.set_title(name, loc="left", fontsize=9.5)
        ax.set_ylabel(unit, fontsize=9.5)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        ax.tick_params(labelbottom=True)
        said.append(f"{name} {y[0]:.4g} to {y[-1]:.4g}")
    for ax in axes[len(panels) :]:
        ax.remove()
    fig.supxlabel("epoch", fontsize=10.5)
    alt = f"Collapse metrics of {title(record)} ({setting(record)}), first to last epoch: {'; '.join(said)}."
    notes = [_thin(recorded)] if recorded else []
    if any(key == "greedy_unique" for key, *_ in panels):
        asked = get(get(record, "recipe", {}), "probe_images")
        notes.append(f"Unique captions: of the first {asked or 'few'} validation images; the table takes all.")
    return show(fig, alt, " ".join(notes) or None)


def _scale(ax: Axes, scale: str, values: list[float]) -> None:
    """Shares and cosines keep their whole range, so that a flat line at the bottom looks like one."""
    if scale == "share":
        ax.set_ylim(-0.03, 1.03)
    elif scale == "cosine":
        ax.set_ylim(min(-0.03, *values) if len(values) > 1 else -0.03, 1.03)
    elif scale == "rank":
        ax.set_ylim(0, max(2.0, 1.1 * max(values)))
        ax.axhline(1, color=INK, alpha=0.5, linewidth=0.8)
    elif scale == "log" and min(values) > 0:
        ax.set_yscale("log")
