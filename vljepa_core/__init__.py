"""VL-JEPA, small enough to read: can a latent plan of K vectors carry one image well enough to write about it?

The rooms, in the order in which data flows; none imports a later one:

- what is run: ``tokenizer``, ``published``, ``experiments``, ``recipes``, ``interventions``
- text and pictures: ``files``, ``pieces``, ``datasets``
- the model and its training: ``distributed``, ``model``, ``provenance``, ``features``, ``generate``, ``geometry``,
  ``resident``, ``auxiliary_losses``, ``objectives``, ``checkpoints``, ``train``
- what a run is worth: ``ngrams``, ``jackknife``, ``metrics``, ``probes``, ``plan_probes``, ``linear_probes``,
  ``neighbours``, ``verdicts``, ``evaluate``
- runs and their records: ``records``, ``roofline``, ``describe``, ``runs``, ``estimate``, ``rungs``, ``sweeps``;
  several at a time: ``side_by_side``, ``jobs``
- what records say together: ``blind``, ``baselines``, ``known_bits``, ``goals``, ``extrapolation``, ``differences``,
  ``decision_tree``, ``keeping``
- how few bytes: ``quantise``, ``entropy_coding``, ``codecs``, ``recompress``, ``kept``, ``rate_record``, ``rate``,
  ``rate_runs``
- what people see: ``figures``, ``report``, ``audit_files``, ``audit``, ``audit_page`` (any captioner's output),
  ``commands``
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
