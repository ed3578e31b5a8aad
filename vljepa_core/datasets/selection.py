"""From a dataset to the examples one run sees: a seeded subset, one caption per image, drawn once."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass

import numpy as np

from vljepa_core import tokenizer
from vljepa_core.datasets.categories import CategoryFinder
from vljepa_core.datasets.dataset import DataError, Dataset
from vljepa_core.recipes import Recipe
from vljepa_core.tokenizer import Tokens


@dataclass(frozen=True)
class Examples:
    """One split of one run, tokenised once.

    Attributes:
        images: uint8 (N, S, S, 3).
        image_ids: N ids.
        texts: the caption drawn for each image: training target, and reference of the study's metrics.
        references: all captions of each image, for Bleu and CIDEr.
        ids: uint16 (N, L) token ids of ``texts``, padded with PAD.
        labels: int64 (N,) indices into the dataset's categories for classification, else None.
        features: float16 (N, P, C), what a frozen network sees in the images, where that is what plans are made from.
        tokens: what ``ids`` were made by.
    """

    images: np.ndarray
    image_ids: list[int | str]
    texts: list[str]
    references: list[list[str]]
    ids: np.ndarray
    labels: np.ndarray | None
    features: np.ndarray | None = None
    tokens: Tokens = tokenizer

    @property
    def seen(self) -> np.ndarray:
        """What plans are made from: the images, or a frozen network's features of them."""
        return self.images if self.features is None else self.features

    def __len__(self) -> int:
        return len(self.texts)

    def first(self, n: int) -> Examples:
        """The first ``n`` of these examples, or all where there are fewer."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "tokens"}
        first = {name: None if value is None else value[:n] for name, value in values.items()}
        return dataclasses.replace(self, **first)


def select(dataset: Dataset, recipe: Recipe, seed: int, features: np.ndarray | None = None) -> dict[str, Examples]:
    """Train and validation examples of a run; ``features`` of all images of the dataset, where plans are made of them.

    Draws ``n_train`` and ``n_val`` images (all of them, and says so, where there are fewer), then one caption
    per image, once, as the study does. Classification keeps images whose caption names exactly one category.
    """
    if dataset.image_size != recipe.image_size:
        raise DataError(f"{dataset.name}: images are {dataset.image_size} px, the recipe wants {recipe.image_size} px")
    train = _select_split(dataset, recipe, "train", recipe.n_train, np.random.default_rng([seed, 0]), features)
    if recipe.vocab_size > tokenizer.VOCAB_SIZE:
        from vljepa_core.pieces import Pieces

        train = _retold(train, Pieces((text for each in train.references for text in each), recipe.vocab_size), recipe)
    if recipe.validate_on == "train":
        return {"train": train, "val": train.first(recipe.n_val)}
    validation = _select_split(dataset, recipe, "val", recipe.n_val, np.random.default_rng([seed, 1]), features)
    return {"train": train, "val": _retold(validation, train.tokens, recipe)}


def _retold(examples: Examples, tokens: Tokens, recipe: Recipe) -> Examples:
    """The same examples, their captions in other ids."""
    if tokens is examples.tokens:
        return examples
    ids = tokens.encode_batch(examples.texts, recipe.max_length)
    return dataclasses.replace(examples, ids=ids, tokens=tokens)


def _select_split(
    dataset: Dataset,
    recipe: Recipe,
    split: str,
    wanted: int,
    rng: np.random.Generator,
    features: np.ndarray | None,
) -> Examples:
    available = dataset.splits[split]
    if len(available) < wanted:
        print(
            f"{dataset.name}: {len(available)} {split} images, {recipe.experiment} at {recipe.scale} would use "
            f"{wanted}; using all {len(available)}",
            file=sys.stderr,
        )
    index = np.sort(rng.permutation(available)[:wanted])
    texts = [dataset.captions[i][rng.integers(len(dataset.captions[i]))] for i in index]
    labels = None
    if recipe.objective == "classify":
        finder = CategoryFinder(dataset.categories)
        named = [finder.only(text) for text in texts]
        kept = np.array([name is not None for name in named], dtype=bool)
        if not kept.any():
            raise DataError(
                f"{dataset.name}: no {split} caption names exactly one of the {len(finder.names)} categories "
                f"({', '.join(finder.names[:5])}, ...), so {recipe.experiment} has nothing to classify"
            )
        labels = np.array([finder.names.index(name) for name in named if name is not None])
        index, texts = index[kept], [text for text, keep in zip(texts, kept, strict=True) if keep]
    return Examples(
        images=dataset.images[index],
        image_ids=[dataset.image_ids[i] for i in index],
        texts=texts,
        references=[dataset.captions[i] for i in index],
        ids=tokenizer.encode_batch(texts, recipe.max_length),
        labels=labels,
        features=None if features is None else features[index],
    )
