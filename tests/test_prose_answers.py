"""Chapter 10, two answers, says what the records of Runs 5 and 6 do."""

from __future__ import annotations

from tests.prose import chapter, in_pieces, readme
from vljepa_core import known_bits
from vljepa_core.blind import gain_over_blind, with_gain
from vljepa_core.extrapolation import curves
from vljepa_core.goals import INTERVAL_SHARE, judge
from vljepa_core.records import recorded
from vljepa_core.rungs import broke, recorded_rungs
from vljepa_core.sweeps import recorded_sweep


def test_on_photographs_that_nothing_was_chosen_on_both_reach_every_floor_again() -> None:
    text = readme()
    again, before = recorded_sweep("resplit"), [r for r in recorded_sweep("pieces") if r.seed == 0]
    twin = [r for r in again if r.experiment == "run5_blind"]
    run5, run6 = ([r for r in again if r.experiment == name] for name in ("run5", "run6"))
    assert {r.data for r in again} == {"flickr8k-resplit"} and len(run5) == len(run6) == len(twin) == 1
    for run in (*run5, *run6):
        assert all(each.floor_met for each in judge(run, twin) if each.applies)
    bits = {name: "{value:.2f} bits [{low:.2f}, {high:.2f}]".format(**runs[0].metrics["infonce"])
            for name, runs in (("run5", run5), ("run6", run6))}  # fmt: skip
    assert f"They reach every floor again: {bits['run5']} and {bits['run6']}." in text
    category = {run.experiment: next(e for e in judge(run, twin) if e.measure == "category") for run in (*run5, *run6)}
    assert not category["run6"].goal_met and category["run5"].goal_met
    goals = {e.measure for e in judge(run6[0], twin) if e.goal_met}
    assert goals == {"retrieval"} and "Run 6 reaches only the goal for retrieval there;" in text
    # Chapter 10: Run 6 is within its intervals on every other measure, Run 5 outside of them on three.
    said = chapter(10)
    margins = [
        100 * next(e.value for e in judge(r, []) if e.measure == "category")
        for r in recorded_sweep("pieces")
        if r.experiment == "run6"
    ]
    where = f"{100 * category['run6'].value:.1f} points above the largest class, where it was"
    assert f"{where} {min(margins):.1f} to {max(margins):.1f}" in said
    ciders = [next(r for r in runs if r.experiment == "run5_blind").value("greedy_cider") for runs in (before, again)]
    constants = [next(r for r in runs if r.experiment == "run5").value("constant_cider") for runs in (before, again)]
    assert ciders[1] < ciders[0] and constants[1] < constants[0]
    assert "for the constant caption and for the blind twin as well" in said
    seeds = [r for r in recorded_sweep("pieces") if r.experiment == "run5"]
    bits, distinct = (sorted(r.value(name) for r in seeds) for name in ("infonce", "greedy_unique"))
    now = (
        f"({run5[0].value('infonce'):.2f}) and distinct captions ({run5[0].value('greedy_unique'):.1%}) are above those"
    )
    assert now in said
    spread = f"{bits[0]:.2f} to {bits[-1]:.2f} bits and {100 * distinct[0]:.1f} to {distinct[-1]:.1%}"
    assert f"three seeds had {spread}." in said
    outside = {"run5": set(), "run6": set()}
    names = ("infonce", "gain_over_blind", "image_r1", "greedy_unique", "greedy_cider", "probe_plan", "val_loss")
    for name in outside:
        old, new = (next(with_gain(r, runs) for r in runs if r.experiment == name).metrics for runs in (before, again))
        outside[name] = {key for key in names if not old[key]["low"] <= new[key]["value"] <= old[key]["high"]}
    assert outside == {"run5": {"infonce", "greedy_unique", "greedy_cider"}, "run6": set()}


def test_chapter_10_says_what_an_untrained_plan_reads_of_the_category() -> None:
    text, above = chapter(10), {"run5": [], "run6": []}
    sweeps = [recorded_sweep(name) for name in ("pieces", "answers", "eight_kilobytes", "resplit")]
    for record in (*recorded("run5"), *recorded("run6"), *sum(sweeps, [])):
        if record.experiment in above and not known_bits.is_scenes(record):
            read = record.value("probe_untrained") - record.value("probe_majority")
            above[record.experiment].append((100 * read, record.recipe["dim"]))
    run5, run6 = ([value for value, _ in above[name]] for name in ("run5", "run6"))
    wide = " and ".join(dict.fromkeys(f"{value:.1f}" for value, dim in above["run6"] if dim == 256))
    assert f"the category {min(run6):.0f} to {max(run6):.0f} points above the largest class ({wide} with 8 KB)" in text
    assert f"untrained Run 5 {min(run5):.0f} to {max(run5):.0f}, so that" in text


def test_chapter_10_says_what_infonce_has_to_be_sure_of() -> None:
    assert INTERVAL_SHARE == 0.5 and "InfoNCE the 95% interval has to lie above half the floor." in chapter(10)


def test_chapter_10_says_what_run_5_brings_on_scenes() -> None:
    text = chapter(10)
    scenes = recorded_rungs("scenes")
    (run5, run6, blind) = (
        next(r for r in recorded(name) if r.data == "scenes") for name in ("run5", "run6", "run5_blind")
    )
    shares = [known_bits.of([r])[0].delivered for r in (run5, *scenes["run5"])]
    assert f"brings {100 * min(shares):.0f}% to {max(shares):.0%} of the bits that so many pictures can show" in text
    saved = [gain_over_blind(run, blind).value for run in (run5, run6)]
    assert f"Against the twin it saves {saved[0]:.1f} bits and Run 6 {saved[1]:.1f}." in text


def test_chapters_8_10_and_11_say_what_qualifies_a_sentence() -> None:
    """How Run 5 would reach a goal by steps; the category's margin on the second split; a capacity run."""
    small = recorded_sweep("curves_run5")
    seeing, twins = ([r for r in small if r.experiment == name] for name in ("run5", "run5_blind"))
    (distinct,) = (c for c in curves(seeing, twins) if (c.along, c.measure) == ("steps", "greedy_unique"))
    ends = " to ".join(f"{float(f'{end:.2g}'):,.0f}" for end in distinct.reaches(distinct.goal))
    assert f"(distinct captions alone would come with {ends} steps)" in chapter(11)
    (other,) = (r for r in recorded_sweep("resplit") if r.experiment == "run6")
    said = f"(It is read as well as before, in {other.value('probe_plan'):.1%}; the largest class is larger there, "
    assert f"{said}{other.value('probe_majority'):.1%}.)" in chapter(10)
    before = [r.value("probe_plan") for r in in_pieces("run6")]
    assert min(before) <= other.value("probe_plan") <= max(before)
    counted = [r for r in recorded("capacity_overfit") if broke([r])]
    assert [f"{r.value('infonce'):.2f}" for r in counted] == ["0.14"]
    assert (
        "(The image's plans of one seed bring 0.14 bits, which the next chapter's threshold would count.)" in chapter(8)
    )
