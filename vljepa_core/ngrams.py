"""pycocoevalcap's CIDEr and Bleu counts, with the references read once for as many sets of captions as are scored.

pycocoevalcap cuts and weighs all references anew for every set; a record scores four sets against the same ones, an
audit six. N-grams are still cut by its own functions, and a test holds every score against it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from pycocoevalcap.bleu.bleu_scorer import cook_refs, cook_test
from pycocoevalcap.cider.cider_scorer import precook

ORDERS = 4  # 1- to 4-grams
SIGMA = 6.0  # of the length penalty, as in pycocoevalcap


class References:
    """The references of each image, tokenised: one non-empty list of texts per image."""

    def __init__(self, references: Sequence[Sequence[str]]) -> None:
        self.for_bleu = [cook_refs(each) for each in references]
        counts = [[precook(text, ORDERS) for text in each] for each in references]
        frequency = Counter(gram for each in counts for gram in set().union(*each))
        self.most = np.log(float(len(references)))  # weight of an n-gram that no image's references have
        self.weight = {gram: self.most - np.log(float(n)) for gram, n in frequency.items()}
        self.for_cider = [self._image(each) for each in counts]

    def _image(self, counts: list[dict[tuple, int]]) -> tuple[dict[tuple, list], np.ndarray, np.ndarray]:
        """Of one image: (reference, weight) of every n-gram; norms (R, ORDERS); lengths (R,)."""
        where: dict[tuple, list[tuple[int, float]]] = {}
        norms, lengths = np.zeros((len(counts), ORDERS)), np.zeros(len(counts))
        for i, grams in enumerate(counts):
            weights, norms[i], lengths[i] = self._weigh(grams)
            for gram, weight in weights.items():
                where.setdefault(gram, []).append((i, weight))
        return where, norms, lengths

    def _weigh(self, grams: dict[tuple, int]) -> tuple[dict[tuple, float], list[float], int]:
        """TF-IDF of each n-gram, Euclidean norm of each order, length (in 2-grams, as pycocoevalcap has it)."""
        weights, squares, length = {}, [0.0] * ORDERS, 0
        for gram, n in grams.items():
            weights[gram] = weight = n * self.weight.get(gram, self.most)
            squares[len(gram) - 1] += weight * weight
            length += n if len(gram) == 2 else 0
        return weights, [square**0.5 for square in squares], length

    def cider(self, captions: Sequence[str]) -> np.ndarray:
        """CIDEr of one tokenised caption per image, float64 (N,)."""
        found = np.zeros(len(captions))
        for row, (caption, (where, norms, lengths)) in enumerate(zip(captions, self.for_cider, strict=True)):
            weights, norm, length = self._weigh(precook(caption, ORDERS))
            shared = np.zeros_like(norms)
            for gram, weight in weights.items():
                for i, other in where.get(gram, ()):
                    shared[i, len(gram) - 1] += min(weight, other) * other
            scale = norms * norm
            cosine = np.divide(shared, scale, out=shared, where=scale != 0)
            penalty = np.exp(-((length - lengths) ** 2) / (2 * SIGMA**2))
            found[row] = 10 * (cosine * penalty[:, None]).mean()
        return found

    def bleu(self, captions: Sequence[str]) -> np.ndarray:
        """What a corpus Bleu-4 is made of, for one tokenised caption per image: int64 (N, 10).

        Length of the caption, of the closest reference, 1- to 4-grams in the caption, those that a reference has.
        """
        rows = []
        for caption, references in zip(captions, self.for_bleu, strict=True):
            counts = cook_test(caption, references)
            closest = min(counts["reflen"], key=lambda n, own=counts["testlen"]: (abs(n - own), n))
            rows.append([counts["testlen"], closest, *counts["guess"], *counts["correct"]])
        return np.array(rows, dtype=np.int64)


@lru_cache(maxsize=2)
def read_references(references: tuple[tuple[str, ...], ...]) -> References:
    """The same references are read once."""
    return References(references)
