"""VL-JEPA, small enough to read: can a latent plan of K vectors carry one image well enough to write about it?

The rooms in the order data flows: ``tokenizer``, ``datasets``, ``recipes``, ``model``, ``generate``, ``geometry``,
``objectives``, ``train`` (with ``checkpoints``, ``distributed``), ``metrics`` (``ngrams``), ``probes``,
``plan_probes``, ``linear_probes``, ``neighbours``, ``verdicts``, ``evaluate``, ``runs`` (``records``, ``provenance``,
``describe``, ``roofline``, ``estimate``), ``sweeps`` (``jobs``), ``rate`` (``entropy_coding``, ``quantise``,
``codecs``, ``recompress``, ``kept``, ``rate_record``, ``rate_runs``), ``blind``, ``ladder``,
``published``, ``baselines``, ``differences``, ``interventions``, ``rungs``, ``decision_tree``, ``goals``, ``keeping``,
``figures``, ``report``, ``audit`` (``audit_files``, ``audit_page``), ``commands``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vljepa_core.recipes import Recipe, recipe
    from vljepa_core.records import Record, recorded
    from vljepa_core.runs import finished, known, prepare, run
    from vljepa_core.sweeps import recorded_sweep, sweep_table

__all__ = [
    "Recipe", "Record", "finished", "known", "prepare", "recipe", "recorded", "recorded_sweep", "run", "sweep_table"
]  # fmt: skip

_ROOM = {"Recipe": "recipes", "recipe": "recipes", "Record": "records", "recorded": "records",
         **dict.fromkeys(("finished", "known", "prepare", "run"), "runs"),
         **dict.fromkeys(("recorded_sweep", "sweep_table"), "sweeps")}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Imported when first asked for: rooms that need no PyTorch (the audit, the metrics) start without it."""
    if name not in _ROOM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOM[name]}"), name)
