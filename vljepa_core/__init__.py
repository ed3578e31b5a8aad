"""VL-JEPA, small enough to read: can a latent plan of K vectors carry one image well enough to write about it?

The rooms in the order data flows: ``tokenizer``, ``datasets``, ``recipes``, ``model``, ``generate``,
``geometry``, ``objectives``, ``train`` (with ``checkpoints``), ``metrics``, ``verdicts``, ``evaluate``, ``runs``
(with ``records`` and ``provenance``), ``decision_tree``, ``published``, ``figures``, ``report``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vljepa_core.recipes import Recipe, recipe

if TYPE_CHECKING:
    from vljepa_core.records import Record, recorded
    from vljepa_core.runs import prepare, run

__all__ = ["Recipe", "Record", "prepare", "recipe", "recorded", "run"]

# Imported when first used: PyTorch takes seconds to import, and fetching or checking data doesn't need it.
_LATER = {"Record": "records", "recorded": "records", "prepare": "runs", "run": "runs"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    return value
