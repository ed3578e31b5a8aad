"""What share of bits and CIDEr is left: from terms per image, so that two codecs can be compared image by image."""

from __future__ import annotations

import numpy as np

from vljepa_core import probes
from vljepa_core.metrics import Metric, mean_metric, resampled_sums


def infonce_terms(scores: np.ndarray, seed: int = 0) -> np.ndarray:
    """Bits that each measured caption contributes to ``probes.infonce``, which is their mean; float64."""
    rest, b = probes.measured_part(np.asarray(scores, dtype=np.float64), seed)
    relative = b * (rest - rest.max(axis=1, keepdims=True))
    others = np.log(np.maximum(np.exp(relative).mean(axis=1), 1e-300))
    return np.minimum(np.diagonal(relative) - others, np.log(len(rest))) / np.log(2)


def share_kept(values: np.ndarray, whole: np.ndarray) -> Metric | None:
    """Mean of ``values`` / mean of ``whole``, both (N,), with a 95% bootstrap interval paired over images.

    None where the mean of ``whole`` is not above 0 with its interval: there is nothing to keep a share of.
    """
    if mean_metric(whole).low <= 0:
        return None
    kept, all_of_it = resampled_sums(np.stack([values, whole], axis=1)).T
    low, high = np.quantile(kept / all_of_it, [0.025, 0.975])
    return Metric(float(np.sum(values) / np.sum(whole)), float(low), float(high), len(whole))
