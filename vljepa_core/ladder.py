"""The calibrated ladder: on ``scenes`` the bits a caption needs from its image are known, so delivery can be measured.

Along the difficulty dial and the number of training images, at a fixed number of optimiser steps, a rung sets beside
each other what the generator says a caption takes from its picture and what the probes find the decoder to have taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from vljepa_core.blind import gain_over_blind, mismatch
from vljepa_core.datasets.scene_grammar import COCO_LIKE, paraphrase_bits
from vljepa_core.datasets.scenes import describe_scene
from vljepa_core.metrics import Metric, mean_metric
from vljepa_core.records import Record

WORDINGS = 100  # scenes whose wordings are enumerated for H(caption | facts)


@dataclass(frozen=True)
class Rung:
    """One place on the ladder.

    Attributes:
        level: difficulty of the scenes, 0 to 4.
        n_train: training images.
        image_size: pixels a side.
        steps: optimiser steps.
        needed: bits that a caption takes from its picture, mean over the validation scenes, from the generator.
        wording: bits of a caption that no picture tells (its wording), mean over ``WORDINGS`` of them.
        gain: bits per caption saved over a trained blind model.
        infonce: InfoNCE bound on I(plan; caption) in bits, with the n it was measured on.
        unique: share of distinct greedy captions.
        cosine: mean cosine between the plans of different images.
        collapsed: the verdict's reading.
    """

    level: int
    n_train: int
    image_size: int
    steps: int
    needed: Metric
    wording: float
    gain: Metric
    infonce: Metric
    unique: float
    cosine: float
    collapsed: bool

    @property
    def delivered(self) -> float:
        """Share of the needed bits that the decoder makes use of: the gain over a blind model / needed."""
        return self.gain.value / self.needed.value


def level_of(record: Record) -> int:
    """Difficulty of a record's scenes.

    Raises:
        ValueError: its data are no scenes.
    """
    found = re.fullmatch(r"scenes(?:-level(\d))?", record.data)
    if found is None:
        raise ValueError(f"{record.experiment} on {record.data}: the ladder stands on scenes, whose bits are known")
    return COCO_LIKE if found[1] is None else int(found[1])


@cache
def needed_bits(level: int, n_val: int) -> Metric:
    """Bits that a caption of the first ``n_val`` validation scenes takes from its picture: mean of -log2 P(facts)."""
    return mean_metric([describe_scene("val", i, difficulty=level).content_bits for i in range(n_val)])


@cache
def wording_bits(level: int, scenes: int = WORDINGS) -> float:
    """H(caption | facts) in bits, mean over the first validation scenes."""
    return float(np.mean([paraphrase_bits(describe_scene("val", i, difficulty=level).scene) for i in range(scenes)]))


def rungs(records: Iterable[Record]) -> list[Rung]:
    """Every seeing record with a blind partner among ``records``, from easy to hard, few to many images."""
    records = list(records)
    found = []
    for record in records:
        if record.recipe.get("plan_source", "image") != "image":
            continue
        partner = next((other for other in records if mismatch(record, other) is None), None)
        if partner is None:
            continue
        level, n_val = level_of(record), record.dataset["n_val"]
        found.append(
            Rung(
                level=level,
                n_train=record.dataset["n_train"],
                image_size=record.recipe["image_size"],
                steps=record.provenance["steps"],
                needed=needed_bits(level, n_val),
                wording=wording_bits(level),
                gain=gain_over_blind(record, partner),
                infonce=Metric(**record.metrics["infonce"]),
                unique=record.value("greedy_unique"),
                cosine=record.value("plan_cosine"),
                collapsed=record.verdict["label"] == "FAIL",
            )
        )
    return sorted(found, key=lambda rung: (rung.image_size, rung.level, rung.n_train))
