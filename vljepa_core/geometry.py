"""Do plans of different images differ? Cosine, effective rank, share of variance."""

from __future__ import annotations

import numpy as np

# Share of the plans' length below which a difference is float32's rounding.
ROUNDING = 1e-7
MEASURES = ("plan_cosine", "plan_rank", "plan_centred_rank", "plan_vector_rank", "plan_variance_share")
# What each can be at least, and at most.
LIMITS = {
    "plan_cosine": (-1.0, 1.0),
    "plan_rank": (0.0, float("inf")),
    "plan_centred_rank": (0.0, float("inf")),
    "plan_vector_rank": (0.0, float("inf")),
    "plan_variance_share": (0.0, 1.0),
}


def plan_geometry(plans: np.ndarray) -> dict[str, float]:
    """How far the plans of different images differ; plans float (N, K, D), N > 1.

    - ``plan_cosine``: mean cosine between the mean-pooled plans of different images; 1 when all coincide.
      The study's diversity loss is this number on a batch.
    - ``plan_rank``: RankMe (Garrido et al. 2023), exp of the entropy of the normalised singular values of the
      mean-pooled plans (N, D), not centred: 1 when all coincide, at most min(N, D).
    - ``plan_centred_rank``: the same after their mean over images is subtracted: in how many directions plans
      differ, however little they do. 0 when all coincide (to float32's rounding), at most min(N - 1, D).
    - ``plan_vector_rank``: RankMe of the K vectors of one plan about their mean (K, D), mean over images: 0 when the
      K vectors coincide, at most min(K - 1, D).
    - ``plan_variance_share``: variance of the plan vectors between images / their mean squared length: 0 when
      all images have the same plan, near 1 when plans of different images have nothing in common.

    All are NaN where a plan is not finite.
    """
    if not np.isfinite(plans).all():
        return dict.fromkeys(MEASURES, float("nan"))
    plans = plans.astype(np.float64)
    pooled = plans.mean(axis=1)
    unit = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
    n = len(unit)
    cosine = (np.square(unit.sum(axis=0)).sum() - n) / (n * (n - 1))
    between = np.square(plans - plans.mean(axis=0)).sum(axis=-1).mean()
    length = np.square(plans).sum(axis=-1).mean()
    share = between / length if length > 0 else 0.0
    spread = np.linalg.svd(pooled - pooled.mean(axis=0), compute_uv=False)
    # N matrices (K, D) at once, by their small Gram matrices.
    vectors = plans - plans.mean(axis=1, keepdims=True)
    squares = np.linalg.eigvalsh(vectors @ vectors.transpose(0, 2, 1))
    of_vectors = _rank(np.sqrt(np.maximum(squares, 0.0)), np.linalg.norm(plans, axis=(1, 2))[:, None])
    rank = _rank(np.linalg.svd(pooled, compute_uv=False), np.linalg.norm(pooled))
    values = (cosine, rank, _rank(spread, np.linalg.norm(pooled)), of_vectors.mean(), share)
    return {name: float(value) for name, value in zip(MEASURES, values, strict=True)}


def _rank(singular: np.ndarray, length: np.ndarray | float) -> np.ndarray:
    """exp of the entropy of singular values (..., R) normalised to sum 1; 0 where all are rounding of ``length``."""
    p = np.where(singular > ROUNDING * length, singular, 0.0)
    total = p.sum(axis=-1, keepdims=True)
    p = p / np.maximum(total, 1e-300)
    entropy = -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=-1)
    return np.where(total[..., 0] > 0, np.exp(entropy), 0.0)
