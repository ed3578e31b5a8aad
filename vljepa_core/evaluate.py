"""A trained model's numbers on its validation examples: the study's metrics, captions, confusion, verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from vljepa_core import metrics
from vljepa_core.datasets.selection import Examples
from vljepa_core.datasets.shapes import COLOURS, SHAPES
from vljepa_core.generate import generate
from vljepa_core.geometry import LIMITS, MEASURES, plan_geometry
from vljepa_core.linear_probes import category_probes, frozen_plans, thumbnails
from vljepa_core.metrics import Metric
from vljepa_core.model.vljepa import VLJEPA
from vljepa_core.neighbours import nearest
from vljepa_core.objectives import caption_nats, class_logits
from vljepa_core.plan_probes import probe_plans
from vljepa_core.recipes import Recipe
from vljepa_core.resident import Resident
from vljepa_core.verdicts import Verdict, caption_verdict, test0_verdict, test3_verdict


@dataclass(frozen=True)
class Evaluation:
    """What a finished run is judged by."""

    metrics: dict[str, Metric]
    verdict: Verdict
    captions: list[dict]  # one for each image, see Record; empty for classification
    confusion: dict | None  # labels, matrix; classification only


def evaluate(
    model: VLJEPA,
    recipe: Recipe,
    examples: Mapping[str, Examples],
    categories: Mapping[str, tuple[str, ...]],
    seed: int,
) -> Evaluation:
    """Judge a model on its validation examples.

    Args:
        model: trained.
        recipe: what it was trained by.
        examples: "train" and "val"; linear probes are fitted on the former, and judged, like all else, on the latter.
        categories: the dataset's, class name -> words that name it in a caption.
        seed: of the run; also of the sampled captions.
    """
    if recipe.objective == "classify":
        resident = Resident(examples["val"], next(model.parameters()).device)
        judged = _evaluate_classes(model, recipe, resident, tuple(categories))
    else:
        judged = _evaluate_captions(model, recipe, examples, seed)
    if recipe.plan_source == "image" and recipe.validate_on == "val":
        _read_frozen(judged, model, recipe, examples, categories, seed)
    return judged


def _evaluate_classes(model: VLJEPA, recipe: Recipe, resident: Resident, labels: tuple[str, ...]) -> Evaluation:
    logits, plans = class_logits(model, resident)
    true, predicted = resident.labels.cpu().numpy(), logits.argmax(dim=-1).cpu().numpy()
    found = metrics.classification_metrics(true, predicted, recipe.classes) | _geometry(plans)
    matrix = metrics.confusion_matrix(true, predicted, recipe.classes)
    return Evaluation(
        found,
        test3_verdict(found["accuracy"].value, recipe.classes),
        captions=[],
        confusion={"labels": list(labels), "matrix": matrix.tolist()},
    )


def _evaluate_captions(model: VLJEPA, recipe: Recipe, examples: Mapping[str, Examples], seed: int) -> Evaluation:
    device = next(model.parameters()).device
    validation = examples["val"]
    resident, train = (Resident(examples[split], device, recipe.plan_source) for split in ("val", "train"))
    nats, counts, plans = caption_nats(model, resident)
    found = {"val_loss": metrics.mean_metric(nats / counts, weights=counts)} | _geometry(plans)
    found |= probe_plans(model, resident, plans, train, recipe.scored_images)
    known = {metrics.tokenise(text) for text in metrics.training_captions(recipe, examples["train"])}
    found["reference_unique_words"] = metrics.unique_words(validation.texts)
    captions: dict[str, list[str]] = {"reference": validation.texts}
    for name, temperature in (("greedy", 0.0), ("sampled", recipe.temperature)):
        draws = torch.Generator().manual_seed(seed)
        captions[name] = generate(model.decoder, plans, recipe.max_new_tokens, temperature, draws, validation.tokens)
        found |= metrics.caption_metrics(name, validation.texts, validation.references, captions[name])
    found["greedy_exact"] = metrics.recited(validation.texts, captions["greedy"])
    for name, written in captions.items():
        found |= {f"{name}_{key}": metric for key, metric in metrics.variety(written, known).items()}
    rows = [
        {"image_id": i, "greedy": g, "sampled": s, "nats": round(float(n), 4)}
        for i, g, s, n in zip(validation.image_ids, captions["greedy"], captions["sampled"], nats, strict=True)
    ]
    if recipe.experiment == "test0":
        found |= _shape_accuracy(validation.texts, captions["greedy"])
        return Evaluation(found, test0_verdict(found["accuracy"].value), rows, confusion=None)
    verdict = caption_verdict(
        found["sampled_overlap"].value,
        found["sampled_content_match"].value,
        found["sampled_unique"].value,
        found["greedy_unique"].value,
        len(validation),
    )
    return Evaluation(found, verdict, rows, confusion=None)


def _read_frozen(
    judged: Evaluation,
    model: VLJEPA,
    recipe: Recipe,
    examples: Mapping[str, Examples],
    categories: Mapping[str, tuple[str, ...]],
    seed: int,
) -> None:
    """Add what is read without the decoder: the category off frozen plans, and the captions of nearest neighbours.

    Only where plans are made of images, and judged on others than they were trained on.
    """
    train, validation = examples["train"], examples["val"]
    plans = {split: frozen_plans(model, examples[split].seen) for split in ("train", "val")}
    judged.metrics.update(category_probes(model, plans, recipe, examples, categories, seed))
    if recipe.objective == "classify":
        return
    for name, space in (
        ("plan_neighbour", plans),
        ("pixel_neighbour", {k: thumbnails(e.images) for k, e in examples.items()}),
    ):
        index = nearest(space["train"], space["val"])
        said = [train.texts[i] for i in index]
        judged.metrics.update(metrics.caption_metrics(name, validation.texts, validation.references, said))
        for row, i in zip(judged.captions, index, strict=True):
            row[name] = train.image_ids[i]


def _geometry(plans: torch.Tensor) -> dict[str, Metric]:
    array = plans.float().cpu().numpy()
    if len(array) < 3:  # a single one would be left where one is left out
        return {name: Metric(value, None, None, len(array)) for name, value in plan_geometry(array).items()}
    found = metrics.jackknife_metrics(lambda rows: list(plan_geometry(array[rows]).values()), len(array))
    return {name: metrics.within(metric, *LIMITS[name]) for name, metric in zip(MEASURES, found, strict=True)}


def _shape_accuracy(references: list[str], generated: list[str]) -> dict[str, Metric]:
    """Test 0: share of captions that are exactly right, that name the right colour, the right shape."""

    def named(vocabulary: tuple[str, ...], caption: str) -> set[str]:
        return set(vocabulary) & set(metrics.words(caption))

    found = {"accuracy": metrics.mean_metric(np.array([r == g for r, g in zip(references, generated, strict=True)]))}
    for name, vocabulary in (("colour_accuracy", tuple(COLOURS)), ("shape_accuracy", SHAPES)):
        same = [named(vocabulary, r) == named(vocabulary, g) for r, g in zip(references, generated, strict=True)]
        found[name] = metrics.mean_metric(np.array(same))
    return found
