"""The audit chapter's tables: published evidence beside trivial answers, report against code, capacity, verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from vljepa_core.differences import Difference
from vljepa_core.figures.display import Display, escape
from vljepa_core.figures.reading import TITLES, metric, setting
from vljepa_core.figures.units import counted, number, unit_of
from vljepa_core.published import PUBLISHED
from vljepa_core.records import Record
from vljepa_core.report import NOT_MEASURED, html_table
from vljepa_core.verdicts import capacity_verdict

_SENDS = {
    "capacity_overfit": "the image, through the published encoder",
    "capacity_oracle": "the caption itself, through an encoder of the same kind",
    "capacity_table": "a free plan for every image, learned directly",
}


def published_table() -> Display:
    """Every published number that has a trivial baseline, beside it."""
    rows = []
    for name in ("train_loss", "accuracy", "sampled_content_match", "sampled_unique"):
        reported, trivial = [], {}
        for experiment, run in PUBLISHED.items():
            found, baselines = run.metrics.get(name), run.baselines.get(name, ())
            if found is None or found.value is None or not baselines:
                continue
            reported.append(f"<div>{number(name, found.value)}<small>{escape(TITLES[experiment])}</small></div>")
            for b in baselines:
                trivial.setdefault((b.label, b.data), []).append(b.value)
        lines = [
            f"<div>{' / '.join(number(name, v) for v in dict.fromkeys(values))}<small>{escape(label)} ({escape(data)})"
            "</small></div>"
            for (label, data), values in trivial.items()
        ]
        unit = unit_of(name)
        label = escape(unit.label) + (f"<small>{escape(unit.unit)}</small>" if unit.unit else "")
        rows.append([label, "".join(reported), "".join(lines)])
    return html_table(
        "The study's evidence, and what answers score that see no image (or, where it says so, a human).",
        ["number", "reported", "trivial answers"],
        rows,
    )


def differences_list(found: Iterable[Difference]) -> Display:
    """Each difference between report and code, with what was counted or measured about it."""
    found = list(found)
    items = "".join(
        f"<li>{escape(each.statement)}<ul>{''.join(f'<li>{escape(line)}</li>' for line in each.shown)}</ul></li>"
        for each in found
    )
    text = " ".join(" ".join((each.statement, *each.shown)) for each in found)
    return Display(f'<div class="vljepa"><ol>{items}</ol></div>', text)


def capacity_table(records: Sequence[Record], memorised: Mapping[str, float] | None = None) -> Display:
    """The three capacity runs, each judged by thresholds written before them.

    Args:
        records: of ``capacity_overfit``, ``capacity_oracle`` and ``capacity_table``; any settings, one row each.
        memorised: setting of a record (``reading.setting``) -> what an image-blind memoriser of the captions it was
            measured on reaches, nats per byte.
    """
    rows = []
    for record in records:
        exact, bits = metric(record, "greedy_exact"), metric(record, "infonce")
        blind = (memorised or {}).get(f"{record.experiment}, {setting(record)}")
        verdict = (
            "not measured" if not exact or not bits else capacity_verdict(exact["value"], bits["value"], bits["n"])
        )
        recipe = record.recipe
        rows.append([
            escape(_SENDS.get(record.experiment, record.experiment)) + f"<small>{escape(setting(record))}</small>",
            f"{recipe['plan_vectors']} x {recipe['dim']}<small>{2 * recipe['plan_vectors'] * recipe['dim']:,} bytes"
            "</small>",
            f"{record.dataset['n_train']:,}<small>{record.provenance['steps']:,} steps</small>",
            "the same" if recipe.get("validate_on") == "train" else f"{record.dataset['n_val']:,} others",
            number("val_loss", record.value("val_loss"))
            + (f"<small>blind memoriser: {number('val_loss', blind)}</small>" if blind is not None else ""),
            counted("greedy_exact", exact["value"], exact.get("n")) if exact else NOT_MEASURED,
            f"{bits['value']:.2f}<small>of at most {math.log2(bits['n']):.2f}</small>" if bits else NOT_MEASURED,
            escape(verdict),
        ])  # fmt: skip
    head = ["what is sent", "plan", "captions trained on", "measured on", "nats per byte", "recited exactly",
            "InfoNCE, bits", "verdict"]  # fmt: skip
    return html_table("Is 16 x 256 too small? Three ways to ask, at the published plan size.", head, rows)


def uses_plan(record: Record) -> bool | None:
    """Whether the InfoNCE bound's 95% interval lies above 0; None where it was not measured."""
    found = metric(record, "infonce")
    return None if found is None else found["low"] > 0


def verdict(records: Sequence[Record], capacity: Sequence[Record]) -> Display:
    """What the chapter's numbers come to: do these decoders use their plans, and was a plan of that size too small?

    Args:
        records: captioning runs of this build.
        capacity: the recorded capacity runs.
    """
    asked = [(record, uses_plan(record)) for record in records]
    using = [TITLES.get(r.experiment, r.experiment) for r, used in asked if used]
    measured = sum(used is not None for _, used in asked)
    first = (
        f"{len(using)} of {measured} captioning runs of this build take something from their plans that 95% intervals "
        f"tell from nothing{' (' + ', '.join(using) + ')' if using else ''}."
    )
    carried = [
        (record, said)
        for record in capacity
        if (exact := metric(record, "greedy_exact")) and (bits := metric(record, "infonce"))
        and (said := capacity_verdict(exact["value"], bits["value"], bits["n"])).startswith(("carries", "tells"))
    ]  # fmt: skip
    if not capacity:
        label, second = "OPEN", "Capacity was not tested: there are no recorded capacity runs."
    elif carried:
        label = "NOT SHOWN TO BE CAPACITY" if len(using) == measured else "NOT CAPACITY"
        best = "; ".join(f"{_SENDS.get(r.experiment, r.experiment)}: {said}" for r, said in carried)
        second = (
            f"A plan of 16 x 256 numbers is large enough for captions that are put into it, in {len(carried)} of "
            f"{len(capacity)} tests ({best})."
        )
    else:
        label, second = "OPEN", f"None of the {len(capacity)} capacity tests passed its threshold: capacity stays open."
    return Display(
        f'<div class="vljepa"><strong>{escape(label)}</strong>: {escape(first)} {escape(second)}</div>',
        f"{label}: {first} {second}",
    )
