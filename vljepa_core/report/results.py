"""Tables: published | recorded | this build, each number with its interval and its trivial baseline."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vljepa_core.blind import partner_of, with_gain
from vljepa_core.figures.display import Display, escape
from vljepa_core.figures.reading import (
    as_made,
    at_random_weights,
    get,
    metric,
    one_each_seed,
    series,
    set_apart,
    setting,
    settings,
    title,
)
from vljepa_core.figures.tables import NOT_APPLICABLE, NOT_MEASURED, NOT_REPORTED, html_table
from vljepa_core.figures.units import PROBES, counted, number, unit_of
from vljepa_core.geometry import MEASURES
from vljepa_core.probes import chance
from vljepa_core.provenance import SAME_BITS, core_hash
from vljepa_core.published import PUBLISHED, Baseline, PublishedRun

_CAPTIONING = (
    "greedy_unique",
    "sampled_unique",
    "greedy_unique_words",
    "sampled_unique_words",
    "reference_unique_words",
    "greedy_overlap",
    "sampled_overlap",
    "greedy_content_match",
    "sampled_content_match",
    "greedy_bleu4",
    "greedy_cider",
    "sampled_bleu4",
    "sampled_cider",
    "greedy_verbatim",
    "sampled_verbatim",
    "greedy_top_caption",
    "sampled_top_caption",
    "greedy_distinct_1",
    "sampled_distinct_1",
    "greedy_distinct_2",
    "sampled_distinct_2",
    "train_loss",
    "val_loss",
    *MEASURES,
)
_COST = ("parameters", "seconds")
# Of those, what a page shows at once, beside whatever the study reported.
_AT_ONCE = (
    "greedy_unique",
    "greedy_overlap",
    "greedy_content_match",
    "greedy_bleu4",
    "greedy_cider",
    "train_loss",
    "val_loss",
    "plan_cosine",
    "plan_rank",
    *_COST,
)
# Where runs stand beside each other: what the study reported, and what it could have.
_SIDE_BY_SIDE = ("greedy_unique", "sampled_unique", "greedy_unique_words", "sampled_unique_words",
                 "reference_unique_words",
                 "greedy_overlap", "sampled_overlap", "greedy_content_match", "sampled_content_match", "greedy_bleu4",
                 "greedy_cider", "train_loss", "val_loss", "plan_cosine", "plan_rank")  # fmt: skip
_BASELINES_AT_ONCE = 3  # in a cell
# A classifier's metric -> how a probe's metric of the same kind ends.
_OF_CLASSES = {"accuracy": "", "balanced_accuracy": "_balanced"}
ROWS: Mapping[str, tuple[str, ...]] = {
    "test0": ("accuracy", "colour_accuracy", "shape_accuracy", "greedy_unique", "train_loss", "val_loss",
              *MEASURES, *_COST),
    "test3": ("accuracy", "balanced_accuracy", "majority", "train_loss", "val_loss",
              *MEASURES, *_COST),
    "probes": ("infonce", "gain_over_blind", "image_r1", "image_r5", "image_median_rank", "caption_r1", "caption_r5",
               "caption_median_rank", "mean_plan_gap", "shuffle_gap", "train_shuffle_gap"),
}  # fmt: skip


def results_table(
    experiment: str,
    record: Any,
    recorded: Iterable[Any] = (),
    published: PublishedRun | None = None,
    source_hash: str | None = None,
    trivial: Mapping[str, Sequence[Baseline]] | None = None,
    blind: Iterable[Any] = (),
) -> Display:
    """What one experiment gave: published, recorded earlier, and in this build.

    Args:
        experiment: "test0", "run1", "run2", "test3", "run3", "run4", "run5" or "run6".
        record: this build's run.
        recorded: earlier runs; those on the same data and scale share a column, as seeds of one experiment.
        published: the study's results; by default those of ``experiment``.
        source_hash: of the core, by default as it is now; recorded runs made with another one are marked.
        trivial: what trivial answers score on this build's own data, as ``baselines.of_run`` finds it.
        blind: trained blind models; this build's run has its partner among them, if there is one, as a baseline.
    """
    published = published or PUBLISHED[experiment]
    partner = partner_of(record, blind)
    source_hash = source_hash or core_hash()
    groups = _columns(recorded)
    names = [
        name
        for name in ROWS.get(experiment, (*_CAPTIONING, *_COST))
        if name in published.metrics or any(_measure(r, name) for r in [record, *sum(groups, [])])
    ]
    head = ["result", f"published<small>{escape(published.data)}</small>"]
    *apart, here = set_apart([*groups, [record]])
    columns = zip(groups, apart, strict=True)
    head += [f"recorded<small>{_origin(runs, source_hash, what)}</small>" for runs, what in columns] or ["recorded"]
    head += [f"this build<small>{_with(setting(record), here)}</small>", "trivial baseline"]

    by_code = (
        f"<small>by the study's own code: {published.verdict_by_code}</small>" if published.verdict_by_code else ""
    )
    rows = [[
        "verdict",
        escape(published.verdict) + by_code,
        *([_verdicts(runs) for runs in groups] or [NOT_MEASURED]),
        _verdicts([record]),
        NOT_APPLICABLE,
    ]]  # fmt: skip
    folded = []
    for name in names:
        at_once = experiment in ROWS or name in _AT_ONCE or name in published.metrics
        per = ""
        if name in ("train_loss", "val_loss"):
            per = "per image" if experiment == "test3" else "per byte"
        unit = " ".join(part for part in (unit_of(name).unit, per) if part)
        (rows if at_once else folded).append([
            escape(unit_of(name).label) + (f"<small>{escape(unit)}</small>" if unit else ""),
            _reported(published, name),
            *([_cell(runs, name) + _floors(runs[0], name) for runs in groups] or [NOT_MEASURED]),
            _cell([record], name),
            _baselines(published, record, name, trivial or {}, partner),
        ])  # fmt: skip
    caption = f"{title(record)}: published, recorded and this build."
    if get(record, "scale") == "smoke":
        caption += " Scale smoke shows that everything runs; its numbers mean nothing."
    if trivial:
        caption += " Trivial baselines are of this build's data where no other is named."
    if any(metric(r, name) and metric(r, name).get("low") is not None for r in [record] for name in names):
        caption += " In brackets: 95% interval over images; of several seeds, from the lowest end to the highest."
    more = f"{len(folded)} more measure{'s' * (len(folded) > 1)}, which the study did not report"
    return html_table(caption, head, rows, folded, more)


def probe_table(record: Any, recorded: Iterable[Any] = (), blind: Iterable[Any] = ()) -> Display:
    """What the decoder makes of its plan: the probes, recorded and in this build, each beside chance.

    Args:
        record: this build's run.
        recorded: earlier runs; those on the same data and scale share a column, as seeds of one experiment.
        blind: trained blind models; a run that has its partner among them gets its gain over it.
    """
    blind = list(blind)
    groups = [[with_gain(run, blind) for run in runs] for runs in _columns(recorded)]
    record = with_gain(record, blind)
    *apart, here = set_apart([*groups, [record]])
    columns = zip(groups, apart, strict=True)
    head = ["probe"]
    head += [f"recorded<small>{_with(settings(runs), what)}</small>" for runs, what in columns] or ["recorded"]
    head += [f"this build<small>{_with(setting(record), here)}</small>", "chance"]
    rows = []
    for name in ROWS["probes"]:
        unit, found = unit_of(name), metric(record, name)
        rows.append([
            escape(unit.label) + (f"<small>{escape(unit.unit)}</small>" if unit.unit else ""),
            *([_cell(runs, name) for runs in groups] or [NOT_MEASURED]),
            _cell([record], name),
            number(name, chance(found["n"]).get(name, 0.0)) if found else NOT_MEASURED,
        ])  # fmt: skip
    caption = f"{title(record)}: what its decoder makes of the plan. In brackets: 95% interval; "
    caption += "of several seeds, from the lowest end to the highest."
    if (found := metric(record, "image_r1")) is not None:
        caption += f" Retrieval among {found['n']} images of this build; InfoNCE can show at most "
        caption += f"{math.log2(metric(record, 'infonce')['n']):.1f} bits there."
    return html_table(caption, head, rows)


def runs_table(experiments: Iterable[Sequence[Any]], blind: Iterable[Any] = ()) -> Display:
    """Captioning experiments side by side: what the study reported of each, every probe, and the category.

    Args:
        experiments: each as its seeds at one place; one without a record is left out.
        blind: trained blind models; a run that has its partner among them gets its gain over it.
    """
    blind = list(blind)
    groups = [[with_gain(run, blind) for run in runs] for runs in experiments if runs]
    head = ["result", *(f"{escape(title(runs[0]))}<small>{escape(settings(runs))}</small>" for runs in groups)]
    rows = [["verdict", *(_verdicts(runs) for runs in groups)]]
    for name in (*_SIDE_BY_SIDE, *ROWS["probes"], "probe_majority", "probe_untrained", "probe_plan"):
        unit = unit_of(name).unit + " per byte" * (name in ("train_loss", "val_loss"))
        label = escape(unit_of(name).label) + (f"<small>{escape(unit)}</small>" if unit else "")
        rows.append([label, *(_cell(runs, name) for runs in groups)])
    places = dict.fromkeys(get(run, "data") for runs in groups for run in runs)
    caption = f"Captioning runs side by side, on {', '.join(places) or 'nothing'}: captions, losses, plans."
    caption += " In brackets: 95% interval over images; of several seeds, from the lowest end to the highest."
    return html_table(caption, head, rows)


def category_table(test3: Any, captioners: Iterable[Any]) -> Display:
    """What of the category a linear probe reads off pixels, colours and plans, beside the model trained for it.

    Args:
        test3: a run of Test 3.
        captioners: captioning runs; their own plans, frozen, and what a frozen network of theirs had to offer.
    """
    runs = [test3, *captioners]
    head = ["read from", *(f"{escape(title(run))}<small>{escape(setting(run))}</small>" for run in runs)]
    rows = []
    probes = [name for name in PROBES if name != "probe_features" or any(metric(run, name) for run in runs)]
    for name in (*probes, "accuracy"):
        label = "trained end to end" if name == "accuracy" else unit_of(name).label
        balanced = "balanced_accuracy" if name == "accuracy" else f"{name}_balanced"
        cells = []
        for run in runs:
            if name == "accuracy" and not (get(run, "confusion") and metric(run, name)):
                cells.append(NOT_APPLICABLE)
                continue
            below = _cell([run], balanced) if metric(run, balanced) else NOT_MEASURED
            cells.append(f"{_cell([run], name)}<div>balanced {below}</div>")
        rows.append([escape(label), *cells])
    caption = (
        "Accuracy, and mean recall over the classes that occur. In brackets: 95% interval over images. All probes "
        "are fitted on the training images of the run and judged on its validation images."
    )
    return html_table(caption, head, rows)


def verdict(record: Any) -> Display:
    """The verdict of a run as a sentence: the report's reading, and the study's own code where it differs."""
    found = get(record, "verdict")
    text = f"{found['label']}: {found['reason']}."
    cosine, rank = metric(record, "plan_cosine"), metric(record, "plan_rank")
    if cosine and rank:
        text += (
            f" Between the plans of different images the mean cosine is {cosine['value']:.4f} (1: all alike) and "
            f"their effective rank {rank['value']:.2f} (1: one direction)."
        )
    if found["by_code"] != found["label"]:
        text += f" By the study's own code, which looks at the sampled captions alone, it is {found['by_code']}."
    label, rest = text.split(":", 1)
    return Display(f'<div class="vljepa"><strong>{escape(label)}</strong>:{escape(rest)}</div>', text)


def verdict_table(records: Iterable[Any], recorded: Mapping[str, Sequence[Any]]) -> Display:
    """The experiments side by side: published verdict, recorded ones, this build's, and why.

    Args:
        records: this build's runs, in the order of the rows.
        recorded: experiment -> earlier runs, one column for all.
    """
    rows = []
    for record in records:
        published, found = PUBLISHED[get(record, "experiment")], get(record, "verdict")
        by_code = published.verdict_by_code
        small = f"<small>by the study's own code: {by_code}</small>" if by_code else ""
        earlier = [
            f"<div>{_verdicts([run])}<small>{escape(settings([run]))}</small></div>"
            for run in recorded.get(get(record, "experiment"), ())
        ]
        rows.append([
            escape(title(record)),
            escape(published.verdict) + small,
            "".join(earlier) or NOT_MEASURED,
            _verdicts([record]),
            escape(found["reason"]),
        ])  # fmt: skip
    head = ["experiment", "published", "recorded", "this build", "why, in this build"]
    return html_table("Verdicts: published, recorded and this build.", head, rows)


def _columns(recorded: Iterable[Any]) -> list[list[Any]]:
    """Runs of one recipe on the same data at the same scale belong together; nothing else may be averaged."""
    groups: dict[tuple, list[Any]] = {}
    for run in recorded:
        data = get(get(run, "dataset", {}), "name") or get(run, "data")
        groups.setdefault((data, get(run, "scale"), as_made(run)), []).append(run)
    return [one_each_seed(runs) for runs in groups.values()]


def _with(where: str, apart: str) -> str:
    """What a column ran on, and what of its recipe tells it from another column that ran on the same."""
    return escape(f"{where}, {apart}" if apart else where)


def _origin(runs: list[Any], source_hash: str, apart: str) -> str:
    """Under a recorded column's name: data, scale, seeds, what sets it apart, commits, an older core."""
    made = [get(run, "provenance", {}) for run in runs]
    commits = {f"{p.get('commit', 'unknown')[:7]}{' with changes' if p.get('dirty') else ''}" for p in made}
    text = f"{_with(settings(runs), apart)}<br>commit {', '.join(map(escape, sorted(commits)))}"
    if len(runs) > 1:
        text += "<br>mean ± standard deviation over seeds"
    judged = {p["judged"]["commit"][:7] for p in made if p.get("judged", p).get("commit") != p.get("commit")}
    if judged:
        text += f"<br>judged at {', '.join(map(escape, sorted(judged)))}"
    if not all(get(run, "source_hash") in (source_hash, *SAME_BITS) for run in runs):
        text += "<br><strong>recorded with an older core</strong>"
    return text


def _measure(record: Any, name: str) -> dict | None:
    if name == "parameters":
        total = get(get(record, "parameters", {}), "total")
        return None if total is None else {"value": total}
    if name == "seconds":
        made = get(record, "provenance", {})  # its "seconds" are those of the evaluation, too
        seconds = made.get("train_seconds", made.get("seconds"))
        return None if seconds is None else {"value": seconds}
    found = metric(record, name)
    if found is None and name == "val_loss":
        last = series(record, name)[1][-1:]  # classification keeps it in the history only
        return {"value": last[0]} if last else None
    return found


def _cell(runs: list[Any], name: str) -> str:
    found = [m for m in (_measure(run, name) for run in runs) if m]
    if not found:
        return NOT_MEASURED
    values = [m["value"] for m in found]
    if len(found) == 1:
        text = counted(name, values[0], found[0].get("n"))
    elif len(set(values)) == 1:
        text = number(name, values[0])
    else:
        text = f"{number(name, statistics.mean(values))} ± {number(name, statistics.stdev(values))}"
    if all(m.get("low") is not None and m.get("high") is not None for m in found):
        low, high = min(m["low"] for m in found), max(m["high"] for m in found)
        text += f"<small>[{number(name, low)}, {number(name, high)}]</small>"
    return text + (f"<small>{len(found)} of {len(runs)} seeds</small>" if len(found) < len(runs) else "")


def _verdicts(runs: list[Any]) -> str:
    texts = []
    for run in runs:
        verdict = get(run, "verdict", {})
        text = escape(verdict.get("label") or "not measured")
        if verdict.get("by_code") and verdict["by_code"] != verdict.get("label"):
            text += f"<small>by the study's own code: {escape(verdict['by_code'])}</small>"
        texts.append(text)
    return "<br>".join(dict.fromkeys(texts))


def _reported(published: PublishedRun, name: str) -> str:
    found = published.metrics.get(name)
    if found is None:
        return NOT_REPORTED
    text = escape(found.text) if found.text else (NOT_REPORTED if found.value is None else number(name, found.value))
    if found.text and found.value is not None and "%" not in found.text:
        return f"{number(name, found.value)} ({text})"
    return text


def _elsewhere(baseline: Baseline) -> str:
    return "" if baseline.data == "this build" else f" ({baseline.data})"


def _floors(record: Any, name: str) -> str:
    """What trivial answers score on a recorded run's own data, from its record (the first of several seeds)."""
    lines = [f"{line['label']} {number(name, line['value'])}" for line in get(record, "trivial", {}).get(name, ())]
    return f"<small>trivial there: {escape('; '.join(lines))}</small>" if lines else ""


def _baselines(
    published: PublishedRun, record: Any, name: str, trivial: Mapping[str, Sequence[Baseline]], partner: Any = None
) -> str:
    if name in _COST:
        return NOT_APPLICABLE
    lines = [
        (number(name, b.value), f"{b.label}{_elsewhere(b)}")
        for b in (*trivial.get(name, ()), *published.baselines.get(name, ()))
    ]
    lines += _own_yardsticks(record, name)
    if partner is not None and name.startswith(("greedy_", "sampled_", "val_")) and (found := metric(partner, name)):
        lines.append((number(name, found["value"]), "a trained blind model (this build)"))
    majority = metric(record, "majority")
    if name == "accuracy" and majority:
        lines.append((number(name, majority["value"]), "always the largest class (this build)"))
    cells = [f"<small><b>{escape(value)}</b> {escape(label)}</small>" for value, label in lines]
    if len(cells) <= _BASELINES_AT_ONCE + 1:
        return "".join(cells) or NOT_MEASURED
    further = cells[_BASELINES_AT_ONCE:]  # in a narrow column ten would make a row of a page's height
    return (
        "".join(cells[:_BASELINES_AT_ONCE])
        + f"<details><summary>{len(further)} more</summary>{''.join(further)}</details>"
    )


def _own_yardsticks(record: Any, name: str) -> list[tuple[str, str]]:
    """What a record itself holds to read a metric by: value and label."""
    found = []
    if permuted := metric(record, f"{name}_permuted"):
        gain = metric(record, f"{name}_gain")
        less = f"{number(name, gain['value'])} [{number(name, gain['low'])}, {number(name, gain['high'])}]"
        found.append((number(name, permuted["value"]), f"its captions, of other images; difference {less}"))
    kind, _, rest = name.partition("_")
    if kind in ("greedy", "sampled") and (reference := metric(record, f"reference_{rest}")):
        found.append((number(name, reference["value"]), "the reference captions (this build)"))
    if kind in ("greedy", "sampled") and rest in ("overlap", "content_match", "bleu4", "cider"):
        for space, label in (("pixel", "pixels"), ("plan", "plans")):
            if neighbour := metric(record, f"{space}_neighbour_{rest}"):
                found.append(
                    (number(name, neighbour["value"]), f"caption of the nearest training image by {label} (this build)")
                )
    if get(record, "confusion") and name in _OF_CLASSES:
        for yardstick in PROBES[: PROBES.index("probe_plan")]:
            if probe := metric(record, yardstick + _OF_CLASSES[name]):
                found.append((number(name, probe["value"]), f"{unit_of(yardstick).label} (this build)"))
    if name in MEASURES and (start := at_random_weights(record, name)) is not None:
        found.append((number(name, start), "random weights (this build)"))
    return found
