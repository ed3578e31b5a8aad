"""VL-JEPA, small enough to read: can a latent plan of K vectors carry one image well enough to write about it?

The rooms in the order data flows: ``tokenizer``, ``datasets``, ``recipes``, ``model``, ``generate``,
``geometry``, ``objectives``, ``train`` (with ``checkpoints``), ``metrics``, ``verdicts``, ``evaluate``, ``runs``
(with ``records``, ``provenance``, ``describe``, ``estimate``), ``decision_tree``, ``published``, ``figures``, ``report``.
"""

from vljepa_core.recipes import Recipe, recipe
from vljepa_core.records import Record, recorded
from vljepa_core.runs import prepare, run

__all__ = ["Recipe", "Record", "prepare", "recipe", "recorded", "run"]
