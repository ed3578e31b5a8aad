"""A plan to a message and back: cut it, turn it, quantise it, code it.

Shared by both sides, and so not counted as sent: the model, the mean and scale of every channel, the principal
components, the frequencies. All are fitted on the plans of training images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

from vljepa_core import entropy_coding
from vljepa_core.quantise import Quantiser, fit_quantiser, fit_step

PRECISIONS = ("fp16", "int8", "int4", "binary", "fsq5")
MOST_COMPONENTS = 128  # of a codec that chooses by itself how many it uses
_HALVINGS = 24  # of the interval in which the step is looked for


@dataclass(frozen=True)
class Codec:
    """What of a plan is sent, and how.

    Attributes:
        precision: as ``fit_quantiser`` takes it, or ``step``: one step for all numbers, so that the coded message has
            ``target`` bytes on average over the training plans.
        vectors: the first of the K, k. The others arrive as zeros.
        width: the first of the D numbers of a vector, w. The others arrive as zeros.
        components: send that many principal components of these k x w numbers; 0: the numbers themselves.
        target: bytes, for ``step`` only.
    """

    precision: str
    vectors: int
    width: int
    components: int = 0
    target: int = 0

    @property
    def name(self) -> str:
        """What is sent, in words that tell it from any other codec of the same model."""
        what = f"{self.vectors} x {self.width}"
        if self.precision == "step":
            return f"{what}, principal components, {self.target} bytes"
        if self.components:
            return f"{what}, {self.components} principal components, {self.precision}"
        return f"{what}, {self.precision}"

    @property
    def family(self) -> str:
        """Codecs that differ only in how much they send."""
        if self.precision == "step":
            return "principal components, one step"
        return f"principal components, {self.precision}" if self.components else self.precision


def cut(plans: np.ndarray, vectors: int, width: int) -> np.ndarray:
    """The first ``vectors`` and the first ``width`` numbers of each, the rest zero: as plans (N, K, D).

    Raises:
        ValueError: less than one, or more than there are.
    """
    _, k, d = plans.shape
    if not (1 <= vectors <= k and 1 <= width <= d):
        raise ValueError(f"a plan of {k} x {d} numbers cut to {vectors} x {width}: 1 to {k} vectors, 1 to {d} numbers")
    out = np.zeros_like(plans)
    out[:, :vectors, :width] = plans[:, :vectors, :width]
    return out


class PlanCoder:
    """A codec, fitted on training plans (N, K, D)."""

    def __init__(self, codec: Codec, train: np.ndarray) -> None:
        self.codec, self.shape = codec, train.shape[1:]
        numbers = self._cut(train)
        self.pca: PCA | None = None
        if codec.components or codec.precision == "step":
            most = min(codec.components or MOST_COMPONENTS, *numbers.shape)
            self.pca = PCA(most, svd_solver="randomized", random_state=0).fit(numbers)
            numbers = self.pca.transform(numbers)
        self.quantiser: Quantiser
        if codec.precision == "step":
            self.quantiser = _step_for(numbers, codec.target)
        else:
            self.quantiser = fit_quantiser(codec.precision, numbers)
        self.cumulative: np.ndarray | None = None  # half precision has no frequencies worth the name
        if codec.precision != "fp16":
            self.cumulative = entropy_coding.cumulative_frequencies(
                self.quantiser.symbols(numbers), self.quantiser.levels
            )

    def _cut(self, plans: np.ndarray) -> np.ndarray:
        """What is sent of plans (N, K, D), unquantised: (N, k w)."""
        return cut(plans, self.codec.vectors, self.codec.width)[:, : self.codec.vectors, : self.codec.width].reshape(
            len(plans), -1
        )

    def symbols(self, plans: np.ndarray) -> np.ndarray:
        """float32 (N, K, D) -> int64 (N, n), what a message says."""
        numbers = self._cut(plans)
        return self.quantiser.symbols(numbers if self.pca is None else self.pca.transform(numbers))

    def plans(self, symbols: np.ndarray) -> np.ndarray:
        """int64 (N, n) -> float32 (N, K, D), the plans that arrive."""
        numbers = self.quantiser.numbers(symbols)
        if self.pca is not None:
            numbers = self.pca.inverse_transform(numbers)
        out = np.zeros((len(symbols), *self.shape), dtype=np.float32)
        out[:, : self.codec.vectors, : self.codec.width] = numbers.reshape(-1, self.codec.vectors, self.codec.width)
        return out

    @property
    def fixed_bytes(self) -> int:
        """Bytes of every message without entropy coding."""
        return entropy_coding.packed_bytes(self.quantiser.levels)

    def coded_bytes(self, symbols: np.ndarray) -> np.ndarray | None:
        """Bytes of each message (N,) with entropy coding, actually coded; None for half precision."""
        return None if self.cumulative is None else entropy_coding.coded_bytes(symbols, self.cumulative)


def _step_for(numbers: np.ndarray, target: int) -> Quantiser:
    """The smallest common step at which training messages have ``target`` bytes on average (the ideal length)."""
    largest = float(np.abs(numbers - numbers.mean(axis=0)).max()) or 1.0
    low, high = largest / (entropy_coding.SCALE // 10), 4 * largest  # at most as many levels as can be coded
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        quantiser = fit_step(numbers, middle)
        symbols = quantiser.symbols(numbers)
        cumulative = entropy_coding.cumulative_frequencies(symbols, quantiser.levels)
        too_long = entropy_coding.ideal_bits(symbols, cumulative).mean() > 8 * target
        low, high = (middle, high) if too_long else (low, middle)
    return fit_step(numbers, high)


def some_codecs(k: int, d: int) -> list[Codec]:
    """About 20 codecs for a plan of k x d numbers, from all of it to one byte; the first is the plan itself in fp16."""
    few, little = min(4, k), min(32, d)
    half = min(64, d)
    wanted = {
        "fp16": [(k, d), (few, d), (1, d), (1, little)],
        "int8": [(k, d), (1, d), (1, little)],
        "int4": [(k, d), (1, d), (1, half)],
        "binary": [(k, d), (few, d), (1, d)],
        "fsq5": [(k, d), (1, little)],
    }
    cuts = [Codec(precision, *size) for precision, sizes in wanted.items() for size in sizes]
    principal = [Codec("int4", k, d, components=n) for n in (64, 16) if n <= k * d]
    return list(dict.fromkeys([*cuts, *principal, *(Codec("step", k, d, target=b) for b in (64, 32, 16, 8, 4, 2, 1))]))


def all_codecs(k: int, d: int) -> list[Codec]:
    """Every k = 1, 2, 4, ... and w = 32, 64, ... in every precision, and ``some_codecs``: 100 and more."""
    vectors = [*(n for n in (1, 2, 4, 8, 16, 32) if n < k), k]
    widths = [*(n for n in (32, 64, 128, 256, 512) if n < d), d]
    grid = [Codec(precision, v, w) for precision in PRECISIONS for v in reversed(vectors) for w in reversed(widths)]
    return list(dict.fromkeys([*some_codecs(k, d), *grid]))
