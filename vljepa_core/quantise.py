"""Numbers to symbols of a few levels, and back: what is fitted is fitted per channel, on training plans only.

A quantiser takes x (N, n), float32, to symbols (N, n), whole numbers from 0, and symbols to the numbers they stand for.
Fitted values (a channel's mean, its scale) are known to both sides: they are part of the decoder, and not sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

# Candidates for a scale, as a share of the largest deviation; and for FSQ's bound, in standard deviations.
CLIPS = np.geomspace(0.1, 1.0, 12)
BOUNDS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)


class Quantiser(Protocol):
    """``levels`` (n,) is how many symbols each channel has."""

    levels: np.ndarray

    def symbols(self, x: np.ndarray) -> np.ndarray:
        """float32 (N, n) -> int64 (N, n)."""

    def numbers(self, symbols: np.ndarray) -> np.ndarray:
        """int64 (N, n) -> float32 (N, n)."""


@dataclass(frozen=True)
class Half:
    """IEEE half precision: its 16 bits are the symbol."""

    levels: np.ndarray

    def symbols(self, x: np.ndarray) -> np.ndarray:
        return x.astype(np.float16).view(np.uint16).astype(np.int64)

    def numbers(self, symbols: np.ndarray) -> np.ndarray:
        return symbols.astype(np.uint16).view(np.float16).astype(np.float32)


@dataclass(frozen=True)
class Uniform:
    """Whole multiples, from ``low`` to ``high``, of a channel's ``scale``, about its ``centre``; all (n,)."""

    centre: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def levels(self) -> np.ndarray:
        """Symbols of each channel."""
        return self.high - self.low + 1

    def symbols(self, x: np.ndarray) -> np.ndarray:
        multiples = np.rint((x - self.centre) / self.scale)
        return (np.clip(multiples, self.low, self.high) - self.low).astype(np.int64)

    def numbers(self, symbols: np.ndarray) -> np.ndarray:
        return ((symbols + self.low) * self.scale + self.centre).astype(np.float32)


@dataclass(frozen=True)
class Sign:
    """One bit: above or below a channel's centre, by its mean absolute deviation (XNOR-Net's scale); all (n,)."""

    centre: np.ndarray
    magnitude: np.ndarray

    @property
    def levels(self) -> np.ndarray:
        """Two everywhere."""
        return np.full(len(self.centre), 2)

    def symbols(self, x: np.ndarray) -> np.ndarray:
        return (x >= self.centre).astype(np.int64)

    def numbers(self, symbols: np.ndarray) -> np.ndarray:
        return (self.centre + (2 * symbols - 1) * self.magnitude).astype(np.float32)


@dataclass(frozen=True)
class Bounded:
    """FSQ, finite scalar quantisation (Mentzer et al. 2023), applied after training.

    A number is bounded by tanh and rounded to one of an odd number of levels. Nothing was trained to live on these
    levels, so each stands for the mean of the training numbers that were rounded to it: ``values`` (L, n).
    """

    centre: np.ndarray
    bound: np.ndarray
    values: np.ndarray

    @property
    def levels(self) -> np.ndarray:
        """L everywhere."""
        return np.full(len(self.centre), len(self.values))

    def symbols(self, x: np.ndarray) -> np.ndarray:
        return _rounded(x, self.centre, self.bound, len(self.values))

    def numbers(self, symbols: np.ndarray) -> np.ndarray:
        return self.values[symbols, np.arange(self.values.shape[1])]


def fit_quantiser(precision: str, x: np.ndarray) -> Quantiser:
    """A quantiser fitted on training numbers x (N, n).

    Args:
        precision: ``fp16``, ``int8``, ``int4``, ``binary``, or ``fsq`` with an odd number of levels, as in ``fsq5``.
        x: float32 (N, n).

    Raises:
        ValueError: another precision.
    """
    if precision == "fp16":
        return Half(np.full(x.shape[1], 1 << 16))
    if precision in ("int8", "int4"):
        return _fit_uniform(x, 1 << int(precision[3:]))
    if precision == "binary":
        centre = x.mean(axis=0)
        return Sign(centre, np.abs(x - centre).mean(axis=0))
    levels = precision.removeprefix("fsq")
    if precision.startswith("fsq") and levels.isdigit() and int(levels) >= 3 and int(levels) % 2:
        return _fit_bounded(x, int(levels))
    raise ValueError(f"precision {precision!r}: expected fp16, int8, int4, binary, or fsq3, fsq5, fsq7, ...")


def fit_step(x: np.ndarray, step: float) -> Uniform:
    """The same step in all channels, each with as many multiples of it as its training numbers reach.

    With entropy coding this spends bits on a channel by its variance, and none on one that varies less than the step:
    transform coding's reverse water-filling, where channels are principal components.
    """
    centre = x.mean(axis=0)
    multiples = np.rint((x - centre) / step).astype(np.int64)
    return Uniform(centre, np.full(len(centre), step), multiples.min(axis=0), multiples.max(axis=0))


def _fit_uniform(x: np.ndarray, levels: int) -> Uniform:
    centre = x.mean(axis=0)
    largest = _nonzero(np.abs(x - centre).max(axis=0))
    low, high = np.full(len(centre), -levels // 2), np.full(len(centre), levels // 2 - 1)
    return _least_error(x, [Uniform(centre, largest * clip / (levels // 2 - 0.5), low, high) for clip in CLIPS])


def _fit_bounded(x: np.ndarray, levels: int) -> Bounded:
    centre, spread = x.mean(axis=0), _nonzero(x.std(axis=0))
    candidates = []
    for times in BOUNDS:
        bound = spread * times
        symbols = _rounded(x, centre, bound, levels)
        values = np.empty((levels, x.shape[1]), dtype=np.float32)
        for level in range(levels):
            here = symbols == level
            # A level that no training number has stands for itself; the outermost ones would stand for infinity.
            own = centre + bound * np.arctanh((2 * level - levels + 1) / levels)
            values[level] = np.where(here.any(axis=0), (x * here).sum(axis=0) / np.maximum(here.sum(axis=0), 1), own)
        candidates.append(Bounded(centre, bound, values))
    return _least_error(x, candidates)


def _rounded(x: np.ndarray, centre: np.ndarray, bound: np.ndarray, levels: int) -> np.ndarray:
    half = (levels - 1) // 2
    return (np.rint(np.tanh((x - centre) / bound) * half) + half).astype(np.int64)


def _least_error(x: np.ndarray, candidates: list) -> Quantiser:
    """Of quantisers with the same fields, for every channel the one with the least squared error on x."""
    errors = np.stack([np.square(q.numbers(q.symbols(x)) - x).sum(axis=0) for q in candidates])
    best = errors.argmin(axis=0)

    def chosen(name: str) -> np.ndarray:
        stacked = np.stack([getattr(q, name) for q in candidates])  # (candidates, ..., n)
        return np.take_along_axis(stacked, best.reshape((1,) * (stacked.ndim - 1) + (-1,)), axis=0)[0]

    make: Callable = type(candidates[0])
    return make(*(chosen(name) for name in candidates[0].__dataclass_fields__))


def _nonzero(x: np.ndarray) -> np.ndarray:
    """1 where a channel never varies, so that it can be divided by."""
    return np.where(x > 0, x, np.float32(1))
