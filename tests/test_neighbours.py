"""The nearest training image."""

from __future__ import annotations

import numpy as np
import pytest

from vljepa_core import neighbours
from vljepa_core.neighbours import nearest


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_nearest_is_brute_force(kind: type, monkeypatch) -> None:
    monkeypatch.setattr(neighbours, "_AT_ONCE", 7)  # several blocks
    rng = np.random.default_rng(0)
    train, val = (rng.integers(0, 256, (n, 5, 4)).astype(kind) for n in (40, 25))
    slow = [min(range(40), key=lambda i: (((train[i].astype(float) - v) ** 2).sum(), i)) for v in val]
    assert nearest(train, val).tolist() == slow


def test_the_first_of_equals() -> None:
    train = np.tile(np.arange(6, dtype=np.uint8)[:, None], (3, 4))
    assert nearest(train, train[[4, 0, 5]]).tolist() == [4, 0, 5]


def test_differences_far_below_half_precision_are_seen() -> None:
    """Plans of a collapsed run differ in the fourth digit and below."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(1, 16, 128))
    train = (common + 1e-5 * rng.normal(size=(30, 16, 128))).astype(np.float32)
    val = (train[::-1] + 1e-6 * rng.normal(size=(30, 16, 128))).astype(np.float32)
    assert nearest(train, val).tolist() == list(range(29, -1, -1))
