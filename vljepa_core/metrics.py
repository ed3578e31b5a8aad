"""The study's metrics exactly as it computes them, and pycocoevalcap's Bleu and CIDEr.

Shares are fractions in [0, 1]. A metric is a :class:`Metric`: value, 95% interval over images, and n. Intervals are
percentile bootstraps of means and of what is computed from sums, and jackknives of what is not, as of a count of
different words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from vljepa_core.jackknife import jackknife
from vljepa_core.ngrams import read_references

if TYPE_CHECKING:
    from vljepa_core.datasets.selection import Examples
    from vljepa_core.recipes import Recipe

# Content words of the study (validate_real_images.py).
CONTENT_WORDS = frozenset(
    "man woman girl boy child people dog cat car bike ball water tree street field white black red blue green yellow "
    "two three group young old small large sitting standing walking running playing wearing holding".split()
)
BOOTSTRAP_RESAMPLES = 2_000
PER_IMAGE = ("cider", "overlap", "content_match")  # of a caption's scores, those that are means over images


@dataclass(frozen=True)
class Metric:
    """A number with its 95% interval (None: not defined) over n images."""

    value: float
    low: float | None
    high: float | None
    n: int


@lru_cache(maxsize=2)
def resamples(n: int) -> np.ndarray:
    """How often each of n images is in each bootstrap resample: uint16 (BOOTSTRAP_RESAMPLES, n), the same every time.

    The resamples being the same for every metric, a difference of two metrics is paired over images.
    """
    rng = np.random.default_rng(0)
    counts = np.empty((BOOTSTRAP_RESAMPLES, n), dtype=np.uint16)
    for row in counts:
        row[:] = np.bincount(rng.integers(n, size=n), minlength=n)
    counts.flags.writeable = False
    return counts


def resampled_sums(values: np.ndarray) -> np.ndarray:
    """Sums of values (n, k) over the images of each resample, float64 (BOOTSTRAP_RESAMPLES, k)."""
    values = values.astype(np.float64)
    # Not all at once: the counts of 40,000 images would be 640 MB as float64.
    return np.concatenate([part.astype(np.float64) @ values for part in np.array_split(resamples(len(values)), 20)])


def mean_metric(values: Sequence[float] | np.ndarray, weights: np.ndarray | None = None) -> Metric:
    """Mean of per-image values (weighted: sum(w x) / sum(w)), with a bootstrap interval over images."""
    x = np.asarray(values, dtype=np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    weighted, total = resampled_sums(np.stack([w * x, w], axis=1)).T
    low, high = np.quantile(weighted / total, [0.025, 0.975])
    return Metric(float(np.dot(w, x) / w.sum()), float(low), float(high), len(x))


def jackknife_metrics(
    statistic: Callable[[np.ndarray], Sequence[float]], n: int, least: float = -math.inf, most: float = math.inf
) -> list[Metric]:
    """What ``statistic`` makes of rows (m,) of n images, with intervals within what is possible; see ``jackknife``."""
    values, half = jackknife(statistic, n)
    if half is None:
        return [Metric(float(v), None, None, n) for v in values]
    found = [Metric(float(v), float(v - h), float(v + h), n) for v, h in zip(values, half, strict=True)]
    return [within(metric, least, most) for metric in found]


def within(metric: Metric, least: float, most: float) -> Metric:
    """The metric, its interval cut at what is possible at least and at most; never away from its value."""
    if metric.low is None or metric.high is None:
        return metric
    low, high = max(metric.low, min(least, metric.value)), min(metric.high, max(most, metric.value))
    return Metric(metric.value, low, high, metric.n)


def balanced_accuracy(labels: np.ndarray, right: np.ndarray) -> Metric:
    """Mean over the classes that occur of how surely their images are answered rightly: ``right`` 0 to 1 (N,).

    In a resample, too, over the classes that are in it.
    """
    draws = np.random.default_rng(0).multinomial(len(labels), [1 / len(labels)] * len(labels), BOOTSTRAP_RESAMPLES)
    counts = np.concatenate([np.ones((1, len(labels)), dtype=np.int64), draws])
    member = labels[:, None] == np.unique(labels)
    of_class = counts @ member
    recall = np.where(of_class > 0, counts @ (member * right[:, None]) / np.maximum(of_class, 1), np.nan)
    balanced = np.nanmean(recall, axis=1)
    low, high = np.quantile(balanced[1:], [0.025, 0.975])
    return Metric(float(balanced[0]), float(low), float(high), len(labels))


class Bags:
    """Things of every caption (words, pairs of words, or the caption itself), to be counted in some of the captions."""

    def __init__(self, things: Sequence[Sequence[Hashable]]) -> None:
        number: dict[Hashable, int] = {}
        ids = [number.setdefault(thing, len(number)) for each in things for thing in each]
        self.ids = np.array(ids, dtype=np.int64)
        self.owner = np.repeat(np.arange(len(things)), [len(each) for each in things])
        self.captions = len(things)

    def counts(self, rows: np.ndarray) -> np.ndarray:
        """How often each thing is in the captions of these rows (m,): those that are, int64."""
        chosen = np.zeros(self.captions, dtype=bool)
        chosen[rows] = True
        found = np.bincount(self.ids[chosen[self.owner]])
        return found[found > 0]


def unique_share(captions: Sequence[str]) -> Metric:
    """Distinct captions / captions, by exact string."""
    bags = Bags([[caption] for caption in captions])
    return jackknife_metrics(lambda rows: [len(bags.counts(rows)) / len(rows)], len(captions), 0, 1)[0]


def words(caption: str) -> list[str]:
    """The study's words: lower-cased, split at white space, punctuation kept."""
    return caption.lower().split()


def unique_words(captions: Sequence[str]) -> Metric:
    """Number of distinct words in all captions together."""
    bags = Bags([words(caption) for caption in captions])
    return jackknife_metrics(lambda rows: [len(bags.counts(rows))], len(captions), 0)[0]


def word_overlap(reference: str, generated: str) -> float:
    """|reference words ∩ generated words| / |reference words|, as sets; 0 for an empty reference."""
    ref = set(words(reference))
    return len(ref & set(words(generated))) / len(ref) if ref else 0.0


def content_match(reference: str, generated: str) -> bool:
    """Whether reference and generation share at least one content word."""
    return bool(set(words(reference)) & set(words(generated)) & CONTENT_WORDS)


def tokenise(caption: str) -> str:
    """Our tokenisation for Bleu and CIDEr, which need no Java: lower-cased runs of letters and digits.

    PTBTokenizer (Java) would split clitics differently; numbers are comparable among captions scored here,
    not with leaderboards.
    """
    return " ".join(re.findall(r"[^\W_]+", caption.lower())) or "empty"


@dataclass(frozen=True)
class Scores:
    """One caption per image against the references, kept per image so that two sets can be compared image by image.

    Attributes:
        cider, overlap, content_match: float64 (N,).
        bleu: int64 (N, 10), what a corpus Bleu-4 is made of; see ``ngrams.References.bleu``.
    """

    cider: np.ndarray
    overlap: np.ndarray
    content_match: np.ndarray
    bleu: np.ndarray

    @property
    def bleu4(self) -> float:
        """Corpus Bleu-4."""
        return float(corpus_bleu4(self.bleu.sum(axis=0)))

    def metrics(self) -> dict[str, Metric]:
        """Means, and Bleu-4 of the whole, with 95% intervals over images."""
        means = {name: mean_metric(getattr(self, name)) for name in PER_IMAGE}
        low, high = np.quantile(corpus_bleu4(resampled_sums(self.bleu)), [0.025, 0.975])
        return {**means, "bleu4": Metric(self.bleu4, float(low), float(high), len(self.bleu))}

    def gain_over(self, other: Scores) -> dict[str, Metric]:
        """These scores minus those of other captions of the same images, with 95% intervals paired over images."""
        gains = {name: mean_metric(getattr(self, name) - getattr(other, name)) for name in PER_IMAGE}
        resampled = resampled_sums(np.hstack([self.bleu, other.bleu]))
        low, high = np.quantile(corpus_bleu4(resampled[:, :10]) - corpus_bleu4(resampled[:, 10:]), [0.025, 0.975])
        return {**gains, "bleu4": Metric(self.bleu4 - other.bleu4, float(low), float(high), len(self.bleu))}


def score(drawn: Sequence[str], references: Sequence[Sequence[str]], captions: Sequence[str]) -> Scores:
    """Score one caption per image: the study's two metrics against the drawn caption, CIDEr and Bleu against all.

    CIDEr weighs n-grams by their rarity among these references, so it is 0 on a single image and only
    comparable between captions of the same images.
    """
    read = read_references(tuple(tuple(map(tokenise, each)) for each in references))
    texts = [tokenise(c) for c in captions]
    pairs = list(zip(drawn, captions, strict=True))
    return Scores(
        cider=read.cider(texts),
        overlap=np.array([word_overlap(r, c) for r, c in pairs], dtype=np.float64),
        content_match=np.array([content_match(r, c) for r, c in pairs], dtype=np.float64),
        bleu=read.bleu(texts),
    )


def corpus_bleu4(counts: np.ndarray) -> np.ndarray:
    """Bleu-4 of counts (..., 10) summed over a corpus, as pycocoevalcap computes it from them; see ``Scores.bleu``."""
    length, reference, guess, correct = counts[..., 0], counts[..., 1], counts[..., 2:6], counts[..., 6:]
    precision = np.prod((correct + 1e-15) / (guess + 1e-9), axis=-1) ** 0.25
    ratio = (length + 1e-15) / (reference + 1e-9)
    return precision * np.exp(np.minimum(0.0, 1 - 1 / ratio))


def others(n: int, seed: int = 0) -> np.ndarray:
    """For each of n > 1 images another one, each used once: a random cycle, int64 (n,)."""
    cycle = np.random.default_rng(seed).permutation(n)
    other = np.empty(n, dtype=np.int64)
    other[cycle] = np.roll(cycle, 1)
    return other


def caption_metrics(
    prefix: str, drawn: Sequence[str], references: Sequence[Sequence[str]], generated: Sequence[str]
) -> dict[str, Metric]:
    """The metrics of one set of generated captions; keys start with ``prefix`` (greedy, sampled).

    overlap, content_match, cider and bleu4 come with their permutation control: ``_permuted`` is the score of the
    same captions given to other images (see ``others``), ``_gain`` what belonging to its own image adds to it, paired
    over images. A gain whose interval holds 0 is no sign of the image having been read.
    """
    own = score(drawn, references, generated)
    permuted = score(drawn, references, [generated[i] for i in others(len(generated))])
    found = {"unique": unique_share(generated), "unique_words": unique_words(generated), **own.metrics()}
    found |= {f"{name}_permuted": metric for name, metric in permuted.metrics().items()}
    found |= {f"{name}_gain": metric for name, metric in own.gain_over(permuted).items()}
    return {f"{prefix}_{name}": metric for name, metric in found.items()}


def recited(references: Sequence[str], generated: Sequence[str]) -> Metric:
    """Share of captions that are, to the letter, the one that the model was to write."""
    return mean_metric([r == g for r, g in zip(references, generated, strict=True)])


def training_captions(recipe: Recipe, train: Examples) -> list[str]:
    """The captions that a run is trained on: one for each image, or all of them in turn (``captions="all"``)."""
    if recipe.captions == "all":
        return [text for texts in train.references for text in texts]
    return train.texts


def variety(captions: Sequence[str], known: set[str] | None = None) -> dict[str, Metric]:
    """How much captions differ from each other, and from the training captions (case and punctuation aside).

    - ``top_caption``: share of the most frequent one.
    - ``distinct_1``, ``distinct_2`` (Li et al. 2016): different words, or pairs of neighbouring words, of all captions
      together / their number.
    - ``verbatim``: share that is in ``known``, the tokenised training captions; only with them.
    """
    n = len(captions)
    texts = [tokenise(c) for c in captions]
    words = [text.split() for text in texts]
    whole = Bags([[caption] for caption in captions])
    grams = Bags(words), Bags([list(pairwise(each)) for each in words])

    def shares(rows: np.ndarray) -> list[float]:
        counted = [each.counts(rows) for each in grams]
        return [whole.counts(rows).max() / len(rows), *(len(c) / max(c.sum(), 1) for c in counted)]

    names = ("top_caption", "distinct_1", "distinct_2")
    measured = dict(zip(names, jackknife_metrics(shares, n, 0, 1), strict=True))
    return measured if known is None else {**measured, "verbatim": mean_metric([text in known for text in texts])}


def classification_metrics(labels: np.ndarray, predicted: np.ndarray, classes: int) -> dict[str, Metric]:
    """Accuracy, its majority-class baseline on the same labels, and the mean recall of the classes present."""
    correct = labels == predicted
    majority = np.bincount(labels, minlength=classes).argmax()
    return {
        "accuracy": mean_metric(correct),
        "majority": mean_metric(labels == majority),
        "balanced_accuracy": balanced_accuracy(labels, correct.astype(np.float64)),
    }


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes): rows are the true class, columns the predicted one."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix
