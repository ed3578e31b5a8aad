"""Figures: each function takes records (or a dataset) and returns what a notebook displays.

The last line of a cell, ``figures.loss_curves(record)``, is enough. Every figure carries an alt text that
states what it shows, takes the page's text colour, and fits a phone.
"""

from vljepa_core.figures.answers import answer_bars, caption_coverage, recall_curves
from vljepa_core.figures.bits import plan_bits
from vljepa_core.figures.captions import caption_grid, sample_grid, written_table
from vljepa_core.figures.categories import category_bars
from vljepa_core.figures.comparison import metric_bars
from vljepa_core.figures.confusion import class_accuracy, confusion_matrix
from vljepa_core.figures.curves import collapse_metrics, collapse_timeline, loss_curves
from vljepa_core.figures.display import Display, show
from vljepa_core.figures.extrapolation import growth
from vljepa_core.figures.flow import data_flow
from vljepa_core.figures.phase import phase_diagram
from vljepa_core.figures.plan_sizes import plan_sizes
from vljepa_core.figures.rate import rate_quality
from vljepa_core.figures.rungs import rung_bits
from vljepa_core.figures.statistics import caption_lengths, category_shares
from vljepa_core.figures.timelines import timelines
from vljepa_core.figures.tree import decision_tree

__all__ = [
    "Display",
    "answer_bars",
    "caption_coverage",
    "caption_grid",
    "caption_lengths",
    "category_bars",
    "category_shares",
    "class_accuracy",
    "collapse_metrics",
    "collapse_timeline",
    "confusion_matrix",
    "data_flow",
    "decision_tree",
    "growth",
    "loss_curves",
    "metric_bars",
    "phase_diagram",
    "plan_bits",
    "plan_sizes",
    "rate_quality",
    "recall_curves",
    "rung_bits",
    "sample_grid",
    "show",
    "timelines",
    "written_table",
]
