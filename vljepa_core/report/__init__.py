"""Tables and verdicts of the chapters: each function takes what it tells of, mostly records, and
returns what a notebook displays.

``setting`` tells what was run, ``results`` what came out of one experiment, ``audit``, ``breaks``, ``answers``,
``plans`` and ``rate`` what chapters 8 to 12 ask of all of them.
"""

from vljepa_core.figures.tables import bullets
from vljepa_core.report.answers import (
    cost_table,
    delivered_table,
    found_line,
    goals_table,
    memory_table,
    needed_table,
    predicted_table,
)
from vljepa_core.report.audit import (
    audit_verdict,
    capacity_table,
    differences_list,
    known_bits_table,
    precision_table,
    published_table,
)
from vljepa_core.report.breaks import (
    added_table,
    encoders_table,
    failed_list,
    parts_table,
    rung_summary,
    rung_table,
    useful_table,
    values_table,
)
from vljepa_core.report.plans import plans_table
from vljepa_core.report.rate import one_below_another, rate_table, rate_verdict
from vljepa_core.report.results import (
    category_table,
    probe_table,
    results_table,
    runs_table,
    verdict,
    verdict_table,
)
from vljepa_core.report.setting import dataset_table, recipe_table

__all__ = [
    "added_table",
    "audit_verdict",
    "bullets",
    "capacity_table",
    "category_table",
    "cost_table",
    "dataset_table",
    "delivered_table",
    "differences_list",
    "encoders_table",
    "failed_list",
    "found_line",
    "goals_table",
    "known_bits_table",
    "memory_table",
    "needed_table",
    "one_below_another",
    "parts_table",
    "plans_table",
    "precision_table",
    "predicted_table",
    "probe_table",
    "published_table",
    "rate_table",
    "rate_verdict",
    "recipe_table",
    "results_table",
    "runs_table",
    "rung_summary",
    "rung_table",
    "useful_table",
    "values_table",
    "verdict",
    "verdict_table",
]
