"""Do plans of different images differ? Cosine, effective rank, share of variance."""

from __future__ import annotations

import numpy as np


def plan_geometry(plans: np.ndarray) -> dict[str, float]:
    """How far the plans of different images differ; plans float (N, K, D), N > 1.

    - ``plan_cosine``: mean cosine between the mean-pooled plans of different images; 1 when all coincide.
      The study's diversity loss is this number on a batch.
    - ``plan_rank``: RankMe (Garrido et al. 2023), exp of the entropy of the normalised singular values of the
      mean-pooled plans (N, D), not centred: 1 when all coincide, at most min(N, D).
    - ``plan_variance_share``: variance of the plan vectors between images / their mean squared length: 0 when
      all images have the same plan, near 1 when plans of different images have nothing in common.
    """
    plans = plans.astype(np.float64)
    pooled = plans.mean(axis=1)
    unit = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
    n = len(unit)
    cosine = (np.square(unit.sum(axis=0)).sum() - n) / (n * (n - 1))
    singular = np.linalg.svd(pooled, compute_uv=False)
    p = singular / singular.sum()
    rank = np.exp(-(p[p > 0] * np.log(p[p > 0])).sum())
    between = np.square(plans - plans.mean(axis=0)).sum(axis=-1).mean()
    length = np.square(plans).sum(axis=-1).mean()
    share = between / length if length > 0 else 0.0
    return {"plan_cosine": float(cosine), "plan_rank": float(rank), "plan_variance_share": float(share)}
