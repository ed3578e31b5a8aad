"""What a linear classifier reads of an image's category: from pixels, colours, an untrained plan and a trained one.

The task is Test 3's, on a run's own data and split: the images whose drawn caption names exactly one category. A probe
is a logistic regression with an L2 penalty on standardised features. Standardisation, and by cross-validation the
penalty, come from the training images alone; the validation images are only answered.

How to read them. A plan that a probe reads better than the *untrained* plan of the same architecture has learned
something of the category. A plan that it reads no better holds what any random mixture of pixels holds. Plans that
all but coincide can still be read, because standardising multiplies whatever differences there are until they have size
1; it is an answer to "are they there?", not to "would a decoder, whose input they are, notice them?". The rows in fp16,
the form in which a plan is sent, say whether they arrive at all.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from vljepa_core.datasets.categories import CategoryFinder
from vljepa_core.datasets.selection import Examples
from vljepa_core.metrics import Metric, balanced_accuracy, mean_metric
from vljepa_core.model.vljepa import VLJEPA
from vljepa_core.plan_probes import unrounded
from vljepa_core.recipes import Recipe
from vljepa_core.resident import EVAL_BATCH

PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)  # inverse ones (sklearn's C), for standardised rows of length about 1
FOLDS = 3
FEWEST = 20  # labelled images of either split from which there is anything to learn, or to say
COLOUR_LEVELS = 4  # of each channel: 64 bins


def category_probes(
    model: VLJEPA,
    plans: Mapping[str, np.ndarray],
    recipe: Recipe,
    examples: Mapping[str, Examples],
    categories: Mapping[str, tuple[str, ...]],
    seed: int,
) -> dict[str, Metric]:
    """Accuracy of every probe and, as ``..._balanced``, mean recall over the classes that occur.

    - ``probe_majority``: always the largest class of the training images;
    - ``probe_chance``: guessing with the frequencies of the training images;
    - ``probe_pixels``, ``probe_colour``, ``probe_untrained``, ``probe_plan``: linear probes, of the plans in float32;
    - ``probe_untrained_fp16``, ``probe_plan_fp16``: of the plans as they are sent;
    - ``probe_features``: of a frozen network's features, mean over their places, where plans are made from them.

    Empty where there are fewer than ``FEWEST`` labelled images in a split, or only one class.

    Args:
        model: the trained model; the untrained one is of the same recipe, as the run's ``seed`` draws it.
        plans: of "train" and "val", float32 (N, K, D), as ``frozen_plans`` makes them.
        recipe: of the run.
        examples: the run's "train" and "val".
        categories: class name -> words that name it in a caption.
        seed: of the run.
    """
    finder = CategoryFinder(dict(categories))
    labels = {split: class_labels(e.texts, finder) for split, e in examples.items()}
    known = {split: np.flatnonzero(each >= 0) for split, each in labels.items()}
    y, y_val = (labels[split][known[split]] for split in ("train", "val"))
    if min(len(y), len(y_val)) < FEWEST or len(np.unique(y)) < 2:
        return {}
    images = {split: thumbnails(examples[split].images[rows]) for split, rows in known.items()}
    start = untrained(model, recipe, seed)
    at_start = {split: frozen_plans(start, examples[split].seen[rows]) for split, rows in known.items()}
    trained = {split: plans[split][rows] for split, rows in known.items()}
    sources = {
        "pixels": images,
        "colour": {split: colour_histogram(some) for split, some in images.items()},
        "untrained": at_start,
        "untrained_fp16": {split: as_sent(each) for split, each in at_start.items()},
        "plan": trained,
        "plan_fp16": {split: as_sent(each) for split, each in trained.items()},
    }
    if examples["train"].features is not None:  # what a frozen network had to offer: the mean of its tokens
        sources["features"] = {
            s: examples[s].features[rows].mean(axis=1, dtype=np.float32) for s, rows in known.items()
        }
    found = trivial_answers(y, y_val)
    for name, features in sources.items():
        found |= scored(name, y_val, answers(features["train"], y, features["val"]))
    return found


def class_labels(texts: list[str], finder: CategoryFinder) -> np.ndarray:
    """Index of the one category that a caption names, -1 where it names none or several: int64 (N,)."""
    named = [finder.only(text) for text in texts]
    return np.array([-1 if name is None else finder.names.index(name) for name in named], dtype=np.int64)


def untrained(model: VLJEPA, recipe: Recipe, seed: int) -> VLJEPA:
    """The model as it was before its training, on the same device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # as train.Trainer does
        return VLJEPA(recipe).to(next(model.parameters()).device)


@torch.no_grad()
def frozen_plans(model: VLJEPA, seen: np.ndarray) -> np.ndarray:
    """Plans float32 (N, K, D) of images uint8 (N, S, S, 3) or features (N, P, C): full precision, dropout off."""
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    with unrounded(device):  # bfloat16 would round away what is to be looked for
        parts = [
            model.plan(torch.from_numpy(np.ascontiguousarray(seen[i : i + EVAL_BATCH])).to(device)).cpu().numpy()
            for i in range(0, len(seen), EVAL_BATCH)
        ]
    model.train(training)
    return np.concatenate(parts)


def as_sent(plans: np.ndarray) -> np.ndarray:
    """Plans rounded to half precision: 2 bytes a number, as ``Recipe.plan_bytes`` counts them."""
    return plans.astype(np.float16)


def thumbnails(images: np.ndarray, size: int = 64) -> np.ndarray:
    """Images uint8 (N, S, S, 3) at the study's resolution: means of squares where S is a multiple of ``size``.

    So that pixels stay a baseline of the same kind, at the same cost, for a model that is given larger images.
    """
    n, side = images.shape[:2]
    if side <= size or side % size:
        return images
    k = side // size
    return images.reshape(n, size, k, size, k, 3).mean(axis=(2, 4), dtype=np.float32).round().astype(np.uint8)


def colour_histogram(images: np.ndarray) -> np.ndarray:
    """Share of the pixels in each of 4 x 4 x 4 colours, float32 (N, 64); images uint8 (N, S, S, 3)."""
    step = 256 // COLOUR_LEVELS
    bins = (images // step).astype(np.int64) @ [COLOUR_LEVELS**2, COLOUR_LEVELS, 1]
    bins = bins.reshape(len(images), -1)
    return np.stack([np.bincount(each, minlength=COLOUR_LEVELS**3) for each in bins]).astype(np.float32) / bins.shape[1]


def answers(train: np.ndarray, labels: np.ndarray, val: np.ndarray) -> np.ndarray:
    """Classes that a probe, fitted on ``train`` (N, ...) and ``labels`` (N,), gives ``val`` (M, ...): int64 (M,)."""
    x, x_val = standardised(train, val)
    if len(np.unique(labels)) == 1:
        return np.full(len(x_val), labels[0])
    return _fitted(x, labels, best_penalty(x, labels)).predict(x_val)


def standardised(train: np.ndarray, val: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with the mean and deviation of ``train``, rows scaled to a length of about 1: float32 (N, F'), (M, F').

    Features that are constant in ``train`` are left out. More features than rows are replaced by as many as rows: the
    coordinates in the space that the training rows span, in which an L2-penalised classifier lies anyway (representer
    theorem), so that its answers are the same for a fraction of the work.
    """
    x, x_val = (each.reshape(len(each), -1).astype(np.float64) for each in (train, val))
    varies = x.min(axis=0) < x.max(axis=0)
    if not varies.any():  # nothing to tell images apart by
        return np.zeros((len(x), 1), np.float32), np.zeros((len(x_val), 1), np.float32)
    x, x_val = x[:, varies], x_val[:, varies]
    mean = x.mean(axis=0)
    x -= mean
    scale = np.sqrt(np.square(x).mean(axis=0) * x.shape[1])
    x /= scale
    x_val = (x_val - mean) / scale
    if x.shape[1] > len(x):
        values, vectors = np.linalg.eigh(x @ x.T)
        kept = values > 1e-10 * values[-1]
        lengths = np.sqrt(values[kept])
        x, x_val = vectors[:, kept] * lengths, x_val @ (x.T @ (vectors[:, kept] / lengths))
    return x.astype(np.float32), x_val.astype(np.float32)


def best_penalty(x: np.ndarray, labels: np.ndarray) -> float:
    """Of ``PENALTIES`` the one with the most right answers in cross-validation; of equals the one that shrinks most.

    A class that is missing from the other folds can't be answered, and counts as wrong.
    """
    right = dict.fromkeys(PENALTIES, 0)
    for rest, held in KFold(min(FOLDS, len(x)), shuffle=True, random_state=0).split(x):
        if len(np.unique(labels[rest])) == 1:
            continue
        probe = None
        for c in sorted(PENALTIES):  # each begins where the last, which shrinks more, has ended
            probe = _fitted(x[rest], labels[rest], c, probe)
            right[c] += int((probe.predict(x[held]) == labels[held]).sum())
    return max(PENALTIES, key=lambda c: (right[c], -c))


def _fitted(x: np.ndarray, labels: np.ndarray, c: float, start: LogisticRegression | None = None) -> LogisticRegression:
    probe = start or LogisticRegression(tol=1e-3, max_iter=100, warm_start=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # one that stops early is a probe, too, a bit more shrunk
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # few images of many classes
        return probe.set_params(C=c).fit(x, labels)


def trivial_answers(labels: np.ndarray, validation: np.ndarray) -> dict[str, Metric]:
    """Majority and stratified chance of the training ``labels`` on those of the ``validation`` images."""
    classes = max(labels.max(), validation.max()) + 1
    shares = np.bincount(labels, minlength=classes) / len(labels)
    found = scored("majority", validation, np.full(len(validation), shares.argmax()))
    return found | scored_as("chance", validation, shares[validation])


def scored(name: str, labels: np.ndarray, predicted: np.ndarray) -> dict[str, Metric]:
    """``probe_NAME`` and ``probe_NAME_balanced`` of predicted classes."""
    return scored_as(name, labels, (labels == predicted).astype(np.float64))


def scored_as(name: str, labels: np.ndarray, right: np.ndarray) -> dict[str, Metric]:
    """The same of how surely each image is answered rightly, 0 to 1 (N,); bootstrap intervals over images."""
    return {f"probe_{name}": mean_metric(right), f"probe_{name}_balanced": balanced_accuracy(labels, right)}
