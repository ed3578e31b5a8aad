"""One captioner with plans of several sizes, made in several ways: what comes through, and which floors are reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from vljepa_core.figures.display import Display, escape
from vljepa_core.figures.reading import as_made, one_each_seed, place, title
from vljepa_core.figures.tables import NOT_MEASURED, a_line_each, bullets, html_table, with_interval
from vljepa_core.goals import MEASURES, Judged, judge, number
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
        cells = [a_line_each([judged[measure] for judged in found], _value) for measure in _SHOWN]
        plan = f"{_plan(seeds[0], records[0])}<small>floors reached: {', '.join(map(_reached, found))}</small>"
        rows.append([plan, *cells])
    head = ["plan", *(MEASURES[name] for name in _SHOWN)]
    note = (
        f"{title(records[0])} with plans of several sizes, {place(list(records))}; a line for each seed. In brackets: "
        "95% interval over images. *: below its floor."
    )
    return html_table(note, head, rows)


def _value(judged: Judged) -> str:
    """A measure of one run, with a star where it is below its floor."""
    if judged.value is None:
        return NOT_MEASURED
    star = "*" if judged.floor_met is False else ""
    if judged.measure == "infonce":
        return with_interval({"value": judged.value, "low": judged.low, "high": judged.high}) + star
    return number(judged.measure, judged.value) + star


def _reached(found: Mapping[str, Judged]) -> str:
    """How many floors a run reaches, of those that could be measured."""
    met = [each.floor_met for each in found.values() if each.floor_met is not None]
    return f"{sum(met)} of {len(met)}"


def _plan(record: Record, first: Record) -> str:
    """A plan's shape and size, how it is made, and what else its run changes of the ``first``'s recipe."""
    made = in_full(record.recipe)
    vectors, width = made["plan_vectors"], made["dim"]
    read = {"tokens": "all tokens, no queries", "image": "read by queries"}.get(made["plan_reads"], "as published")
    said = [f"{2 * vectors * width:,} bytes", read, f"{made['image_size']} pixels"]
    said += [f"{key}={made[key]}" for key in differing(record.recipe, first.recipe) if key not in _NAMED]
    said += [record.provenance["precision"]]
    return f"{vectors} x {width}<small>{escape(', '.join(said))}</small>"
