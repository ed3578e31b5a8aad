"""Tables of Run 5 and Run 6: against their goals, what they cost, what a GPU would take."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from vljepa_core import known_bits
from vljepa_core.blind import with_gain
from vljepa_core.describe import describe
from vljepa_core.estimate import human_time
from vljepa_core.extrapolation import ALONG, LAST, Curve
from vljepa_core.figures.display import Display, escape
from vljepa_core.figures.reading import as_made, in_another_form, one_each_seed, set_apart, setting, settings, title
from vljepa_core.figures.tables import NOT_APPLICABLE, NOT_MEASURED, a_line_each, bullets, html_table, with_interval
from vljepa_core.goals import GOALS, MEASURES, Judged, Threshold, judge, number
from vljepa_core.recipes import Recipe
from vljepa_core.records import Record
from vljepa_core.roofline import ISSUE_SECONDS
from vljepa_core.rungs import WORTH_NAMING, uses_plan
from vljepa_core.train import steps_of


def goals_table(experiment: str, records: Sequence[Record], blind: Iterable[Record] = ()) -> Display:
    """Each record against the floors and goals of its experiment, and the mean of the seeds that share a place.

    Args:
        experiment: "run5" or "run6".
        records: of it; of one place and seed the last is the one that is in the mean.
        blind: trained blind models; a record that has its partner among them is compared with it.
    """
    blind = list(blind)
    places = (one_each_seed(r for r in records if _place(r) == place) for place in dict.fromkeys(map(_place, records)))
    groups = [*([record] for record in records), *(seeds for seeds in places if len(seeds) > 1)]
    apart = set_apart(groups, also=lambda run: run.provenance["steps"])
    columns = [
        ("mean, " * (len(runs) > 1) + _where(runs) + (f", {what}" if what else ""), [judge(r, blind) for r in runs])
        for runs, what in zip(groups, apart, strict=True)
    ]
    head = ["measure", "floor", "goal", *(escape(name) for name, _ in columns)]
    rows = []
    for row, (name, label) in enumerate(MEASURES.items()):
        threshold = GOALS[experiment][name]
        cells = [_cell([judged[row] for judged in runs], threshold) for _, runs in columns]
        rows.append([escape(label), *_asked(name, threshold), *cells])
    asked = [sum(getattr(t, kind) is not None for t in GOALS[experiment].values()) for kind in ("floor", "goal")]
    reached = [_reached(runs[0]) if len(runs) == 1 else "each seed for itself" for _, runs in columns]
    rows.append(["reached, of what was measured", f"{asked[0]} floors", f"{asked[1]} goals", *reached])
    name = title({"experiment": experiment})
    note = f"{name} against its floors and goals, set after small pilots and before the recorded runs."
    if any(record.scale == "smoke" for record in records):
        note += " Scale smoke shows that everything runs; its numbers mean nothing."
    return html_table(note, head, rows)


def _place(record: Record) -> tuple:
    """What seeds of one experiment have in common; nothing else may be averaged."""
    made = record.scale, record.dataset["n_train"], record.provenance["steps"]
    return record.data, *made, in_another_form(record), as_made(record)


def _where(records: list[Record]) -> str:
    """Data, scale, seeds and steps of records of one place."""
    return f"{settings(records)}, {records[0].provenance['steps']:,} steps"


def _with_plan(record: Record) -> str:
    """The plan's size, where ``_where`` does not tell it already, because it is as in the recipe."""
    plan = f"a plan of {record.recipe['plan_vectors']} x {record.recipe['dim']}"
    return "" if plan in _where([record]) else f", {plan}"


def _asked(name: str, threshold: Threshold) -> list[str]:
    """Floor and goal of a measure, in words."""
    cells = []
    for value, of in ((threshold.floor, threshold.floor_of), (threshold.goal, threshold.goal_of)):
        if value is None:
            cells.append("none")
        elif of:
            said = {"constant": "best constant caption", "blind": "blind model", "permuted": "captions of other images"}
            times = "above" if value == 1 else f"{value:g} x"
            cells.append(f"{times} {', '.join(said[each] for each in of)}")
        else:
            cells.append(("above " if threshold.above and value == threshold.floor else "") + number(name, value))
    return cells


def _cell(runs: Sequence[Judged], threshold: Threshold) -> str:
    """One record's value, or several seeds' mean, and whether floor and goal are reached."""
    measured = [judged for judged in runs if judged.value is not None]
    if not runs[0].applies:
        return NOT_APPLICABLE
    if not measured:
        return NOT_MEASURED
    name = measured[0].measure
    text = number(name, statistics.mean(judged.value for judged in measured))
    if len(measured) < len(runs):
        text += f" ({len(measured)} of {len(runs)} seeds)"
    for kind, asked in (("floor", threshold.floor), ("goal", threshold.goal)):
        if asked is None:
            continue
        met = [m for judged in measured if (m := getattr(judged, f"{kind}_met")) is not None]
        relative = {getattr(judged, kind) for judged in measured} - {asked, None}
        against = f" {number(name, statistics.mean(relative))}" if relative and len(measured) == 1 else ""
        if not met:
            said = "not measured"
        elif len(measured) == 1:
            said = "reached" if met[0] else "not reached"
        else:
            said = f"reached in {sum(met)} of {len(met)} seeds"
        text += f"<small>{kind}{against}: {said}</small>"
    return text


def _reached(judged: Sequence[Judged]) -> str:
    """How many floors and goals a record reaches, of those that could be measured."""
    words = []
    for kind in ("floor", "goal"):
        met = [m for each in judged if (m := getattr(each, f"{kind}_met")) is not None]
        words.append(f"{sum(met)} of {len(met)} {kind}s")
    return ", ".join(words)


def delivered_table(records: Iterable[Record]) -> Display:
    """How much of what captions need from composed scenes came through the plan, by two lower bounds.

    Args:
        records: those of other data than scenes, where nobody knows what is needed, and of blind models are left out.
    """
    rows = []
    known = [r for r in records if known_bits.is_scenes(r) and r.recipe["plan_source"] == "image"]

    def place(record: Record) -> tuple:
        return (
            record.experiment,
            record.recipe["dim"],
            record.dataset["n_train"],
            record.provenance["steps"],
            record.seed,
        )

    for record in sorted(known, key=place):
        (rung,) = known_bits.of([record])
        where = _where([record])
        shown, by_loss = (with_interval(asdict(bits)) for bits in (rung.infonce, rung.text_bound))
        share = max(0.0, rung.text_bound.value) / rung.needed.value
        rows.append([
            f"{escape(title(record))}<small>{escape(where)}, {rung.n_train:,} images{_with_plan(record)}</small>",
            f"{rung.needed.value:.1f}",
            f"{shown}<small>{rung.delivered:.1%} of the {rung.ceiling:.2f} that {rung.infonce.n} pictures can show, "
            f"a perfect plan {rung.perfect / rung.ceiling:.1%}</small>",
            f"{by_loss}<small>{share:.0%} of what is needed</small>",
        ])  # fmt: skip
    head = ["run", "bits needed", "InfoNCE, bits", "by the loss, bits"]
    note = (
        "What a caption needs from its scene, and two lower bounds on what the plan shares with it. InfoNCE can show "
        "no more than log2 of the images it is measured on; a perfect plan, which holds all facts of its scene, shows "
        "a little less, since some of these scenes have the same facts. By the loss: the captions' entropy, which the "
        "generator knows, less what the decoder spends on them; it has no such ceiling, but pays for language not yet "
        "learned."
    )
    return html_table(note, head, rows or [[NOT_APPLICABLE] * len(head)])


def needed_table(curves: Sequence[Curve]) -> Display:
    """How far each curve would have to go to its floor and its goal, if it went on as the lines through it do."""
    rows = []
    for curve in curves:
        first, last = curve.points[0], curve.points[-1]
        (_, whole), (_, end) = curve.line(), curve.line(curve.last)
        signed = (f"{number(curve.measure, slope)}" for slope in (whole, end))
        unit = ALONG[curve.along][0]
        rows.append([
            escape(MEASURES[curve.measure]) + f"<small>along {unit}</small>",
            f"{number(curve.measure, first.value)} to {number(curve.measure, last.value)}"
            f"<small>{first.at:,} to {last.at:,} {unit}</small>",
            " or ".join(dict.fromkeys(signed)),
            *(_reach(curve, value) for value in (curve.floor, curve.goal)),
        ])  # fmt: skip
    note = (
        f"If it went on like this. A line against the logarithm, through all points and through the last {LAST} (of "
        f"{LAST} the last {LAST - 1}): how far each would have to go. A prediction, and a bold one beyond a few "
        "doublings."
    )
    head = ["measure", "measured", "per doubling", "floor reached at", "goal reached at"]
    return html_table(note, head, rows)


def _reach(curve: Curve, value: float | None) -> str:
    if value is None:
        return NOT_APPLICABLE
    asked = f"<small>{number(curve.measure, value)}</small>"
    there = [point.at for point in curve.points if point.value >= value]
    if there:
        return f"{min(there):,}, measured{asked}"
    ends = curve.reaches(value)
    if ends is None:
        return f"not in sight{asked}"
    low, high = (f"{float(f'{end:.2g}'):,.0f}" for end in ends)
    return f"{low if low == high else f'{low} to {high}'}, extrapolated{asked}"


def cost_table(records: Sequence[Record]) -> Display:
    """What runs cost: parameters that are trained, bytes of a plan, steps, seconds, on what."""
    rows = []
    for record in records:
        made = record.provenance
        rows.append([
            f"{escape(title(record))}<small>{escape(setting(record))}</small>",
            f"{record.parameters['total']:,}",
            f"{2 * record.recipe['plan_vectors'] * record.recipe['dim']:,}",
            f"{record.dataset['n_train']:,}",
            f"{made['steps']:,}",
            f"{made['train_seconds']:,.0f}<small>{made['seconds']:,.0f} with evaluation</small>",
            f"{escape(made.get('gpu') or made['device'])}<small>{escape(made.get('precision', 'float32'))}, "
            f"threads: {made.get('threads', 'unknown')}</small>",
        ])  # fmt: skip
    head = ["run", "trainable parameters", "bytes of a plan (fp16)", "training images", "optimiser steps",
            "seconds of training", "on"]  # fmt: skip
    note = "What the runs cost. A frozen network's own weights are not trained, and its features are computed once."
    return html_table(note, head, rows)


def predicted_table(recipes: Sequence[Recipe]) -> Display:
    """Memory and time of recipes on GPUs, predicted from their data sheets and from what issuing an operator takes."""
    found = [(wanted, describe(wanted)) for wanted in recipes]
    rows = [
        ["trainable parameters", *(f"{each['parameters']['total']:,}" for _, each in found)],
        ["memory, MiB", *(f"{each['memory_bytes']['total'] / 2**20:,.0f}" for _, each in found)],
        ["optimiser steps", *(f"{steps_of(wanted, wanted.n_train):,}" for wanted, _ in found)],
    ]
    for card in range(len(found[0][1]["cards"])):
        cells = []
        for wanted, each in found:
            one = each["cards"][card]
            seconds = max(one["seconds"].values())
            whole = human_time(seconds * steps_of(wanted, wanted.n_train))
            cells.append(
                f"{1e3 * seconds:.1f} ms per step<small>{whole} in all; waits for {escape(one['waits_for'])}; at "
                f"least {1e3 * one['at_least']:.1f} ms where operators are not issued one by one</small>"
            )
        rows.append([escape(found[0][1]["cards"][card]["card"]), *cells])
    head = ["", *(f"{escape(title(wanted.to_dict()))}<small>{escape(wanted.scale)}</small>" for wanted in recipes)]
    note = (
        "Predicted from operators, bytes and data sheets, not measured: bfloat16 arithmetic, float32 memory. What "
        f"issuing an operator takes, {ISSUE_SECONDS * 1e6:.0f} microseconds, was measured in Run 2 on a machine with "
        "an H200. Counted is the step of the captioner with its cross-entropy; further losses and validations are not."
    )
    return html_table(note, head, rows)


def found_line(records: Sequence[Record]) -> Display:
    """What this build's answers to the study's conclusion come to: a sentence for each recorded Run 5 and Run 6."""
    lines = []
    for record in records:
        bits = record.metrics.get("infonce")
        if bits is None:
            continue
        unique = record.metrics["greedy_unique"]
        said = "uses its plan" if uses_plan(record) else f"not shown to use its plan ({WORTH_NAMING:g} bits would)"
        lines.append(
            f"{title(record)} ({_where([record])}{_with_plan(record)}): {said}; "
            f"InfoNCE {bits['value']:.2f} bits [{bits['low']:.2f}, {bits['high']:.2f}], "
            f"{round(unique['value'] * unique['n'])} of {unique['n']} greedy captions distinct."
        )
    return bullets(lines or ["Run 5 and Run 6 are not recorded yet."])


_ORDER = ("run6", "run5", "run5_blind")


def memory_table(records: Sequence[Record]) -> Display:
    """Runs 5 and 6 and their blind twin: without and with a memory of the decoder's own, in bytes and in pieces.

    Args:
        records: of "run5", "run6" and "run5_blind", with any number of vectors.
    """
    # One with fewer vectors is a question of its own, and nobody's twin.
    most = max((record.recipe["plan_vectors"] for record in records), default=0)
    twins = [r for r in records if r.recipe["plan_source"] == "none" and r.recipe["plan_vectors"] == most]
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        kind = _ORDER.index(record.experiment), record.recipe.get("decoder_memory", 0), record.recipe["plan_vectors"]
        *data, form, made = _place(record)
        spelt = record.recipe["vocab_size"]
        groups.setdefault((*data, spelt, *kind, form, made), []).append(record)
    rows = []
    for (*_, memory, vectors, _, _), seeds in sorted(groups.items()):
        found = sorted(one_each_seed(seeds), key=lambda record: record.seed)
        gains = [with_gain(record, twins).metrics.get("gain_over_blind") for record in found]
        blind = found[0].recipe["plan_source"] == "none"
        constant = [f"{vectors} of its one plan"] * blind + [f"{memory} of its memory"] * bool(memory)
        gained = "".join(f"<div>{with_interval(gain, signed=True) if gain else NOT_MEASURED}</div>" for gain in gains)
        rows.append([
            f"{escape(title(found[0]))}<small>{escape(_where(found))}</small>",
            " and ".join(constant) or "none",
            a_line_each(found, lambda r: f"{r.value('val_loss'):.3f}"),
            NOT_APPLICABLE if blind else a_line_each(found, lambda r: f"{r.value('infonce') + 0.0:.2f}"),
            NOT_APPLICABLE if blind else gained,
        ])  # fmt: skip
    head = ["run", "constant vectors that the decoder reads", "nats per byte", "InfoNCE, bits",
            "gain over its twin, bits per caption"]  # fmt: skip
    note = "What a decoder has for the language, and what is gained by seeing. In brackets: 95% interval over images."
    return html_table(note, head, rows)
