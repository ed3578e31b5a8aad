"""Which training image is nearest to a validation image: what was said of that one is a caption without a decoder."""

from __future__ import annotations

import numpy as np

_AT_ONCE = 1_000  # training rows; bounds the memory


def nearest(train: np.ndarray, val: np.ndarray) -> np.ndarray:
    """The nearest row of ``train`` (N, ...) for each of ``val`` (M, ...), Euclidean; the first of equals: int64 (M,).

    Exact for pixels: in float64 all sums of uint8 products are whole numbers.
    """
    x = val.reshape(len(val), -1).astype(np.float64)
    best, index = np.full(len(x), np.inf), np.zeros(len(x), dtype=np.int64)
    for start in range(0, len(train), _AT_ONCE):
        some = train[start : start + _AT_ONCE].reshape(-1, x.shape[1]).astype(np.float64)
        distance = np.square(some).sum(axis=1) - 2 * (x @ some.T)  # squared, but for what is the same for all
        which = distance.argmin(axis=1)
        least = distance[np.arange(len(x)), which]
        closer = least < best
        best[closer], index[closer] = least[closer], start + which[closer]
    return index
