"""Chapter 11, what more brings, says what the records do."""

from __future__ import annotations

import numpy as np
import pytest

from tests.prose import chapter, in_pieces, listed, readme, seeds_of, without_memory
from vljepa_core import known_bits
from vljepa_core.blind import bits_apart, gain_over_blind
from vljepa_core.extrapolation import curves
from vljepa_core.goals import GOALS, judge
from vljepa_core.recipes import differing
from vljepa_core.records import recorded
from vljepa_core.rungs import broke, recorded_rungs
from vljepa_core.sweeps import recorded_sweep


def test_chapter_11_says_which_captions_end_at_80_ids_and_whose_get_better_in_pieces() -> None:
    text = chapter(11)
    seeing = {
        sweep: [r for r in recorded_sweep(sweep) if r.experiment != "run5_blind"] for sweep in ("answers", "pieces")
    }
    lengths = {
        sweep: [[len(row["greedy"].encode()) for row in r.captions if "greedy" in row] for r in runs]
        for sweep, runs in seeing.items()
    }
    at_the_end = [round(100 * np.mean([n >= 79 for n in each])) for each in lengths["answers"]]
    assert f"in bytes {min(at_the_end)} to {max(at_the_end)}% of the greedy ones end there, in pieces none" in text
    assert max(max(each) for each in lengths["pieces"]) < 2 * 80, "80 pieces are some 260 bytes"
    cider = {(s, r.experiment): r.value("greedy_cider") for s, runs in seeing.items() for r in runs if r.seed == 0}
    assert cider["pieces", "run6"] > cider["answers", "run6"] and cider["pieces", "run5"] <= cider["answers", "run5"]


def test_memory_turns_the_order_of_a_seeing_run_and_its_twin_as_chapter_11_says() -> None:
    """With every seed: behind the twin without memory, with it ahead or level; a twin of one vector is behind."""
    twins, narrow = without_memory("run5_blind"), without_memory("run5_blind", vectors=1)
    assert all(gain_over_blind(one, twin).high < 0 for one, twin in zip(narrow, twins, strict=True)), "loses its lead"
    lows: dict[str, list[float]] = {"run5": [], "run6": []}
    for name in lows:
        before, after = without_memory(name), seeds_of(name)
        pairs = zip(before, twins, after, seeds_of("run5_blind"), strict=True)
        for old, old_twin, new, twin in pairs:
            assert gain_over_blind(old, old_twin).high < -3
            lows[name].append(gain_over_blind(new, twin).low)
            assert gain_over_blind(new, twin).high > 0
    assert {name: sum(low > 0 for low in each) for name, each in lows.items()} == {"run5": 0, "run6": 2}, "of 3 seeds"
    assert "ahead with two seeds; its third, and all three of Run 5, are level with the twin within" in chapter(11)
    assert all(
        one.value("val_loss") > old.value("val_loss") for one, old in zip(narrow, without_memory("run6"), strict=True)
    )
    behind = [-gain_over_blind(old, twin).value for old, twin in zip(without_memory("run6"), twins, strict=True)]
    text = chapter(11)
    assert f"Run 6, {min(behind):.1f} to {max(behind):.1f} bits behind before" in text
    with_it = np.mean([r.value("val_loss") for r in seeds_of("run5_blind")])
    assert abs(with_it - np.mean([r.value("val_loss") for r in twins])) < 0.015, "hardly any use for it"
    assert not broke(recorded_rungs("flickr8k")["memory"])


def test_text_first_brings_fewer_bits_at_a_slightly_smaller_loss_as_chapter_11_says() -> None:
    text, rungs = chapter(11), recorded_rungs("flickr8k")
    pairs = [*zip(rungs["run6_text_first"], rungs["run6_without_memory"], strict=True)]
    assert all(set(differing(a.recipe, b.recipe)) == {"pretrain", "pretrain_epochs"} for a, b in pairs)
    bits = [listed(f"{r.value('infonce'):.2f}" for r in each) for each in zip(*pairs, strict=True)]
    assert f"fewer bits through the plan ({bits[0]} in place of {bits[1]})" in text
    saved = listed(f"{bits_apart(b, a).value:.1f}" for a, b in pairs)
    assert f"at a loss that is {saved} bits per caption smaller, where 4.5 to 5.2 were" in text
    (first,) = (r for r in rungs["run6_text_first"] if r.seed == 0)
    run6, blind = (without_memory(name)[0] for name in ("run6", "run5_blind"))
    after_half = [next(row["train_loss"] for row in r.history if row["epoch"] == 4) for r in (run6, first, blind)]
    assert [f"{x:.2f}" for x in after_half] == ["1.40", "1.38", "1.29"]
    assert "(1.38 nats per byte against 1.40, the twin 1.29)" in text


def test_chapter_11_says_what_a_rung_in_pieces_brings() -> None:
    text = chapter(11)
    rungs = recorded_rungs("flickr8k")
    pieces, plain = (listed(f"{r.value('infonce'):.2f}" for r in rungs[name]) for name in ("run6_pieces", "run6"))
    assert f"that rung brings {pieces} bits where Run 6 in bytes brings {plain}." in text
    assert all(
        p.value("infonce") > b.value("infonce") for p, b in zip(rungs["run6_pieces"], rungs["run6"], strict=True)
    )


def test_chapter_11_says_where_run_6_goes() -> None:
    grown = [record for record in recorded_sweep("curves") if record.experiment == "run6"]
    bits = {c.along: c for c in curves(grown) if c.measure == "infonce"}
    unique = {c.along: c for c in curves(grown) if c.measure == "greedy_unique"}
    assert [p.at for p in bits["n_train"].points] == [500, 1000, 2000, 4000]
    assert bits["n_train"].line()[1] == pytest.approx(0.3, abs=0.03), "a doubling of the photographs"
    assert bits["n_train"].line(3)[1] > 0.2, "no end of it"
    distinct = [p.value for p in unique["n_train"].points]
    assert distinct == sorted(distinct, reverse=True), "become fewer"
    base, *_, longest = (p.value for p in bits["steps"].points if p.at >= 1000)
    assert longest - base < 0.1 and unique["steps"].points[-1].value > 0.85 > unique["steps"].points[1].value
    narrow, middle, wide = (p.value for p in bits["dim"].points)
    assert narrow < wide < middle
    pixels = [p.value for p in bits["image_size"].points]
    assert pixels[0] < pixels[1]
    widest = bits["image_size"].points[-1]
    assert widest.at == 224 and pixels[1] > widest.low
    text = chapter(11)
    for said in (
        "about 0.3 more with every doubling, at as many steps, and no end of it up to 4,000",
        "distinct captions become fewer",
        "bring next to no bits from the same photographs",
        "**Width** brought no more bits from 128 on, with one learning rate for all widths. - **Pixels** count up",
        "224 bring no more bits than one seed can tell",
    ):
        assert said in text


def test_chapter_11_says_what_run_6_saves_with_more_of_something() -> None:
    records = recorded_sweep("curves")
    seeing, twins = ([r for r in records if r.experiment == name] for name in ("run6", "run5_blind"))
    saved = {c.along: c for c in curves(seeing, twins) if c.measure == "gain_over_blind"}
    told = {name: listed(f"{p.value:.2f}" for p in curve.points) for name, curve in saved.items()}
    text = chapter(11)
    assert all(p.high < 0 for curve in saved.values() for p in curve.points) and "are below zero at every point" in text
    assert [p.at for p in saved["steps"].points] == [500, 1_000, 2_000, 4_000]
    assert f"but ever less: {told['steps']} with 500, 1,000, 2,000 and 4,000." in text
    steps = [p.value for p in saved["steps"].points]
    assert np.all(np.diff(steps) > 0) and np.all(np.diff(steps, n=2) < 0)
    assert [p.at for p in saved["n_train"].points] == [500, 1_000, 2_000, 4_000]
    assert f"they grow up to 2,000 ({told['n_train']} with 500, 1,000, 2,000 and 4,000)," in text
    images = [p.value for p in saved["n_train"].points]
    assert images[0] < images[1] < images[2] > images[3]
    assert f"with pixels to the end ({told['image_size']} with 64, 128 and 224)." in text
    assert np.all(np.diff([p.value for p in saved["image_size"].points]) > 0)
    widths = [p.value for p in saved["dim"].points]
    assert f"{told['dim']} with widths of 64, 128 and 256." in text and widths == sorted(widths)
    bits = {p.at: p.value for c in curves(seeing) for p in c.points if (c.along, c.measure) == ("dim", "infonce")}
    assert bits[256] < bits[128], "though no more bits come through"
    goal = GOALS["run6"]["gain_over_blind"].goal
    assert all(min(curve.reaches(goal)) > 5 * curve.points[-1].at for curve in saved.values())
    assert {r.provenance["precision"] for r in twins} == {"float32"}
    assert {r.provenance["precision"] for r in seeing} == {"bfloat16"}
    full = [r for r in recorded_sweep("float32") if not r.experiment.startswith("capacity")]
    assert sorted(r.experiment for r in full) == ["run2", "run2_blind", "run3", "run4", "run4_blind"]
    apart = [
        abs(bits_apart(r, other).value)
        for r in full
        for other in recorded(r.experiment)
        if (other.data, other.seed) == (r.data, r.seed)
    ]
    assert len(apart) == 5 and f"a caption costs them {min(apart):.1f} to {max(apart):.1f} bits more or less" in text


def test_chapter_11_says_where_the_lines_would_lead() -> None:
    records, text = recorded_sweep("curves"), chapter(11)
    seeing, twins = ([r for r in records if r.experiment == name] for name in ("run6", "run5_blind"))
    lines = {(c.along, c.measure): c for c in curves(seeing, twins)}

    def reached(along: str, measure: str, unit: float = 1, form: str = ",.0f") -> str:
        curve = lines[along, measure]
        return " to ".join(format(float(f"{end:.2g}") / unit, form) for end in curve.reaches(curve.goal))

    bits, distinct, cider = (
        reached("n_train", "infonce", 1e6, ".1f"),
        *(reached("steps", name) for name in ("greedy_unique", "greedy_cider")),
    )
    said = f"its goal for bits with {bits} million photographs, for distinct captions with {distinct} steps, for CIDEr"
    assert f"{said} with {cider}." in text
    images = lines["n_train", "infonce"]
    foretold = {f"{start + slope * np.log2(6_074):.2f}" for start, slope in (images.line(), images.line(images.last))}
    whole = [r for r in recorded_sweep("without_memory") if r.experiment == "run6" and r.dataset["n_train"] == 6_074]
    assert {r.provenance["steps"] for r in whole} == {4_560} and {r.metrics["infonce"]["n"] for r in whole} == {375}
    came = listed(f"{r.value('infonce'):.2f}" for r in whole)
    assert (
        f"says {' '.join(foretold)} bits, and the same Run 6, which was given 4,560 steps for them, has {came}" in text
    )
    missed = {j.measure for r in in_pieces("run6") for j in judge(r, in_pieces("run5_blind")) if j.goal_met is False}
    assert missed == {"infonce", "gain_over_blind", "greedy_unique", "greedy_cider"}
    assert missed == {
        j.measure for r in in_pieces("run5") for j in judge(r, in_pieces("run5_blind")) if j.goal_met is False
    }
    small = [r for r in recorded_sweep("curves_run5") if r.experiment == "run5"]
    (images,) = (c for c in curves(small) if (c.along, c.measure) == ("n_train", "greedy_cider"))
    ends = f"{images.points[0].value:.2f} to {images.points[-1].value:.2f}"
    assert f"CIDEr grows with them ({ends}), and would" in text
    assert 1.5e6 < min(images.reaches(images.goal)) < 2.5e6, "two million of them or more"


def test_chapter_11_says_which_rungs_reach_the_goals_on_scenes_with_every_seed() -> None:
    text, rungs = chapter(11), recorded_rungs("scenes")
    for run, part, before, after in (
        ("run5", "shifts", "all three seeds (", "), which was not predicted"),
        ("run6", "alignment", "the rung without it brings ", ", the goal with all three."),
    ):
        shares = [known_bits.of([r])[0].delivered for r in rungs[f"{run}_without_{part}"]]
        assert min(shares) >= GOALS[run]["delivered"].goal
        assert f"{before}{listed(f'{share:.1%}' for share in shares)}{after}" in text


def test_chapter_11_says_how_far_run_6_gets_on_scenes() -> None:
    grown = [r for r in recorded_sweep("curves_scenes") if r.experiment == "run6"]
    share = {c.along: c for c in curves(grown) if c.measure == "delivered"}
    images = {p.at: p.value for p in share["n_train"].points}
    assert images[8_000] <= images[4_000], "more images bring no more in as many steps"
    half, base, double = share["dim"].points
    text = chapter(11)
    longest = sorted((r for r in grown if r.provenance["steps"] == 4_000), key=lambda r: r.seed)
    distinct = [f"{r.value('greedy_unique'):.1%}" for r in longest]
    delivered = [f"{known_bits.of([r])[0].delivered:.1%}" for r in longest]
    assert f"a model and plan half as wide bring less ({half.value:.1%})." in text
    assert f"Twice as wide they come to {double.value:.1%}, four times the" in text
    assert f"steps to {' and '.join(delivered)} (two seeds), where" in text and f"({' and '.join(distinct)})." in text
    ends = [next(r for r in grown if r.provenance["steps"] == 1_000 and (r.recipe["dim"], r.dataset["n_train"]) == at)
            .metrics["infonce"] for at in ((128, 4_000), (256, 4_000), (64, 4_000))]  # fmt: skip
    assert all(bits < ends[0]["high"] for bits in (ends[1]["value"], *(r.value("infonce") for r in longest)))
    assert half.value < base.value and f"where {ends[2]['value']:.2f} come through" in chapter(10)
    by_steps = {r.provenance["steps"]: known_bits.of([r])[0].text_bound for r in reversed(grown)
                if r.seed == 0 and r.dataset["n_train"] == 4_000 and r.recipe["dim"] == 128}  # fmt: skip
    (wider,) = (known_bits.of([r])[0].text_bound for r in grown if r.recipe["dim"] == 256)
    first, second = (f"{known_bits.of([r])[0].text_bound.value:.1f}" for r in longest)
    short, bound = f"{by_steps[1_000].value:.1f}", by_steps[2_000]
    assert f"at least {short} bits come through after 1,000 steps, {wider.value:.1f} with twice the width," in text
    assert f"and {bound.value:.1f} ({bound.low:.1f} to {bound.high:.1f}, 95%) after 2,000" in text
    assert f"(after 4,000 it is {first} and {second}: validation loss has begun to rise)" in text
    losses = [row["val_loss"] for row in longest[0].history if row.get("val_loss")]
    assert losses[-1] > min(losses)
    needed = known_bits.of(longest)[0].needed.value
    (most,) = {f"{known_bits.of([r])[0].perfect / known_bits.of([r])[0].ceiling:.1%}" for r in grown}
    assert f"even a perfect plan would show {most}.)" in text
    in_pieces = [known_bits.of([r])[0] for r in recorded_rungs("scenes")["run6_pieces"]]
    shares, apart = (listed(f"{getattr(r, name):.1%}" for r in in_pieces) for name in ("delivered", "unique"))
    assert f"1,000 steps, 200 pictures) it is {shares}, and {apart} of the captions are distinct" in text
    assert [sum(r.delivered >= 0.95 for r in in_pieces), sum(r.unique >= 0.95 for r in in_pieces)] == [2, 2]
    (by_loss,) = {f"{r.text_bound.value:.1f}" for r in in_pieces}
    assert f"In pieces of words it is {by_loss} with each of three seeds after 1,000." in text
    (share,) = {f"{r.text_bound.value / r.needed.value:.0%}" for r in in_pieces}
    assert (
        f"delivers {bound.value / needed:.0%} of what a caption needs or more at best (2,000 steps, one seed), in"
        in text
    )
    assert f"one seed), in pieces {share}, which is more" in text
    different = [f"{r.distinct:.1%}" for r in (known_bits.of(longest)[0], in_pieces[0])]
    assert f"only {different[0]} of these scenes are different, {different[1]} of the 200 of a rung" in text


def test_chapter_11_says_where_run_5_goes() -> None:
    grown = [record for record in recorded_sweep("curves_run5") if record.experiment == "run5"]
    along = {c.along: c for c in curves(grown) if c.measure == "infonce"}
    images = along["n_train"]
    assert [p.at for p in images.points] == [500, 1_000, 2_000, 4_000]
    first, *_, last = images.points
    said = (
        f"{images.line()[1]:.2f} more with every doubling, {first.value:.2f} with 500 and {last.value:.2f} with 4,000"
    )
    assert f"They grow less: {said}, so that nobody" in chapter(11)
    text = chapter(11)
    unseeing = [record for record in recorded_sweep("curves_run5") if record.experiment == "run5_blind"]
    measured = {(c.along, c.measure): [p.value for p in c.points] for c in curves(grown, unseeing)}
    bits, saved, unique = (measured["steps", name] for name in ("infonce", "gain_over_blind", "greedy_unique"))
    told = listed(f"{value:.2f}" for value in bits)
    assert f"from the same photographs ({told} with 500, 1,000, 2,000 and 4,000), while" in text
    assert bits[0] < bits[1] < bits[2] > bits[3] and saved == sorted(saved, reverse=True) and unique == sorted(unique)
    assert f"against the twin shrink ({listed(f'{value:.2f}' for value in saved)}): perhaps because the twin" in text
    assert f"more distinct meanwhile ({listed(f'{value:.0%}' for value in unique)});" in text
    width = listed(f"{p.value:.2f}" for p in along["dim"].points)
    small, large = (
        next(r for r in grown if r.provenance["steps"] == 1_000 and r.recipe["image_size"] == size
             and (r.recipe["dim"], r.dataset["n_train"]) == (128, 4_000))
        for size in (64, 128)
    )  # fmt: skip
    pixels = listed(f"{r.value('infonce'):.2f}" for r in (small, large))
    assert large.metrics["infonce"]["high"] > small.value("infonce") > large.metrics["infonce"]["low"]
    assert f"brings nothing, as was expected ({width} with 64, 128 and 256)" in text
    assert f"**Pixels** neither ({pixels} with 64 and 128)." in text
    best = sorted(r.value("infonce") for r in in_pieces("run5"))
    assert f"together brought most, {best[0]:.2f} to {best[-1]:.2f} bits." in text
    assert best[0] > max(p.value for c in along.values() for p in c.points)
    other = [record for record in recorded_sweep("curves") if record.experiment == "run6"]
    (run6,) = (c for c in curves(other) if (c.along, c.measure) == ("n_train", "infonce"))
    assert images.line()[1] < run6.line()[1]
    assert min(images.reaches(GOALS["run5"]["infonce"].goal)) > 1e8, "by photographs alone"


def test_chapter_11_says_where_run_5_goes_on_scenes() -> None:
    everything = [record for record in recorded_sweep("curves_scenes") if record.experiment == "run5"]
    grown = [record for record in everything if record.dataset["n_train"] == 4_000]
    by_steps = {r.provenance["steps"]: known_bits.of([r])[0] for r in grown}
    assert sorted(by_steps) == [500, 1_000, 2_000] == sorted(r.provenance["steps"] for r in grown)
    by_images = {c.along: c for c in curves(everything) if c.measure == "delivered"}["n_train"].points
    run6 = [r for r in recorded_sweep("curves_scenes") if r.experiment == "run6"]
    beside = {c.along: c for c in curves(run6) if c.measure == "delivered"}["n_train"].points[:3]
    assert [p.at for p in by_images] == [p.at for p in beside] == [1_000, 2_000, 4_000]
    told, others = (listed(f"{p.value:.1%}" for p in points) for points in (by_images, beside))
    assert f"as many steps it is {told}, so that images bring less than to Run 6 ({others}), against" in chapter(11)
    gained, theirs = (points[-1].value - points[0].value for points in (by_images, beside))
    assert gained < theirs
    pieces = [known_bits.of([r])[0] for r in recorded_rungs("scenes")["run5_pieces"]]
    text = chapter(11)
    shares, bits = listed(f"{r.delivered:.1%}" for r in pieces), listed(f"{r.text_bound.value:.1f}" for r in pieces)
    assert f"bring it to {shares} after 1,000 steps" in text and f"at least {bits} bits by the loss." in text
    shares = listed(f"{by_steps[steps].delivered:.1%}" for steps in sorted(by_steps))
    assert f"as was expected: {shares} of what can be shown with 500, 1,000 and 2,000" in text
    goal = GOALS["run5"]["delivered"].goal
    seeds = [known_bits.of([r])[0].delivered for r in recorded_rungs("scenes")["run5"]]
    assert by_steps[2_000].delivered > goal + 0.05 and min(seeds) < goal < max(seeds)
    first, second = by_steps[1_000].text_bound, by_steps[2_000].text_bound
    last = f"{second.value:.1f} ({second.low:.1f} to {second.high:.1f}, 95%) after 2,000."
    assert f"at least {first.value:.1f} bits come through after 1,000 steps and {last}" in text


def test_chapter_11_and_readme_say_what_comes_through_where_more_can_be_shown() -> None:
    found = {r.experiment: r for r in recorded_sweep("among_1000")}
    text, front = chapter(11), readme()
    few = {known_bits.of([r])[0].ceiling for r in recorded_rungs("scenes")["run6_pieces"]}
    rungs = {name: known_bits.of([r])[0] for name, r in found.items()}
    ceilings = {(f"{g.ceiling:.2f}", f"{g.perfect:.2f}", g.infonce.n, f"{g.needed.value:.1f}") for g in rungs.values()}
    assert ceilings == {("9.55", "9.20", 750, "12.9")} and {f"{each:.2f}" for each in few} == {"7.23"}
    assert (
        "750 in place of 150" in text
        and "can show 9.55 bits in place of 7.23 and a perfect plan would show 9.20." in text
    )
    bits = {
        name: "{value:.2f} bits [{low:.2f}, {high:.2f}]".format(**r.metrics["infonce"]) for name, r in found.items()
    }
    assert (
        f"Run 6 brings {bits['run6']} there, as many as expected (8.6 to 9.4)" in text
        and 8.6 < found["run6"].value("infonce") < 9.4
    )
    assert (
        f"Run 5 {bits['run5'].replace(' bits', '')}, fewer (7.2 to 8.2 were expected)." in text
        and found["run5"].value("infonce") < 7.2
    )
    of_log2 = {name: f"{g.delivered:.0%}" for name, g in rungs.items()}
    shares = {name: f"{g.infonce.value / g.perfect:.0%}" for name, g in rungs.items()}
    assert f"That is {shares['run6']} and {shares['run5']} of what a perfect plan would show" in text
    assert f"({of_log2['run6']} and {of_log2['run5']} of log2 of their number)" in text
    said = f"a perfect plan would show among 750, Run 5 brings {shares['run5']} and Run 6 {shares['run6']} (one seed)."
    assert said in front and "of the 9.2 bits that" in front
    by_loss = [f"{rungs[name].text_bound.value:.1f}" for name in ("run6", "run5")]
    assert f"By the loss at least {by_loss[0]} and {by_loss[1]} bits of the 12.9 come through" in text
