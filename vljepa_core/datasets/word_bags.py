"""A caption as the set of its words, each hashed to a number (feature hashing, Weinberger et al. 2009).

Hashed, a bag needs no vocabulary: the same word has the same number in every split, run and process.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np

BUCKETS = 2048
NO_WORD = 0  # padding
LONGEST = 24  # distinct words; the few captions with more lose the last of them


def word_bag(text: str) -> list[int]:
    """Numbers 1 to ``BUCKETS - 1`` of a caption's distinct words, in order of appearance."""
    words = dict.fromkeys(re.findall(r"[^\W_]+", text.lower()))
    return list(dict.fromkeys(1 + zlib.crc32(word.encode()) % (BUCKETS - 1) for word in words))[:LONGEST]


def word_bags(texts: Sequence[str]) -> np.ndarray:
    """int16 (N, LONGEST), padded with ``NO_WORD``."""
    found = np.full((len(texts), LONGEST), NO_WORD, dtype=np.int16)
    for row, text in zip(found, texts, strict=True):
        bag = word_bag(text)
        row[: len(bag)] = bag
    return found
