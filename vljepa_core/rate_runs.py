"""The rate curve of a run that is finished here: its weights, its images, and the network that its features are of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vljepa_core import runs
from vljepa_core.features import frozen_network
from vljepa_core.rate import rate_curve
from vljepa_core.rate_record import RateCurve

FEATURE_BATCH = 32


def curve_of_run(run: runs.Prepared, path: Path | None = None, **how: Any) -> RateCurve:
    """The curve of a run that is finished here, kept as ``rate.json`` in its folder; ``how`` as for ``rate_curve``.

    Raises:
        FileNotFoundError: the run has not been made here.
        ValueError: as ``rate_curve``.
    """
    model = runs.load_model(run)
    about = {
        "data": run.data,
        "dataset": {
            "name": run.dataset.name,
            "fingerprint": run.dataset.fingerprint,
            "n_train": len(run.examples["train"]),
            "n_val": len(run.examples["val"]),
        },
        "weights_sha256": hashlib.sha256((run.folder / "weights.safetensors").read_bytes()).hexdigest(),
    }
    look = {} if run.features is None else {"look": network_features(run)}
    return rate_curve(
        model, run.recipe, run.examples, run.seed, about, path or run.folder / "rate.json", **{**look, **how}
    )


def network_features(run: runs.Prepared) -> Callable[[np.ndarray], np.ndarray]:
    """The run's frozen network: images uint8 (N, S, S, 3) -> features float16 (N, P, C)."""
    network = frozen_network(run.recipe, run.dataset)

    def features(images: np.ndarray) -> np.ndarray:
        parts = torch.from_numpy(images).split(FEATURE_BATCH)
        return np.concatenate([network(part).half().numpy() for part in parts])

    return features
