"""A split on the device: what plans are made from, captions, and what else a loss is told; batches of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from vljepa_core import tokenizer
from vljepa_core.datasets.selection import Examples
from vljepa_core.datasets.word_bags import word_bags

EVAL_BATCH = 128
# Captions are padded to 1 + a multiple of this, BOS being read and not predicted. Matrix kernels are compiled for every
# new shape, and it is as well to meet the same ones again.
LENGTH_STEP = 8
SHIFT = 4  # pixels that an image is moved by at most, on either axis


class Resident:
    """One split's plan sources and ids, on the device as they are stored: uint8 pixels, int32 ids.

    Args:
        examples: the split.
        device: where it is to lie.
        plan_source: as in the recipe: what ``VLJEPA.plan`` is given is the images (or their features), the captions'
            ids, the row numbers of a table, or 0.
        words: whether the captions' hashed words are told to the loss; else the labels are, where there are any.
    """

    def __init__(
        self, examples: Examples, device: torch.device, plan_source: str = "image", words: bool = False
    ) -> None:
        self.ids = torch.from_numpy(examples.ids.astype(np.int32)).to(device)
        if plan_source == "image":
            self.source = torch.from_numpy(np.ascontiguousarray(examples.seen)).to(device)
        elif plan_source == "caption":
            self.source = self.ids
        else:
            rows = torch.arange(len(examples), device=device)
            self.source = rows if plan_source == "table" else torch.zeros_like(rows)
        self.lengths = (examples.ids != tokenizer.PAD).sum(axis=1)
        self.tokens, self.bytes = examples.tokens, examples.tokens.bytes_predicted(examples.ids)
        self.told: Tensor | None = None
        if words:
            self.told = torch.from_numpy(word_bags(examples.texts)).to(device)
        elif examples.labels is not None:
            self.told = torch.from_numpy(examples.labels).to(device)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labels(self) -> Tensor | None:
        """Class indices int64 (N,) of a split that is classified."""
        return self.told

    def targets(self, index: np.ndarray) -> int:
        """How many terms a batch's mean cross-entropy has: its predicted ids, or its labels."""
        return int((self.lengths[index] - 1).sum()) if self._captions else len(index)

    @property
    def _captions(self) -> bool:
        return self.told is None or self.told.ndim == 2

    def first(self, n: int) -> Resident:
        """The first n of it, or all where there are fewer; views, no copies."""
        part = copy.copy(self)
        part.source, part.ids, part.lengths = self.source[:n], self.ids[:n], self.lengths[:n]
        part.bytes = self.bytes[:n]
        part.told = None if self.told is None else self.told[:n]
        return part

    def batch(self, index: np.ndarray) -> tuple[Tensor, Tensor, Tensor | None]:
        """Plan sources (B, ...), ids (B, N) int64, and labels (B,), hashed words (B, W) or None.

        N is what the longest of these captions needs; on a GPU, where a new shape costs more than padding, it is
        always the same.
        """
        rows = _sent(index, self.ids.device)
        told = None if self.told is None else self.told[rows].long()
        ids = self.ids[rows]
        if ids.device.type == "cpu":
            ids = ids[:, : padded_length(int(self.lengths[index].max()))]
        return self.source[rows], ids.long(), told

    def batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """All of it in order, for evaluation."""
        for start in range(0, len(self), EVAL_BATCH):
            yield self.batch(np.arange(start, min(start + EVAL_BATCH, len(self))))


class TrainingResident(Resident):
    """The training split, which may change from epoch to epoch: other captions of the same images, images moved.

    Args:
        examples, device, plan_source, words: as ``Resident``'s.
        every_caption: draw one of an image's captions anew in every epoch, instead of the one of the examples.
        augment: ``none``, ``shift`` (by up to ``SHIFT`` pixels, edges repeated) or ``flip`` (shift and mirror).
        max_length: ids of a caption at most.
    """

    def __init__(
        self,
        examples: Examples,
        device: torch.device,
        plan_source: str = "image",
        words: bool = False,
        every_caption: bool = False,
        augment: str = "none",
        max_length: int = 128,
    ) -> None:
        super().__init__(examples, device, plan_source, words)
        self.augment, self._drawn = augment, -1
        self._captions_of: np.ndarray | None = None
        if not every_caption:
            return
        each = [len(texts) for texts in examples.references]
        texts = [text for texts in examples.references for text in texts]
        ids = examples.tokens.encode_batch(texts, max_length)
        self._all_ids = torch.from_numpy(ids.astype(np.int32)).to(device)
        self._all_lengths = (ids != tokenizer.PAD).sum(axis=1)
        self._all_bytes = examples.tokens.bytes_predicted(ids)
        self._all_words = torch.from_numpy(word_bags(texts)).to(device) if words else None
        self._captions_of = np.stack([np.cumsum([0, *each[:-1]]), each], axis=1)  # first and number, (N, 2)

    def begin_epoch(self, seed: int, epoch: int) -> None:
        """Draw this epoch's captions, a function of seed and epoch alone; nothing where there is one per image."""
        if self._captions_of is None or self._drawn == epoch:
            return
        first, number = self._captions_of.T
        chosen = first + np.random.default_rng([seed, 8, epoch]).integers(number)
        rows = torch.from_numpy(chosen).to(self.ids.device)
        self.ids, self.lengths, self.bytes = self._all_ids[rows], self._all_lengths[chosen], self._all_bytes[chosen]
        self.told = None if self._all_words is None else self._all_words[rows]
        self._drawn = epoch

    def batch(self, index: np.ndarray) -> tuple[Tensor, Tensor, Tensor | None]:
        """As ``Resident.batch``, the images moved."""
        source, ids, told = super().batch(index)
        return (source if self.augment == "none" else moved(source, self.augment == "flip")), ids, told


def moved(images: Tensor, mirror: bool) -> Tensor:
    """uint8 (B, S, S, 3), each moved by up to ``SHIFT`` pixels on an axis, with ``mirror`` also flipped by chance."""
    size, device = images.shape[1], images.device
    place = torch.arange(size, device=device)
    x, y = (place + torch.randint(-SHIFT, SHIFT + 1, (len(images), 1), device=device) for _ in range(2))
    if mirror:
        x = torch.where(torch.rand(len(images), 1, device=device) < 0.5, x.flip(1), x)
    x, y = x.clamp(0, size - 1), y.clamp(0, size - 1)
    row = torch.arange(len(images), device=device)[:, None, None]
    return images[row, y[:, :, None], x[:, None, :]]


def _sent(index: np.ndarray, device: torch.device) -> Tensor:
    """Row numbers on the device. From pinned memory to a GPU, so that nothing waits until it has caught up."""
    rows = torch.from_numpy(index)
    return rows.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else rows.to(device)


def padded_length(longest: int) -> int:
    """Ids to pad captions to, the longest of which has ``longest`` of them."""
    return -(-(longest - 1) // LENGTH_STEP) * LENGTH_STEP + 1
