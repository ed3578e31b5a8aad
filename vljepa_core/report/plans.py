"""One captioner with plans of several sizes, made in several ways: what comes through, and which floors are missed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vljepa_core.figures.display import Display, escape
from vljepa_core.figures.reading import as_made, one_each_seed, place
from vljepa_core.figures.tables import NOT_MEASURED, a_line_each, bullets, html_table, with_interval
from vljepa_core.goals import MEASURES, judge, number
from vljepa_core.recipes import differing, in_full
from vljepa_core.records import Record

_SHOWN = ("infonce", "gain_over_blind", "greedy_unique", "greedy_cider")
# Told in the row's name by themselves; a model's heads follow its width.
_NAMED = ("experiment", "plan_vectors", "dim", "heads", "plan_reads", "image_size")


def plans_table(records: Sequence[Record], blind: Iterable[Record]) -> Display:
    """A row for each plan that a captioner was trained with, its seeds line by line, in the order given.

    Args:
        records: of one experiment that has goals, on one dataset at one scale; what else than the plan a row changes is
            told by comparison with the first.
        blind: trained blind models; a record that has its twin among them is compared with it.
    """
    blind = list(blind)
    if not records:
        return bullets(["Plans of several sizes: none is recorded."])
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        groups.setdefault(as_made(record), []).append(record)
    rows = []
    for seeds in groups.values():
        found = [{each.measure: each for each in judge(r, blind)} for r in one_each_seed(seeds)]
        cells = []
        for measure in _SHOWN:
            lines = []
            for judged in found:
                each = judged[measure]
                if each.value is None:
                    lines.append(NOT_MEASURED)
                elif measure == "infonce":
                    lines.append(with_interval({"value": each.value, "low": each.low, "high": each.high}))
                else:
                    lines.append(number(measure, each.value))
            cells.append(a_line_each(lines, str))
        missed = [[MEASURES[name] for name, each in judged.items() if each.floor_met is False] for judged in found]
        rows.append(
            [_plan(seeds[0], records[0]), *cells, a_line_each(missed, lambda names: "; ".join(names) or "none")]
        )
    head = ["plan", *(MEASURES[name] for name in _SHOWN), "floors missed"]
    note = (
        f"Plans of several sizes, {place(list(records))}; a line for each seed. In brackets: 95% interval over images."
    )
    return html_table(note, head, rows)


def _plan(record: Record, first: Record) -> str:
    """A plan's shape and size, how it is made, and what else its run changes of the ``first``'s recipe."""
    made = in_full(record.recipe)
    vectors, width = made["plan_vectors"], made["dim"]
    read = {"tokens": "all tokens, no queries", "image": "read by queries"}.get(made["plan_reads"], "as published")
    said = [f"{2 * vectors * width:,} bytes", read, f"{made['image_size']} pixels"]
    said += [f"{key}={made[key]}" for key in differing(record.recipe, first.recipe) if key not in _NAMED]
    said += [record.provenance["precision"]]
    return f"{vectors} x {width}<small>{escape(', '.join(said))}</small>"
