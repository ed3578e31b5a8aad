"""The study's metrics exactly as it computes them, and pycocoevalcap's Bleu and CIDEr.

Shares are fractions in [0, 1]. A metric is a :class:`Metric`: value, 95% percentile-bootstrap interval over
images (None where resampling images says nothing, as for a count of distinct strings), and n.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider

# Content words of the study (validate_real_images.py).
CONTENT_WORDS = frozenset(
    "man woman girl boy child people dog cat car bike ball water tree street field white black red blue green yellow "
    "two three group young old small large sitting standing walking running playing wearing holding".split()
)
BOOTSTRAP_RESAMPLES = 2_000


@dataclass(frozen=True)
class Metric:
    """A number with its 95% interval (None: not defined) over n images."""

    value: float
    low: float | None
    high: float | None
    n: int


def mean_metric(values: Sequence[float] | np.ndarray, weights: np.ndarray | None = None) -> Metric:
    """Mean of per-image values (weighted: sum(w x) / sum(w)), with a bootstrap interval over images."""
    x = np.asarray(values, dtype=np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    rng = np.random.default_rng(0)
    means = np.empty(BOOTSTRAP_RESAMPLES)
    for i in range(BOOTSTRAP_RESAMPLES):
        draw = rng.integers(len(x), size=len(x))
        means[i] = np.dot(w[draw], x[draw]) / w[draw].sum()
    low, high = np.quantile(means, [0.025, 0.975])
    return Metric(float(np.dot(w, x) / w.sum()), float(low), float(high), len(x))


def unique_share(captions: Sequence[str]) -> Metric:
    """Distinct captions / captions, by exact string."""
    return Metric(len(set(captions)) / len(captions), None, None, len(captions))


def words(caption: str) -> list[str]:
    """The study's words: lower-cased, split at white space, punctuation kept."""
    return caption.lower().split()


def unique_words(captions: Sequence[str]) -> Metric:
    """Number of distinct words in all captions together."""
    return Metric(len({w for caption in captions for w in words(caption)}), None, None, len(captions))


def word_overlap(reference: str, generated: str) -> float:
    """|reference words ∩ generated words| / |reference words|, as sets; 0 for an empty reference."""
    ref = set(words(reference))
    return len(ref & set(words(generated))) / len(ref) if ref else 0.0


def content_match(reference: str, generated: str) -> bool:
    """Whether reference and generation share at least one content word."""
    return bool(set(words(reference)) & set(words(generated)) & CONTENT_WORDS)


def caption_metrics(prefix: str, references: Sequence[str], generated: Sequence[str]) -> dict[str, Metric]:
    """The study's metrics of one set of generated captions; keys start with ``prefix`` (greedy, sampled)."""
    pairs = list(zip(references, generated, strict=True))
    return {
        f"{prefix}_unique": unique_share(generated),
        f"{prefix}_unique_words": unique_words(generated),
        f"{prefix}_overlap": mean_metric([word_overlap(r, g) for r, g in pairs]),
        f"{prefix}_content_match": mean_metric([content_match(r, g) for r, g in pairs]),
    }


def tokenise(caption: str) -> str:
    """Our tokenisation for Bleu and CIDEr, which need no Java: lower-cased runs of letters and digits.

    PTBTokenizer (Java) would split clitics differently; numbers are comparable among captions scored here,
    not with leaderboards.
    """
    return " ".join(re.findall(r"[^\W_]+", caption.lower())) or "empty"


def bleu_cider(prefix: str, references: Sequence[Sequence[str]], generated: Sequence[str]) -> dict[str, Metric]:
    """pycocoevalcap's corpus Bleu-4 and CIDEr against all references of each image.

    CIDEr weighs n-grams by their rarity among these references, so it is 0 on a single image and only
    comparable between captions of the same images.
    """
    gts = {i: [tokenise(c) for c in captions] for i, captions in enumerate(references)}
    res = {i: [tokenise(c)] for i, c in enumerate(generated)}
    bleu, _ = Bleu(4).compute_score(gts, res, verbose=0)
    _, cider = Cider().compute_score(gts, res)
    return {
        f"{prefix}_bleu4": Metric(float(bleu[3]), None, None, len(generated)),
        f"{prefix}_cider": mean_metric(cider),
    }


def classification_metrics(labels: np.ndarray, predicted: np.ndarray, classes: int) -> dict[str, Metric]:
    """Accuracy, its majority-class baseline on the same labels, and the mean recall of the classes present."""
    correct = labels == predicted
    present = [c for c in range(classes) if (labels == c).any()]
    recall = [float(correct[labels == c].mean()) for c in present]
    majority = np.bincount(labels, minlength=classes).argmax()
    return {
        "accuracy": mean_metric(correct),
        "majority": mean_metric(labels == majority),
        "balanced_accuracy": Metric(float(np.mean(recall)), None, None, len(labels)),
    }


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes): rows are the true class, columns the predicted one."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix
