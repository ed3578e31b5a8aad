"""The audit chapter's tables: published evidence beside trivial answers, report against code, capacity, verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from vljepa_core.differences import Difference
from vljepa_core.figures.display import Display, escape
from vljepa_core.figures.reading import TITLES, as_made, metric, one_each_seed, setting, settings
from vljepa_core.figures.tables import NOT_MEASURED, html_table, with_interval
from vljepa_core.figures.units import counted, number, unit_of
from vljepa_core.known_bits import KnownBits
from vljepa_core.published import PUBLISHED
from vljepa_core.recipes import in_full
from vljepa_core.records import Record
from vljepa_core.rungs import WORTH_NAMING, uses_plan
from vljepa_core.tokenizer import VOCAB_SIZE
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


def capacity_table(records: Sequence[Record]) -> Display:
    """The capacity runs, each judged by thresholds written before them; seeds of the same run share a row.

    Args:
        records: of ``capacity_overfit``, ``capacity_oracle`` and ``capacity_table``; any settings.
    """
    rows = []
    for found in _seeds_together(records):
        recipe, first = found[0].recipe, found[0]
        exact, bits = metric(first, "greedy_exact"), metric(first, "infonce")
        rows.append([
            escape(_SENDS.get(first.experiment, first.experiment)) + f"<small>{escape(settings(found))}</small>",
            f"{recipe['plan_vectors']} x {recipe['dim']}<small>{2 * recipe['plan_vectors'] * recipe['dim']:,} bytes"
            "</small>",
            f"{first.dataset['n_train']:,}<small>{first.provenance['steps']:,} steps</small>",
            "the same" if _by_heart(first) else f"{first.dataset['n_val']:,} others",
            _each(found, lambda r: number("val_loss", r.value("val_loss")))
            + f"<small>{escape(_loss_floors(first))}</small>",
            _each(found, lambda r: counted("greedy_exact", r.value("greedy_exact"), r.metrics["greedy_exact"]["n"]))
            + f"<small>one caption for all: 1 of {exact.get('n')}</small>" if exact else NOT_MEASURED,
            _each(found, lambda r: f"{round(r.value('infonce'), 2) + 0.0:.2f}")
            + f"<small>of at most {math.log2(bits['n']):.2f}; chance: 0</small>" if bits else NOT_MEASURED,
            _each(found, lambda r: escape(_carried(r) or "not measured")),
        ])  # fmt: skip
    head = ["what is sent", "plan", "captions trained on", "measured on", "nats per byte", "recited exactly",
            "InfoNCE, bits", "verdict"]  # fmt: skip
    return html_table("Is a plan of that size too small? Three ways to ask.", head, rows)


def _seeds_together(records: Iterable[Record]) -> list[list[Record]]:
    """Records that differ in nothing but their seeds, in the order in which each run came first."""
    found: dict[tuple[Any, ...], list[Record]] = {}
    for r in records:
        found.setdefault((r.experiment, r.data, r.scale, as_made(r), r.dataset["n_train"]), []).append(r)
    return [sorted(one_each_seed(same), key=lambda r: r.seed) for same in found.values()]


def _each(records: Sequence[Record], told: Callable[[Record], str]) -> str:
    """What is told of each record, a line each; once, where all tell the same."""
    return "".join(f"<div>{text}</div>" for text in dict.fromkeys(map(told, records)))


def _by_heart(record: Record) -> bool:
    """Whether a run was measured on the captions that it was trained on."""
    return record.recipe.get("validate_on") == "train"


def _loss_floors(record: Record) -> str:
    """What the loss is to be read between: knowing every byte, and knowing every caption but not the image.

    A blind model that has the n captions by heart spends log n nats on which of them it is, a little less where some
    are the same, and what label smoothing costs it on every id. An id is one byte, or more of them in a run in pieces;
    how many, its record does not say, so that what smoothing costs a byte is known as a bound there.
    """
    smoothing, vocabulary = (in_full(record.recipe)[key] for key in ("label_smoothing", "vocab_size"))
    floor = -math.log(1 - smoothing + smoothing / vocabulary)  # what such a model was taught to be sure of
    bound = "at most " if smoothing > 0 and vocabulary > VOCAB_SIZE else ""
    said = f"{bound}{number('val_loss', floor)} for a model that knows every byte"
    nats = [row["nats"] for row in record.captions]
    if not _by_heart(record) or not nats:
        return said
    captions_per_byte = record.value("val_loss") * len(nats) / sum(nats)
    blind = floor + math.log(len(nats)) * captions_per_byte
    return f"{said}, {bound}{number('val_loss', blind)} for a blind one that knows all {len(nats):,} captions"


def _carried(record: Record) -> str | None:
    """What a capacity run's plan was shown to carry; None where it was not measured."""
    exact, bits = metric(record, "greedy_exact"), metric(record, "infonce")
    if not exact or not bits:
        return None
    said = capacity_verdict(exact["value"], max(0.0, bits["value"]), bits["n"])  # an estimate of 0 may fall below it
    # The decoder has learned these captions; what comes through the plan is which of them.
    return (
        said.replace("carries whole captions", f"names one of {exact['n']} captions learned by heart")
        if _by_heart(record)
        else said
    )


def precision_table(full: Iterable[Record], reduced: Iterable[Record]) -> Display:
    """Runs trained in float32 beside the same ones trained in bfloat16; one that has no partner is left out.

    Args:
        full: trained in float32.
        reduced: trained in bfloat16; partners have the same recipe, data and seed, the precision asked for aside.
    """

    def run(record: Record) -> tuple:
        asked = tuple(value for value in as_made(record) if value[0] != "precision")
        return record.experiment, record.data, record.scale, record.seed, asked

    partners = {run(r): r for r in reduced if r.provenance.get("precision") == "bfloat16"}
    rows = []
    for record in full:
        other = partners.get(run(record))
        if other is None or record.provenance.get("precision", "float32") != "float32":
            continue
        rows.append([
            f"{escape(TITLES.get(record.experiment, record.experiment))}<small>{escape(setting(record))}</small>",
            *("".join(f"<div>{each}</div>" for each in cells) for cells in zip(
                *(_readings(arithmetic, r) for arithmetic, r in (("float32", record), ("bfloat16", other))), strict=True
            )),
        ])  # fmt: skip
    head = ["run", "trained in", "verdict", "distinct greedy captions", "plan cosine", "InfoNCE, bits", "nats per byte"]
    return html_table("The same runs in two arithmetics; both are judged in float32.", head, rows)


def _readings(arithmetic: str, record: Record) -> list[str]:
    unique, bits = record.metrics["greedy_unique"], record.metrics.get("infonce")
    return [
        arithmetic,
        escape(record.verdict["label"]),
        f"{round(unique['value'] * unique['n'])} of {unique['n']}",
        f"{record.value('plan_cosine'):.4f}" if "plan_cosine" in record.metrics else "",
        with_interval(bits) if bits else NOT_MEASURED,
        number("val_loss", record.value("val_loss")),
    ]


def known_bits_table(runs: Sequence[KnownBits]) -> Display:
    """Every run with all of its readings."""
    rows = [
        [
            f"level {r.level}, {r.loss}<small>{r.n_train:,} images, {r.image_size} px, {r.steps:,} steps</small>",
            f"{r.needed.value:.1f}<small>and {r.wording:.1f} of wording</small>",
            f"{r.infonce.value:.2f}<small>[{r.infonce.low:.2f}, {r.infonce.high:.2f}], at most {r.ceiling:.1f}</small>",
            f"{r.spent:.1f}<small>so at least {max(0.0, r.text_bound.value):.1f} come through the plan</small>",
            f"{round(r.unique * r.needed.n)} of {r.needed.n}<small>{round(r.distinct * r.needed.n)} distinct scenes"
            "</small>",
            f"{r.cosine:.4f}",
            "collapsed" if r.collapsed else "not collapsed",
        ]
        for r in runs
    ]
    head = ["run", "bits needed", "InfoNCE, bits", "bits spent on a caption",
            "distinct greedy captions", "plan cosine", ""]  # fmt: skip
    return html_table(
        "Scale of known bits: what a caption needs from its picture, and what arrives, in bits.", head, rows
    )


def audit_verdict(records: Sequence[Record], capacity: Sequence[Record]) -> Display:
    """What the chapter's numbers come to: do decoders use their plans, and what does a plan of that size carry?

    Args:
        records: captioning runs.
        capacity: capacity runs, from anywhere: they ask of the plan's size, not of the data.
    """
    asked = [(record, used) for record in records if (used := uses_plan(record)) is not None]
    using = [f"{TITLES.get(r.experiment, r.experiment)} on {r.data}" for r, used in asked if used]
    first = (
        f"{len(using)} of {len(asked)} captioning runs take at least {WORTH_NAMING} bits from their plans"
        f"{' (' + ', '.join(using) + ')' if using else ''}."
    )
    shown = [(record, said) for record in capacity if (said := _carried(record)) and not said.startswith("not shown")]
    times = Counter((_SENDS.get(r.experiment, r.experiment), said) for r, said in shown)
    told = "; ".join(f"{sent}: {said}{f', {n} runs' if n > 1 else ''}" for (sent, said), n in times.items())
    sizes = " or ".join(dict.fromkeys(f"{r.recipe['plan_vectors']} x {r.recipe['dim']}" for r, _ in shown))
    if not capacity:
        label, second = "OPEN", "Capacity was not tested: there are no recorded capacity runs."
    elif not shown:
        label, second = "OPEN", f"None of the {len(capacity)} capacity runs passed its threshold."
    elif all(_by_heart(record) for record, _ in shown):
        label = "LARGE ENOUGH TO NAME AN IMAGE"
        second = f"A plan of {sizes} numbers tells images apart once it is made to, with the published recipe ({told})."
    else:
        label = "LARGE ENOUGH FOR UNSEEN CAPTIONS"
        second = f"A plan of {sizes} numbers carries captions that it was not trained on ({told})."
    return Display(
        f'<div class="vljepa"><strong>{escape(label)}</strong>: {escape(first)} {escape(second)}</div>',
        f"{label}: {first} {second}",
    )
