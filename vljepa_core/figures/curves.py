"""Curves over training: the loss, and how far the plans have collapsed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import cycle
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from vljepa_core.figures.display import Display, show
from vljepa_core.figures.reading import at_random_weights, get, series, setting, settings, title
from vljepa_core.figures.style import AMBER, BLUE, GREEN, GREY, INK, PURPLE, VERMILLION, new_figure, styled
from vljepa_core.figures.timelines import LEAST, steps_axis

_REFERENCES = ((GREY, (0, (6, 3))), (PURPLE, (0, (1, 1.5))), (AMBER, (0, (6, 2, 1, 2))), (GREEN, (0, (3, 1))))


def _thin(recorded: list[Any]) -> str:
    return f"Thick: this build. Thin and dashed: recorded ({settings(recorded)})." if recorded else ""


# key, title, axis label, scale; a panel is drawn where a run has measured it
_COLLAPSE = (
    ("greedy_unique", "unique greedy captions", "share of images", "share"),
    ("val_accuracy", "validation accuracy", "share of images", "share"),
    ("plan_cosine", "mean cosine between plans", "cosine", "cosine"),
    ("plan_rank", "effective rank of the plans", "dimensions", "rank"),
    ("plan_centred_rank", "the same about their mean", "dimensions", "rank"),
    ("plan_vector_rank", "effective rank of a plan's vectors", "dimensions", "rank"),
    ("plan_variance_share", "plan variance between images", "share of variance", "share"),
    ("encoder_grad_norm", "gradient that reaches the encoder", "norm", "log"),
)

# One panel each: key, name, axis label, scale, colour, dashes.
_TIMELINE = (
    (
        ("plan_distance", "1 - mean cosine between plans", "between images", "log", BLUE, "-"),
        ("plan_variance_share", "share of plan variance", "between images", "log", VERMILLION, (0, (4, 2))),
    ),
    (
        ("plan_centred_rank", "effective rank about the mean", "dimensions", "rank", BLUE, "-"),
        ("plan_vector_rank", "of one plan's vectors", "dimensions", "rank", VERMILLION, (0, (4, 2))),
    ),
    (("val_loss", "validation loss", "cross-entropy", "plain", GREEN, "-"),),
    (("encoder_grad_norm", "gradient norm at the encoder", "norm", "log", PURPLE, "-"),),
)


def _floors_elsewhere(record: Any, recorded: Iterable[Any]) -> dict[str, float]:
    """The image-blind floor of the training loss of recorded runs on other data, one for each, from their records."""
    found = {}
    for old in recorded:
        lines = (get(old, "trivial") or {}).get("train_loss", ())
        if lines and get(old, "data") != get(record, "data"):
            found.setdefault(f"{lines[0]['label']}, recorded ({get(old, 'data')})", lines[0]["value"])
    return found


@styled
def loss_curves(
    record: Any,
    recorded: Iterable[Any] = (),
    references: Mapping[str, float] | None = None,
    blind: Any = None,
) -> Display:
    """Training loss (as trained) and validation loss over epochs, from the first.

    Epoch 0 (random weights, about 5.6 nats per byte) would press everything of interest to the floor.

    Args:
        record: the run to show.
        recorded: earlier runs, as thin lines.
        references: horizontal lines, name to value, such as ``baselines.loss_floors`` gives.
        blind: the same decoder trained without sight of the image, as dotted lines.
    """
    recorded = list(recorded)
    lines = [("train_loss", "training, as trained", BLUE), ("val_loss", "validation, unsmoothed", VERMILLION)]
    references = references or {}
    elsewhere = _floors_elsewhere(record, recorded)
    fig = new_figure(3.5 + 0.19 * (len(references) + len(elsewhere) + 2 * (blind is not None)))
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
            if blind is not None:
                again = series(blind, key, since=1)
                what = f"the same, blind: {name.partition(',')[0]}"
                ax.plot(*again, color=colour, linestyle=(0, (1, 1.2)), linewidth=1.6, label=what)
                said.append(f"{what} {again[1][-1]:.3f} at epoch {again[0][-1]}")
    if not said:
        raise ValueError(f"{title(record)}: the record's history has neither train_loss nor val_loss")
    for name, value in elsewhere.items():
        ax.axhline(value, color=GREY, linestyle=(0, (4, 2)), linewidth=0.9, label=f"{name}: {value:.3f}")
        said.append(f"{name} {value:.3f}")
    for (name, value), (colour, dashes) in zip(references.items(), cycle(_REFERENCES)):
        ax.axhline(value, color=colour, linestyle=dashes, linewidth=1.4, label=f"{name}: {value:.3f}")
        said.append(f"{name} {value:.3f}")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    ax.set_xlabel("epoch")
    per = "image" if get(record, "experiment") == "test3" else "byte"
    ax.set_ylabel(f"cross-entropy (nats per {per})")
    # The legend stands above the axes: inside, it would cover a curve on one run or another.
    fig.legend(loc="outside upper left", ncols=1 if references or elsewhere else 2, alignment="left")
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
    said, controls = [], False
    for ax, (key, name, unit, scale) in zip(axes, panels, strict=False):
        drawn = []
        for old in recorded:
            ax.plot(*series(old, key), color=GREY, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1.5)
            drawn += series(old, key)[1]
        x, y = series(record, key)
        ax.plot(x, y, color=BLUE, **({"marker": "o", "markersize": 3} if len(y) < 25 else {}))
        start = at_random_weights(record, key) if key.startswith("plan_") else None
        if start is not None:
            ax.axhline(start, color=AMBER, linestyle=(0, (1, 1.5)), linewidth=1.4)
            controls = True
        _scale(ax, scale, [*drawn, *y])
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
    if controls:
        notes.append("Dotted: plans of random weights, before the first step.")
    if any(key == "greedy_unique" for key, *_ in panels):
        asked = get(get(record, "recipe", {}), "probe_images")
        notes.append(f"Unique captions: of the first {asked or 'few'} validation images; the table takes all.")
    return show(fig, alt, " ".join(notes) or None)


@styled
def collapse_timeline(record: Any) -> Display:
    """When plans collapse, when the decoder learns text, and what gradient is left, over steps on a log axis.

    Every point is of the weights after that many steps, on the first few validation images; step 0 is random weights.
    """
    rows = [_with_distance(row) for row in get(record, "timeline", [])]
    panels = [[line for line in panel if any(row.get(line[0]) is not None for row in rows)] for panel in _TIMELINE]
    panels = [panel for panel in panels if panel]
    if not panels:
        raise ValueError(f"{title(record)}: the record has no timeline; it was made before there was one")
    fig = new_figure(1.85 * len(panels) + 0.4)
    axes = fig.subplots(len(panels), 1, sharex=True, squeeze=False).ravel()
    said = []
    for ax, panel in zip(axes, panels, strict=True):
        unit, scale = panel[0][2:4]
        for key, name, _, _, colour, dashes in panel:
            found = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
            x, y = zip(*found, strict=True)
            ax.plot(x, y, color=colour, linestyle=dashes, marker="o", markersize=3, label=name)
            said.append(f"{name} " + ", ".join(f"{value:.3g} at {step}" for step, value in found))
        _scale(ax, scale, [row[key] for key, *_ in panel for row in rows if row.get(key) is not None])
        ax.set_ylabel(unit, fontsize=9.5)
        ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=len(panel), fontsize=9)
    steps_axis(axes[-1], [row["step"] for row in rows])
    alt = f"Timeline of the collapse, {title(record)} ({setting(record)}), by step: {'; '.join(said)}."
    asked = get(get(record, "recipe", {}), "probe_images", "few")
    return show(fig, alt, f"{setting(record)}; the first {asked} validation images. Step 0: random weights.")


def _with_distance(row: dict) -> dict:
    """1 - cosine shows on a log axis how close to 1 a cosine is; rounding may leave nothing of it."""
    cosine = row.get("plan_cosine")
    return row if cosine is None else {**row, "plan_distance": max(1 - cosine, LEAST)}


def _scale(ax: Axes, scale: str, values: list[float]) -> None:
    """Shares and cosines keep their whole range, so that a flat line at the bottom looks like one."""
    if scale == "share":
        ax.set_ylim(-0.03, 1.03)
    elif scale == "cosine":
        ax.set_ylim(min(-0.03, *values), 1.03)
    elif scale == "rank":
        ax.set_ylim(0, max(2.0, 1.1 * max(values)))
        ax.axhline(1, color=INK, alpha=0.5, linewidth=0.8)
    elif scale == "log" and max(values) > min(values) > 0:
        ax.set_yscale("log")
