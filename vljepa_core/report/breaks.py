"""Tables of the ladder of interventions: what was expected of each rung, and what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from vljepa_core.blind import bits_apart, with_gain
from vljepa_core.figures.display import Display, escape
from vljepa_core.figures.reading import metric, place, settings
from vljepa_core.figures.tables import NOT_MEASURED, a_line_each, bullets, html_table, with_interval
from vljepa_core.figures.units import counted
from vljepa_core.interventions import RUNGS
from vljepa_core.provenance import SAME_BITS, core_hash
from vljepa_core.recipes import changes_of, differing, in_full
from vljepa_core.records import Record
from vljepa_core.rungs import GROUPS, WORTH_MOVING, WORTH_NAMING, Found, broke, group_of, moved, whole_of
from vljepa_core.sweeps import varying_keys

_NONE = "No rung is recorded yet: `python -m vljepa_core rungs --data FOLDER --seed 0 1 2 --keep` makes them."
_WHOLES = ("run5", "run5_pieces", "run6", "run6_pieces")  # combinations that a change may be added to
# What the plan is given to see -> the rung that reads it through the query, as published, and that which does directly.
ENCODERS: Mapping[str, tuple[str | None, str]] = {
    "the study's encoder, trained along": ("published", "direct"),
    "the study's encoder, frozen at random weights": (None, "random_vit_direct"),
    "the study's encoder, trained by itself (LeJEPA), then frozen": ("lejepa", "lejepa_direct"),
    "EfficientNet-Lite0, frozen at random weights": ("random_network", "random_direct"),
    "EfficientNet-Lite0 from random weights, trained along": (None, "random_trained_direct"),
    "EfficientNet-Lite0 from random weights, trained by itself (LeJEPA), then frozen": (None, "lejepa_network_direct"),
    "EfficientNet-Lite0, frozen at ImageNet weights": ("pretrained", "pretrained_direct"),
    "EfficientNet-Lite0 from ImageNet weights, trained along": (None, "finetuned_direct"),
}


def rung_table(found: Found) -> Display:
    """Every rung with its expectation, written beforehand, beside what came out.

    Args:
        found: rung -> its records (``rungs.recorded_rungs``), of one dataset at one scale.
    """
    computed = Counter(_precision(record) for each in found.values() for record in each)
    usual = max(computed, key=computed.get, default="")
    rows = [
        [
            escape(RUNGS[name].title) + f"<small>{escape(_changes(name))}</small>",
            f"{_expected(name)}<small>{escape(RUNGS[name].hypothesis)}</small>",
            a_line_each(found[name], _bits),
            a_line_each(found[name], lambda r: _metric(r, "greedy_unique")),
            a_line_each(found[name], _over_chance),
            a_line_each(found[name], lambda r: _seconds(r, usual)),
            f"{outcome(found[name])}<small>{as_expected(name, found[name])}</small>",
        ]
        for group in GROUPS
        for name in found
        if found[name] and group_of(name) == group
    ]
    head = ["what is changed", "expected", "InfoNCE, bits", "distinct greedy captions",
            "caption to image, R@1 over chance", "seconds of training", "found"]  # fmt: skip
    caption = _caption(found)
    if len(computed) > 1:
        caption += f" Computed in {usual} where a record's time does not name another precision."
    return html_table(caption, head, rows)


def useful_table(found: Found, blind: Iterable[Record]) -> Display:
    """Whether what comes through is of use: can captions find their pictures, and does the plan save bits?

    Of the rungs that break the collapse with any seed. The first is told from chance, the second from a blind twin. A
    rung passes with a seed if both 95% intervals lie above what they would be without any picture.

    Args:
        found: rung -> its records, of one dataset at one scale.
        blind: trained blind models; a rung whose decoder no twin was trained as has no gain.
    """
    twins, rows, shown = list(blind), [], []
    for name, records in found.items():
        paired = [each for record in records if "gain_over_blind" in (each := with_gain(record, twins)).metrics]
        if not broke(records) or not paired:
            continue
        shown += paired
        passed = sum(_retrieves(record) and metric(record, "gain_over_blind")["low"] > 0 for record in paired)
        rows.append([
            escape(RUNGS[name].title),
            a_line_each(paired, _bits),
            a_line_each(paired, _over_chance_with_interval),
            a_line_each(paired, lambda r: with_interval(metric(r, "gain_over_blind"), signed=True)),
            f"with {passed} of {len(paired)} seed{'s' * (len(paired) > 1)}",
        ])  # fmt: skip
    if not rows:
        return bullets(["Of no rung that breaks the collapse a blind twin is recorded (`sweeps/rungs-blind.toml`)."])
    head = ["what is changed", "InfoNCE, bits", "caption to image, R@1 over chance",
            "saved per caption against the twin, bits", "both above nothing"]  # fmt: skip
    note = (
        f"Rungs that break the collapse with any seed, and whose decoder a blind twin was trained as, {place(shown)}. "
        "In brackets: 95% intervals over images, in the fourth column paired. Nothing is 1 times chance, and 0 bits."
    )
    return html_table(note, head, rows)


def parts_table(found: Found) -> Display:
    """What leaving a part out of Runs 5 and 6 costs, seed by seed: bits through the plan, and bits spent on a caption.

    The second is paired: the same images and seed with and without the part, so that its interval is narrow. It counts
    what a part brings for the language too.

    Args:
        found: rung -> its records, of one dataset at one scale.
    """
    rows, compared = [], []
    for name, records in found.items():
        whole = {record.seed: record for record in found.get(whole_of(name), ())}
        pairs = [(record, whole[record.seed]) for record in records if record.seed in whole]
        if pairs:
            without = [record for record, _ in pairs]
            compared += without
            costs = {record.seed: bits_apart(record, all_of_it) for record, all_of_it in pairs}
            rows.append([
                escape(RUNGS[name].title),
                a_line_each(without, _bits),
                a_line_each(without, lambda r, whole=whole: _bits(whole[r.seed])),
                a_line_each(without, lambda r, costs=costs: with_interval(asdict(costs[r.seed]), signed=True)),
            ])  # fmt: skip
    if not rows:
        return bullets(["Runs 5 and 6 with and without their parts: no rung of these is recorded."])
    head = ["left out", "InfoNCE without it, bits", "with all, bits", "spent more on a caption without it, bits"]
    note = (
        f"Runs 5 and 6 with one part left out, {place(compared)}. A part that "
        "brings something has more bits with it than without, and a last column above 0. In brackets: 95% intervals "
        "over images, in the last column paired."
    )
    return html_table(note, head, rows)


def encoders_table(found: Found) -> Display:
    """Bits through the plan by what it is given to see and by how it reads it, seed by seed.

    Args:
        found: rung -> its records, of one dataset at one scale.
    """

    def cell(name: str | None) -> str:
        if name is None:
            return '<span class="none">not tried</span>'
        records = found.get(name, ())
        return f"{a_line_each(records, _bits)}<small>{outcome(records)}</small>" if records else NOT_MEASURED

    records = [r for names in ENCODERS.values() for name in names if name for r in found.get(name, ())]
    if not records:
        return bullets(["Encoders: no rung of these is recorded."])
    rows = [[escape(title), *map(cell, names)] for title, names in ENCODERS.items()]
    note = (
        f"Bits through the plan (InfoNCE) by encoder and way, {place(records)}. All with the published loss. In "
        "brackets: 95% intervals over images."
    )
    return html_table(note, ["what the plan is given to see", "through the query, as published", "directly"], rows)


def values_table(records: Sequence[Record]) -> Display:
    """Changes of Run 2 other than the ladder's rungs: a row each, by what sets it apart.

    Args:
        records: of one dataset at one scale, which differ in recipe or seed.
    """
    varying = set(varying_keys(records))
    by_value: dict[str, list[Record]] = {}
    for record in records:
        values = [f"{key}={value}" for key, value in changes_of(record.recipe).items() if key in varying]
        by_value.setdefault(", ".join(values), []).append(record)
    rows = [
        [
            escape(values),
            a_line_each(same, _bits),
            a_line_each(same, lambda r: _metric(r, "plan_variance_share")),
            a_line_each(same, lambda r: _metric(r, "greedy_unique")),
            outcome(same),
        ]
        for values, same in by_value.items()
    ]
    head = ["of Run 2's recipe", "InfoNCE, bits", "plan variance between images", "distinct greedy captions", "found"]
    return html_table(f"Other changes of Run 2 than the rungs', {place(list(records))}.", head, rows)


def added_table(added: Sequence[Record], found: Found) -> Display:
    """What one more change on top of a combination brings, seed by seed: bits through the plan, bits spent, captions.

    Each record is held against the combination (``run5``, ``run5_pieces``, ...) that it differs from in the fewest
    values. The last column is ``rungs.WORTH_MOVING``'s; *spent more* is paired over images with the same seed.

    Args:
        added: of one dataset at one scale.
        found: rung -> its records, of the same.
    """
    wholes = {name: records for name, records in found.items() if name in _WHOLES and records}
    rows, compared = {}, []
    for record in added:
        name = min(wholes, key=lambda each: len(_added(record, wholes[each][0])), default=None)
        if name is None:
            continue
        partner = next((whole for whole in wholes[name] if whole.seed == record.seed), None)
        spent = None if partner is None else asdict(bits_apart(record, partner))
        compared += [record, *wholes[name]]
        bits = [f"{metric(whole, 'infonce')['value']:.2f}" for whole in wholes[name]]
        changes = ", ".join(f"{key}={value}" for key, value in _added(record, wholes[name][0]).items())
        rows.setdefault(list(RUNGS).index(name), []).append([
            f"{escape(changes)}<small>to {escape(RUNGS[name].title)}</small>",
            f"{_bits(record)}<small>without it {', '.join(bits)}</small>",
            NOT_MEASURED if spent is None else with_interval(spent, signed=True),
            _metric(record, "greedy_unique"),
            moved(record, wholes[name]),
        ])  # fmt: skip
    if not rows:
        return bullets(["Changes on top of Run 5: none is recorded."])
    head = ["added", "InfoNCE, bits", "spent more on a caption with it, bits", "distinct greedy captions", "bits moved"]
    note = (
        f"One more change on top of a combination, {place(compared)}. Bits have moved where they are at least "
        f"{WORTH_MOVING:g} from every seed of the combination. In brackets: 95% intervals over images, in the third "
        "column paired."
    )
    return html_table(note, head, [row for index in sorted(rows) for row in rows[index]])


def _added(record: Record, whole: Record) -> dict[str, Any]:
    """The values in which a record's recipe differs from a combination's, but for how often it was looked at."""
    keys = (key for key in differing(record.recipe, whole.recipe) if key not in ("experiment", "validate_every"))
    return {key: in_full(record.recipe).get(key) for key in keys}


def outcome(records: Sequence[Record]) -> str:
    """Whether a rung breaks the collapse; of several seeds, in how many."""
    number = broke(records)
    if len(records) == 1:
        return "breaks the collapse" if number else "collapses"
    return f"breaks the collapse in {number} of {len(records)} seeds" if number else "collapses with every seed"


def as_expected(name: str, records: Sequence[Record]) -> str:
    """Whether a rung's seeds did what was expected of it: all of them, none, or some."""
    right = broke(records) if RUNGS[name].breaks else len(records) - broke(records)
    if right in (0, len(records)):
        return "as expected" if right else "against expectation"
    return f"as expected in {right} of {len(records)} seeds"


def failed_list(found: Found) -> Display:
    """The log of what failed: every rung that broke the collapse in none of its seeds, with its expectation."""
    if not found:
        return bullets([_NONE])
    lines = []
    for name, records in found.items():
        if records and not broke(records):
            bits = [m["value"] for record in records if (m := metric(record, "infonce"))]
            most = f", InfoNCE {max(bits):.3f} bits at most" if bits else ""
            lines.append(
                f"{RUNGS[name].title} ({settings(list(records))}){most}; {as_expected(name, records)}. "
                f"{RUNGS[name].hypothesis}"
            )
    return bullets(lines or ["Nothing: no recorded rung left the collapse as it was."])


def rung_summary(found: Found) -> Display:
    """In a sentence: how many rungs broke the collapse, and how many expectations held."""
    asked = {name: records for name, records in found.items() if records}
    if not asked:
        return bullets([_NONE])
    breaks = [RUNGS[name].title for name, records in asked.items() if broke(records) == len(records)]
    partly = [RUNGS[name].title for name, records in asked.items() if 0 < broke(records) < len(records)]
    held = [name for name, records in asked.items() if as_expected(name, records) == "as expected"]
    records = [record for each in asked.values() for record in each]
    lines = [
        f"{place(records)}: {len(breaks)} of {len(asked)} rungs break the collapse"
        + (f" ({'; '.join(breaks)})." if breaks else "."),
        f"{len(held)} of {len(asked)} came out as expected.",
    ]
    if partly:
        lines.insert(1, f"In some seeds only: {'; '.join(partly)}.")
    return bullets(lines)


def _caption(found: Found) -> str:
    records = [record for each in found.values() for record in each]
    missing = [name for name in RUNGS if not found.get(name)]
    steps = sorted({record.provenance["steps"] for record in records})
    took = " or ".join(f"{n:,}" for n in steps)
    text = (
        f"{len(RUNGS) - len(missing)} of {len(RUNGS)} rungs, {place(records)}, {took} steps. A rung breaks "
        f"the collapse with InfoNCE of at least {WORTH_NAMING:g} bits and a 95% interval above 0. A model that sees "
        "nothing has 0 bits, one caption for all images, and R@1 of 1 times chance."
    )
    seeds = len({record.seed for record in records})
    whole = sum(len(each) == seeds for each in found.values())
    if whole < len(RUNGS) - len(missing):
        text += f" {whole} rungs have all {seeds} seeds."
    if missing:
        text += f" Not run: {', '.join(missing)}."
    old = sum(record.source_hash not in (core_hash(), *SAME_BITS) for record in records)
    return text + (f" {old} of {len(records)} records were made with an older core." if old else "")


def _precision(record: Record) -> str:
    return record.provenance.get("precision", "float32")


def _seconds(record: Record, usual: str) -> str:
    """Of training; with its precision, on which time depends, where that is not the usual one."""
    other = "" if _precision(record) == usual else f"&nbsp;({_precision(record)})"
    return f"{record.provenance['train_seconds']:,.0f}{other}"


def _changes(name: str) -> str:
    """Recipe keys and values; of a combination with a part left out its name says enough."""
    if "_without_" in name:
        return ""
    return ", ".join(f"{key}={value}" for key, value in RUNGS[name].changes.items()) or "nothing"


def _expected(name: str) -> str:
    return "breaks the collapse" if RUNGS[name].breaks else "collapses"


def _bits(record: Record) -> str:
    found = metric(record, "infonce")
    if found is None:
        return NOT_MEASURED
    return with_interval(found)


def _metric(record: Record, name: str) -> str:
    found = metric(record, name)
    return NOT_MEASURED if found is None else counted(name, found["value"], found.get("n"))


def _over_chance(record: Record) -> str:
    found = metric(record, "image_r1")
    return NOT_MEASURED if found is None else f"{found['value'] * found['n']:.1f}"


def _retrieves(record: Record) -> bool:
    """Whether a caption finds its own picture more often than by chance, with its 95% interval."""
    found = metric(record, "image_r1")
    return found is not None and found["low"] * found["n"] > 1


def _over_chance_with_interval(record: Record) -> str:
    found = metric(record, "image_r1")
    if found is None:
        return NOT_MEASURED
    value, low, high = (found[end] * found["n"] for end in ("value", "low", "high"))
    return f"{value:.1f}&nbsp;[{low:.1f},&nbsp;{high:.1f}]"
