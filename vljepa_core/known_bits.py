"""A scale of known bits: on ``scenes`` what a caption needs from its image is known, so delivery can be measured.

Along the difficulty dial and the number of training images, at a fixed number of optimiser steps, it sets beside
each other what the generator says a caption takes from its picture and what the probes find the decoder to have taken.

Delivery is read off InfoNCE, a lower bound but for the error of its sample. Beside it stands ``text_bound``:
H(caption) less the decoder's cross-entropy, a lower bound on I(plan; caption) too, which needs no second training. It
is negative until the text itself has been learned, and label smoothing is at its expense.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from vljepa_core.datasets.scene_grammar import COCO_LIKE, paraphrase_bits
from vljepa_core.datasets.scenes import DescribedScene, describe_scene
from vljepa_core.metrics import Metric, mean_metric
from vljepa_core.probes import infonce
from vljepa_core.records import Record
from vljepa_core.verdicts import COLLAPSE_SHARE


@dataclass(frozen=True)
class KnownBits:
    """One run on scenes: what its captions need, and what came through.

    Attributes:
        level: difficulty of the scenes, 0 to 4.
        n_train: training images.
        image_size: pixels a side.
        steps: optimiser steps.
        loss: what was minimised, in words.
        needed: bits that a caption takes from its picture, mean over the validation scenes, from the generator.
        wording: bits of a caption that no picture tells (its wording), H(caption | facts), mean over the same.
        spent: bits that the decoder spends on a caption, mean over the validation scenes.
        text_bound: H(caption) - cross-entropy, a lower bound on I(plan; caption) in bits, negative while text is
            unlearned; its interval is over the validation scenes.
        infonce: InfoNCE bound on I(plan; caption) in bits, with the n it was measured on.
        perfect: what InfoNCE would be, on the same images, of a plan that holds all facts of its scene.
        unique: distinct greedy captions / validation scenes.
        distinct: distinct scenes / validation scenes: more distinct captions than that nobody needs.
        cosine: mean cosine between the plans of different images.
    """

    level: int
    n_train: int
    image_size: int
    steps: int
    loss: str
    needed: Metric
    wording: float
    spent: float
    text_bound: Metric
    infonce: Metric
    perfect: float
    unique: float
    distinct: float
    cosine: float

    @property
    def ceiling(self) -> float:
        """What is needed, or log2 of the images that InfoNCE was measured on: it can't show more.

        Goals are shares of this, as they were set. Not even a perfect plan reaches it (``perfect``), since scenes with
        the same facts can't be told apart.
        """
        return min(self.needed.value, math.log2(self.infonce.n))

    @property
    def delivered(self) -> float:
        """Share of what could be shown that was shown: InfoNCE / ceiling, 0 where chance would do as well."""
        return max(0.0, self.infonce.value) / self.ceiling if self.infonce.low > 0 else 0.0

    @property
    def collapsed(self) -> bool:
        """Fewer greedy captions than ``COLLAPSE_SHARE`` of the distinct scenes; one alone always is."""
        return self.unique <= max(COLLAPSE_SHARE * self.distinct, 1 / self.needed.n)


IMPOSSIBLE = -10_000.0  # log p in nats, of a caption of other facts
_SCENES = re.compile(r"scenes(?:-level(\d))?")  # a folder may be called scenes_of_mine


def is_scenes(record: Record) -> bool:
    """Whether a record's data are scenes, of which it is known what their captions need."""
    return _SCENES.fullmatch(record.data) is not None


def level_of(record: Record) -> int:
    """Difficulty of a record's scenes.

    Raises:
        ValueError: its data are no scenes.
    """
    found = _SCENES.fullmatch(record.data)
    if found is None:
        raise ValueError(f"{record.experiment} on {record.data}: only of scenes it is known what captions need")
    return COCO_LIKE if found[1] is None else int(found[1])


@cache
def _scene(image_id: str, level: int) -> DescribedScene:
    """The scene of an image of ``scenes``, whose id is its split and number: "val-17"."""
    split, number = image_id.split("-")
    return describe_scene(split, int(number), difficulty=level)


def needed_bits(level: int, image_ids: Iterable[str]) -> Metric:
    """Bits that a caption of these scenes takes from its picture: mean of -log2 P(facts)."""
    return mean_metric(_content_bits(level, image_ids))


def _content_bits(level: int, image_ids: Iterable[str]) -> list[float]:
    return [_scene(image_id, level).content_bits for image_id in image_ids]


def perfect_infonce(level: int, image_ids: Sequence[str], scored: int) -> float:
    """InfoNCE, bits, of a plan that holds all facts of its scene: only scenes with the same facts are confused.

    Args:
        level: difficulty of the scenes.
        image_ids: of all validation images.
        scored: how many of them are told apart, as in ``plan_probes.probe_plans``.
    """
    from vljepa_core.plan_probes import drawn  # here, because an audit of captions loads this file and no PyTorch

    number: dict[Any, int] = {}
    facts = np.array([number.setdefault(_scene(image_id, level).scene, len(number)) for image_id in image_ids])
    facts = facts[drawn(len(facts), scored)]
    return infonce(np.where(facts[:, None] == facts, 0.0, IMPOSSIBLE)).value


@cache
def wording_bits(level: int, image_id: str) -> float:
    """H(caption | facts) in bits: the wordings that one scene may be described in, enumerated."""
    return paraphrase_bits(_scene(image_id, level).scene)


def loss_of(recipe: Mapping[str, Any]) -> str:
    """What a recipe minimises: "as published", "cross-entropy alone", or its two weights."""
    smoothing, diversity = recipe["label_smoothing"], recipe["diversity_weight"]
    if (smoothing, diversity) == (0.1, 0.5):
        return "as published"
    return f"smoothing {smoothing:g}, diversity {diversity:g}" if smoothing or diversity else "cross-entropy alone"


def of(records: Iterable[Record]) -> list[KnownBits]:
    """Every record whose decoder sees images, the published loss first, from easy to hard, few to many images."""
    found = []
    for record in records:
        if record.recipe["plan_source"] != "image":
            continue
        level, ids = level_of(record), [row["image_id"] for row in record.captions]
        spent = np.array([row["nats"] for row in record.captions]) / np.log(2)
        wording = np.array([wording_bits(level, image_id) for image_id in ids])
        found.append(
            KnownBits(
                level=level,
                n_train=record.dataset["n_train"],
                image_size=record.recipe["image_size"],
                steps=record.provenance["steps"],
                loss=loss_of(record.recipe),
                needed=needed_bits(level, ids),
                wording=float(wording.mean()),
                spent=float(spent.mean()),
                text_bound=mean_metric(np.array(_content_bits(level, ids)) + wording - spent),
                infonce=Metric(**record.metrics["infonce"]),
                perfect=perfect_infonce(level, ids, record.recipe["scored_images"]),
                unique=record.value("greedy_unique"),
                distinct=len({_scene(image_id, level).scene for image_id in ids}) / len(ids),
                cosine=record.value("plan_cosine"),
            )
        )
    return sorted(found, key=lambda r: (r.loss != "as published", r.loss, r.image_size, r.level, r.n_train))
