"""The six places where the study's report and its code differ, each shown by a count or a small experiment.

``evidence`` measures what needs no training (what a dropout drops, what an encoder is fed, how many parameters there
are, what the thresholds say, what of a loss is smoothing) and reads the rest from records: Run 4 beside ``run4_token``
and Run 2 beside ``run2_imagenet`` differ in nothing but the disputed value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vljepa_core.datasets.selection import Examples
from vljepa_core.describe import parameters_by_room
from vljepa_core.model.vljepa import IMAGENET_MEAN, IMAGENET_STD, VLJEPA
from vljepa_core.objectives import caption_nats
from vljepa_core.published import DIFFERENCES, PUBLISHED
from vljepa_core.recipes import Recipe, differing, recipe
from vljepa_core.records import Record
from vljepa_core.resident import Resident
from vljepa_core.verdicts import caption_verdict

EMBEDDINGS = 10_000  # drawn to count what dropout drops
READ = 400  # training captions on which a loss is taken apart


@dataclass(frozen=True)
class Difference:
    """One place: what report and code say, and what was counted or measured about it, in sentences."""

    statement: str
    shown: tuple[str, ...]


def evidence(
    run2: Recipe, model: VLJEPA, examples: Mapping[str, Examples], record: Record, recorded: Sequence[Record] = ()
) -> list[Difference]:
    """The six differences, in the order of ``published.DIFFERENCES``, with what shows them.

    Args:
        run2: the recipe of a finished Run 2, ``model`` its weights, ``examples`` its data and ``record`` its record.
        recorded: records of any experiments; pairs that differ in one disputed value are set side by side.
    """
    shown = (
        (*word_dropout(), *pairs(recorded, "run4", "run4_token", "dropping whole words")),
        (*pixels(examples["train"].images), *pairs(recorded, "run2", "run2_imagenet", "ImageNet normalisation")),
        test0_size(),
        final_loss(run2, model, examples["train"], record),
        verdict_by_code(),
        target_encoder(),
    )
    return [Difference(text, tuple(found)) for text, found in zip(DIFFERENCES, shown, strict=True)]


def word_dropout(dim: int = 256, rate: float = 0.3) -> list[str]:
    """What each kind of dropout leaves of ``EMBEDDINGS`` embeddings of ``dim`` numbers."""
    decoder = VLJEPA(recipe("run4", "smoke", word_dropout_rate=rate)).decoder.train()
    lines = []
    for kind, name in (("element", "as coded"), ("token", "as the report says")):
        decoder.word_dropout_kind = kind
        with torch.random.fork_rng():
            torch.manual_seed(0)
            left = decoder.drop_words(torch.ones(1, EMBEDDINGS, dim))[0]
        gone = int((left == 0).all(dim=1).sum())
        zeros = float((left == 0).float().mean())
        lines.append(
            f"Of {EMBEDDINGS:,} embeddings, {gone:,} are dropped whole {name} ({zeros:.1%} of all elements are zero; "
            f"the largest element is {float(left.max()):.2f} times what it was)."
        )
    return lines


def pixels(images: np.ndarray) -> list[str]:
    """What an encoder is fed with and without the normalisation, from up to 500 training images."""
    x = images[:500].astype(np.float64) / 255
    normalised = (x - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    return [
        f"{name}: pixels from {v.min():.2f} to {v.max():.2f}, mean {v.mean():.2f}, standard deviation {v.std():.2f}."
        for name, v in (("Captioning, as coded", x), ("Test 3, normalised", normalised))
    ]


def test0_size() -> list[str]:
    """Trainable parameters of Test 0 as it was run, and as the table for "all runs" would have it."""
    with torch.device("meta"):
        as_run = parameters_by_room(VLJEPA(recipe("test0", "paper")))["total"]
        as_reported = parameters_by_room(VLJEPA(recipe("run2", "paper")))["total"]
    small, large = recipe("test0", "paper"), recipe("run2", "paper")
    return [
        f"Test 0 as run: {as_run:,} trainable parameters and a plan of {small.plan_bytes:,} bytes; the table for "
        f"“all runs” describes {as_reported:,} and {large.plan_bytes:,}."
    ]


def final_loss(run2: Recipe, model: VLJEPA, train: Examples, record: Record) -> list[str]:
    """The loss that a report like the study's would print, taken apart on the same weights and captions."""
    part = train.first(READ)
    nats, counts, _ = caption_nats(model, Resident(part, next(model.parameters()).device, run2.plan_source))
    plain = float(nats.sum() / counts.sum())
    return [
        f"Run 2 of this build: {record.value('train_loss'):.3f} nats per byte as the study reports it (training mode, "
        f"label smoothing {run2.label_smoothing:g}, mean over the last epoch); {plain:.3f} without smoothing on the "
        f"first {len(part):,} training captions with the final weights; {record.value('val_loss'):.3f} on validation "
        f"captions."
    ]


def verdict_by_code() -> list[str]:
    """The published thresholds applied to the published numbers, for any word overlap up to 30%: it is not reported.

    Two random captions of COCO have 15.8% of their words in common, so neither side of the 15% can be ruled out.
    """
    lines = []
    for name in ("run2", "run3", "run4"):
        reported = PUBLISHED[name].metrics
        content, unique = (reported[f"sampled_{key}"].value for key in ("content_match", "unique"))
        found = {
            caption_verdict(overlap, content, unique, reported["greedy_unique"].value, 2_000).by_code
            for overlap in (0.0, 0.15, 0.16, 0.30)
        }
        lines.append(
            f"Run {name[-1]}: content match {content:.1%}, {unique:.1%} of the samples distinct: the code's thresholds "
            f"say {' or '.join(sorted(found, reverse=True))} (by the word overlap, which is not reported), the report "
            f"{PUBLISHED[name].verdict}."
        )
    return lines


def target_encoder() -> list[str]:
    """How many weights the unused copy has, and that the published count does without it."""
    with torch.device("meta"):
        rooms = parameters_by_room(VLJEPA(recipe("run2", "paper")))
    published = int(PUBLISHED["run2"].metrics["parameters"].value)
    same = "equal to" if rooms["total"] == published else "NOT equal to"
    return [
        f"The model of this book has no target encoder and {rooms['total']:,} trainable parameters, {same} the "
        f"published {published:,}. The copy would hold another {rooms['visual_encoder']:,} that no loss reaches."
    ]


def pairs(records: Sequence[Record], plain: str, changed: str, what: str) -> list[str]:
    """Records of two experiments that differ in one value, at equal data, scale and seed, side by side."""
    by_place = {(r.experiment, r.data, r.scale, r.seed): r for r in records}
    lines: dict[tuple[str, str], list[tuple[Record, Record]]] = {}
    for (experiment, data, scale, seed), record in by_place.items():
        other = by_place.get((changed, data, scale, seed))
        if experiment == plain and other is not None and _one_change(record, other):
            lines.setdefault((data, scale), []).append((record, other))
    said = []
    for (data, scale), found in lines.items():
        without, with_ = (", ".join(f"{pair[i].value('val_loss'):.3f}" for pair in found) for i in (0, 1))
        unique = [[round(p[i].value("greedy_unique") * p[i].dataset["n_val"]) for p in found] for i in (0, 1)]
        seeds = ", ".join(str(a.seed) for a, _ in found)
        where = f"Recorded on {data} at {scale}, seed{'s' if len(found) > 1 else ''} {seeds}"
        said.append(
            f"{where}: {what} goes with a validation loss of {with_} instead of {without} nats per byte, and with "
            f"{', '.join(map(str, unique[1]))} instead of {', '.join(map(str, unique[0]))} distinct greedy captions of "
            f"{found[0][0].dataset['n_val']} images."
        )
    return said


def _one_change(record: Record, other: Record) -> bool:
    """Whether two runs are of the same data and differ in a single value of their recipes."""
    changed = set(differing(record.recipe, other.recipe)) - {"experiment"}
    return len(changed) == 1 and record.dataset["fingerprint"] == other.dataset["fingerprint"]
