"""What a model's captions cost less than those of a trained blind model: the information its decoder makes use of.

V-information (Xu et al. 2020): H_V(caption) - H_V(caption | plan), both estimated on the same validation images with
the same family V of decoders, one trained without sight of the image. Unlike a shuffled plan, the blind
model is no decoder taken out of its element, so the difference isn't flattered by one that over-trusts its plan.

Two trainings are compared, so how far each of them got is part of the difference: a decoder that was slower to learn
text has a negative gain, whatever its plan holds. The interval covers the draw of the images only; seeds are a factor
of their own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from vljepa_core.metrics import Metric, mean_metric
from vljepa_core.recipes import differing, in_full
from vljepa_core.records import Record

# What a blind partner may differ in: what happens before the plan, and how much is looked at afterwards.
MAY_DIFFER = frozenset(
    "experiment plan_source query normalise patch_size visual_depth text_depth fusion_depth predictor_depth "
    "plan_vectors plan_query_residual diversity_weight validate_every probe_images scored_images max_new_tokens "
    "temperature visual visual_weights visual_training encoder_rate stem plan_reads plan_norm nested_plan augment "
    "image_size "
    "sigreg_weight vicreg_weight align align_weight align_memory words_weight hinge_weight hinge_margin".split()
)


def gain_over_blind(record: Record, blind: Record) -> Metric:
    """Bits per caption that the image saves over a trained blind model, with a 95% interval paired over images.

    Raises:
        ValueError: the two were not made on the same data and seed with the same decoder, trained in the same way, or
            ``blind`` sees the image.
    """
    if (reason := mismatch(record, blind)) is not None:
        raise ValueError(f"{_name(record)} can't be compared with {_name(blind)}: {reason}")
    return bits_apart(blind, record)


def bits_apart(record: Record, other: Record) -> Metric:
    """Bits per caption that the first spends more than the second on the same validation images, paired over them.

    Raises:
        ValueError: they were judged on other images, or their captions' losses were not kept.
    """
    one, two = ({row["image_id"]: row.get("nats") for row in r.captions} for r in (record, other))
    if one.keys() != two.keys() or None in (*one.values(), *two.values()):
        raise ValueError(f"{_name(record)} and {_name(other)} do not hold the losses of the same validation images")
    return mean_metric([(one[image] - two[image]) / np.log(2) for image in one])


def with_gain(record: Record, blind: Iterable[Record]) -> Record:
    """The record with its ``gain_over_blind`` among its metrics, if a partner of it is among ``blind``."""
    partner = partner_of(record, blind)
    if partner is None:
        return record
    gain = dataclasses.asdict(gain_over_blind(record, partner))
    return dataclasses.replace(record, metrics={**record.metrics, "gain_over_blind": gain})


def partner_of(record: Record, blind: Iterable[Record]) -> Record | None:
    """The first of the blind models that is this record's twin; None if none is."""
    return next((other for other in blind if mismatch(record, other) is None), None)


def mismatch(record: Record, blind: Record) -> str | None:
    """Why two records are no pair; None if they are one."""
    if blind.recipe.get("plan_source") != "none":
        return "the second is no blind model (its recipe needs plan_source='none')"
    # A blind model is as blind on larger pictures: their pixels, which the fingerprint covers, may be others.
    data = ("name", "source", "n_train", "n_val")
    if record.recipe.get("image_size") == blind.recipe.get("image_size"):
        data = ("fingerprint", "n_train", "n_val")
    for what, one, other in (
        ("data", [record.dataset.get(key) for key in data], [blind.dataset.get(key) for key in data]),
        ("seed", record.seed, blind.seed),
        ("validation images", _images(record), _images(blind)),
    ):
        if one != other:
            return f"other {what}"
    changed = set(differing(record.recipe, blind.recipe)) - MAY_DIFFER
    if record.recipe.get("pretrain") == "text":  # its decoder has learned captions from the first epoch on, too
        changed -= {"pretrain", "pretrain_epochs"}
    if changed:
        key = min(changed)
        one, other = (in_full(r.recipe).get(key) for r in (record, blind))
        return f"{key} is {one!r} in one and {other!r} in the other"
    if not all("nats" in row for row in (*record.captions, *blind.captions)) or not record.captions:
        return "no nats per image (recorded before they were kept, or no captioner)"
    return None


def _images(record: Record) -> list:
    return [row["image_id"] for row in record.captions]


def _name(record: Record) -> str:
    return f"{record.experiment} ({record.data}, {record.scale}, seed {record.seed})"
