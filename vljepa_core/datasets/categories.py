"""The study's 20 categories: which of them a caption names (validate_classification.py).

Whole words, lower-cased. A caption that names exactly one category is *unambiguous* and becomes a
classification example; all others are left out of Test 3.
"""

from __future__ import annotations

import re

PATTERNS: dict[str, tuple[str, ...]] = {
    "person": ("man", "woman", "boy", "girl", "child", "people", "person", "kid", "player", "rider"),
    "dog": ("dog", "dogs", "puppy"),
    "cat": ("cat", "cats", "kitten"),
    "vehicle": ("car", "cars", "truck", "bus", "van", "motorcycle", "bicycle", "bike"),
    "bird": ("bird", "birds"),
    "horse": ("horse", "horses"),
    "food": ("pizza", "cake", "sandwich", "donut", "food", "meal", "plate", "dish"),
    "airplane": ("airplane", "plane", "jet"),
    "boat": ("boat", "boats", "ship"),
    "train": ("train", "trains", "locomotive"),
    "elephant": ("elephant", "elephants"),
    "giraffe": ("giraffe", "giraffes"),
    "zebra": ("zebra", "zebras"),
    "sheep": ("sheep", "lamb"),
    "cow": ("cow", "cows", "cattle"),
    "bear": ("bear", "bears"),
    "surfboard": ("surfboard", "surfing", "surf"),
    "sports": ("baseball", "tennis", "soccer", "football", "skiing", "ski", "snowboard", "skate"),
    "furniture": ("couch", "chair", "table", "desk", "bench", "bed", "sofa"),
    "outdoor": ("street", "sidewalk", "field", "park", "beach", "ocean", "mountain", "tree"),
}
CATEGORIES: tuple[str, ...] = tuple(PATTERNS)


class CategoryFinder:
    """Which categories a caption names, for one table of category -> words (or phrases)."""

    def __init__(self, patterns: dict[str, tuple[str, ...]]) -> None:
        self.names = tuple(patterns)
        self._category_of = {word: name for name, words in patterns.items() for word in words}
        longest_first = sorted(self._category_of, key=len, reverse=True)
        self._any_word = re.compile(r"\b(?:" + "|".join(map(re.escape, longest_first)) + r")\b")

    def named(self, caption: str) -> set[str]:
        """Names of all categories that ``caption`` mentions."""
        return {self._category_of[word] for word in self._any_word.findall(caption.lower())}

    def only(self, caption: str) -> str | None:
        """The category of an unambiguous caption; None if it names none or several."""
        named = self.named(caption)
        return next(iter(named)) if len(named) == 1 else None


_STUDY = CategoryFinder(PATTERNS)
categories_named = _STUDY.named
only_category = _STUDY.only
