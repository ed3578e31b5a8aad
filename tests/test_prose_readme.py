"""README, chapter 8 and chapter 12 say what the records do."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.prose import chapter, in_pieces, readme, readme_table, seeds_of, without_memory
from vljepa_core import known_bits
from vljepa_core.blind import gain_over_blind
from vljepa_core.goals import GOALS, judge
from vljepa_core.rate_record import recorded_curves, smallest
from vljepa_core.records import Record, recorded
from vljepa_core.rungs import WORTH_NAMING, recorded_rungs
from vljepa_core.sweeps import recorded_sweep


def test_the_readme_says_how_the_study_collapses() -> None:
    text = readme()
    for experiment in ("run1", "run2", "run3", "run4"):
        for record in seeds_of(experiment):
            assert record.value("greedy_unique") * len(record.captions) == 1 and len(record.captions) == 400
            assert f"{record.value('plan_cosine'):.3f}" == "1.000"
    steps = {r.provenance["steps"] for name in ("run1", "run2", "run3", "run4") for r in seeds_of(name)}
    assert f"scale `laptop`, {min(steps)} to {max(steps):,} steps)" in text
    assert "each write 1 sentence for 400 validation pictures with every one of three seeds" in text
    assert "images is 1.000 in all twelve" in text
    rows = [row for r in seeds_of("run2") for row in r.timeline if row["step"] >= 16]
    assert rows and all(f"{row['plan_cosine']:.3f}" == "1.000" for row in rows)
    least = min(r.timeline[0]["plan_cosine"] for r in seeds_of("run2"))
    assert f"In Run 2 it is {least:.3f} with random weights already, and 1.000 within 16 steps" in text
    then, end = ({f"{nats:.1f}" for nats in each} for each in (
        (row["val_loss"] for row in rows if row["step"] == 16), (r.value("val_loss") for r in seeds_of("run2")),
    ))  # fmt: skip
    assert (then, end) == ({"3.1"}, {"1.4"}) and "still spends 3.1 nats on a byte, against 1.4 in the end" in text
    recited, overfit = (seeds_of(f"capacity_{way}") for way in ("table", "overfit"))
    right = [round(r.value("greedy_exact") * 256) for r in recited]
    assert right == [256, 256, 253] and "all 256 captions to the letter (253 with one of three seeds)" in text
    assert all(r.dataset["n_val"] == 256 for r in (*recited, *overfit))
    assert [round(r.value("greedy_unique") * 256) for r in overfit] == [1, 1, 2]
    assert "one caption for all (two with one seed)" in text
    assert all(r.value("infonce") < 0.2 for r in overfit), "next to nothing"


README_ROWS = {  # what a row of the README's table shows, and how a number of it is written
    "bits through the plan (InfoNCE, a lower bound)": ("infonce", "{:.2f}".format),
    "bits saved per caption against the twin": ("gain_over_blind", "{:.2f}".format),
    "a caption finds its own picture, times chance": ("retrieval", "{:.0f}".format),
    "distinct captions": ("greedy_unique", "{:.1%}".format),
    "CIDEr, 5 references": ("greedy_cider", "{:.3f}".format),
}


@pytest.mark.parametrize("row", readme_table(), ids=lambda row: row[0])
def test_a_row_of_the_readmes_table_says_what_the_records_do(row) -> None:
    measure, written = README_ROWS[row[0]]
    blind = in_pieces("run5_blind")
    for name, told, floor in (("run5", *row[2:4]), ("run6", *row[4:6])):
        runs = in_pieces(name)
        assert {r.dataset["n_train"] for r in runs} == {6_074} and {len(r.captions) for r in runs} == {989}
        first, *others = (next(j for j in judge(r, blind) if j.measure == measure) for r in runs)
        interval = f"[{written(first.low)}, {written(first.high)}]"
        assert told == f"{written(first.value)} {interval}; {', '.join(written(j.value) for j in others)}"
        threshold = GOALS[name][measure]
        if threshold.floor_of:
            blind_answers = [next(j for j in judge(r, blind) if j.measure == measure).floor for r in runs]
            assert threshold.above and [r.value("constant_cider") for r in runs] == blind_answers, "the best of three"
            best, *others = map(written, blind_answers)
            assert floor == f"above the best constant caption, {best}; {', '.join(others)}"
        else:
            assert float(floor.rstrip("%")) / (100 if floor.endswith("%") else 1) == threshold.floor
    twin = {name: m["value"] for name, m in blind[0].metrics.items()}
    twin["retrieval"] = twin["image_r1"] * 989
    assert row[1] == ("0, by definition" if measure == "gain_over_blind" else written(twin[measure]))


def test_the_readmes_first_lines_say_what_comes_through() -> None:
    run5, run6 = ({round(r.value("infonce")) for r in in_pieces(name)} for name in ("run5", "run6"))
    assert (run5, run6) == ({1}, {3})
    text = readme()
    assert "as encoder, yes: some 3 bits of a photograph come through. With an encoder trained from scratch" in text
    assert "trained from scratch on the same photographs, about 1 bit does." in text


def test_the_readme_says_which_floors_and_goals_the_answers_reach() -> None:
    text = readme()
    assert {row[0] for row in readme_table()} == README_ROWS.keys()
    missed = set()
    blind = in_pieces("run5_blind")
    for run in (*in_pieces("run5"), *in_pieces("run6")):
        judged = {each.measure: each for each in judge(run, blind) if each.applies}
        missed |= {(run.experiment, run.seed, name) for name, each in judged.items() if not each.floor_met}
        assert {name for name, each in judged.items() if each.goal_met} == {"category", "retrieval"}
    assert missed == {("run6", 1, "greedy_unique"), ("run5", 1, "gain_over_blind")}
    assert "With two seeds of three each run reaches every floor. With all three each reaches two of the goals" in text
    chance = next(j for j in judge(in_pieces("run5")[0], blind) if j.measure == "retrieval")
    assert chance.low < 1 and "not told from chance by the interval of its first seed" in text
    shares = [f"{in_pieces(name)[0].value('image_r1'):.1%}" for name in ("run6", "run5")]
    assert f"Among 989 pictures 83 times chance is {shares[0]} of the captions, 11 times {shares[1]}." in text
    assert f"a caption finds its own picture among 989 in {in_pieces('run6')[0].value('image_r1'):.0%} of cases" in text
    again = {r.experiment: r for r in recorded_sweep("resplit")}
    second = next(j for j in judge(again["run5"], [again["run5_blind"]]) if j.measure == "retrieval")
    assert second.low < 1 and f"Run 5's retrieval, {second.value:.0f} times chance [{second.low:.0f}," in text
    hours = sum(r.provenance["seconds"] for r in recorded_sweep("pieces")) / 3600
    assert 1.8 < hours < 2.2 and "two core-hours by the records" in text
    recipe = in_pieces("run6")[0].recipe
    assert recipe["image_size"] == 224 and 2 * recipe["plan_vectors"] * recipe["dim"] == 4_096, "a plan of 4 KB"
    # Memory, pixels and pieces came when these had missed some.
    in_bytes = recorded_sweep("answers")
    blind = [r for r in in_bytes if r.experiment == "run5_blind"]
    first = {r.experiment: r for r in reversed(in_bytes)}
    missed = {(name, j.measure) for name in ("run5", "run6") for j in judge(first[name], blind)
              if j.applies and not j.floor_met}  # fmt: skip
    assert missed == {("run5", "gain_over_blind"), ("run6", "gain_over_blind"), ("run6", "greedy_unique")}
    for name in ("run5", "run6"):
        old = gain_over_blind(without_memory(name)[0], without_memory("run5_blind")[0])
        assert old.high < GOALS[name]["gain_over_blind"].floor


def test_the_readme_says_what_comes_through_on_scenes() -> None:
    text = readme()
    rungs = recorded_rungs("scenes")
    run5, run6, blind, published = (
        next(r for r in recorded(name) if r.data == "scenes") for name in ("run5", "run6", "run5_blind", "run2")
    )
    for run, missed in ((run5, []), (run6, ["greedy_unique", "delivered"])):
        judged = {each.measure: each for each in judge(run, [blind])}
        assert all(each.floor_met is not False for each in judged.values())
        assert [measure for measure, each in judged.items() if each.goal_met is False] == missed
    (rung,) = known_bits.of([run5])
    assert f"needs {rung.needed.value:.1f} bits of its picture" in text

    def shares(*records: Record) -> str:
        """``79% to 81%``: from the least to the most that a run delivers."""
        found = sorted(each.delivered for each in known_bits.of(records))
        return f"{found[0]:.0%} to {found[-1]:.0%}"

    first = f"Of the {rung.ceiling:.1f} that {rung.infonce.n} pictures can show, the published recipe brings"
    asked = {run.experiment: GOALS[run.experiment]["delivered"].goal for run in (run5, run6)}
    five, six = (f"{shares(run, *rungs[run.experiment])} (goal: {asked[run.experiment]:.0%}" for run in (run5, run6))
    assert f"{first} {published.value('infonce'):.1f}, Run 5 {five}), Run 6 {six}), and in pieces" in text
    pieces = " and ".join(shares(*rungs[f"{name}_pieces"]) for name in ("run5", "run6"))
    assert f"and in pieces of words {pieces}. Among" in text
    by_loss = {n: sorted(each.text_bound.value for each in known_bits.of(rungs[f"{n}_pieces"])) for n in asked}
    low, high = by_loss["run5"][0], by_loss["run5"][-1]
    assert (
        f"in pieces at least {low:.1f} to {high:.1f} of the {rung.needed.value:.1f} bits come through in Run 5" in text
    )
    (six,) = {f"{bits:.1f}" for bits in by_loss["run6"]}
    assert f"in Run 5 and {six} in Run 6. On" in text


def test_the_readmes_picture_shows_what_its_records_say() -> None:
    run2, run6 = (next(r for r in recorded(name) if r.data == "scenes") for name in ("run2", "run6"))
    written = {row["greedy"].rstrip(".") for row in run6.captions}
    alike = {row["greedy"].rstrip(".") for row in run2.captions}
    for page in ("README.md", "book/intro.md"):
        (alt,) = re.findall(r"!\[(Eight [^\]]*)\]", (REPOSITORY / page).read_text())
        (same,) = alike
        assert f"from {len(run2.captions)}. Run 2 writes the same for all {len(run2.captions)}: {same}." in alt
        quoted = re.findall(r"A (?:laptop|clock|pizza)[^,.]*", alt)
        assert len(quoted) == 3 and {caption.strip() for caption in quoted} <= written
    assert run2.provenance["steps"] == run6.provenance["steps"] == 1_000 and run6.recipe["n_train"] == 4_000
    assert "4,000 to train on, 1,000 steps, one seed" in readme()


def test_chapter_8_says_what_its_scale_of_known_bits_shows() -> None:
    rungs = {(r.loss, r.level, r.n_train, r.image_size): r for r in known_bits.of(recorded_sweep("known_bits"))}
    published, alone = "as published", "cross-entropy alone"
    assert rungs[published, 0, 500, 64].infonce.value < 0.05
    assert all(rungs[published, level, 500, 64].delivered < 0.05 for level in range(5)), "hardly anything"
    kept = rungs["smoothing 0.1, diversity 0", 0, 500, 64].infonce
    assert f"{kept.value:.2f}" == "2.15" and kept.low > rungs[alone, 0, 500, 64].infonce.high
    assert (
        f"{rungs[alone, 0, 500, 64].infonce.value:.2f}" == "1.48"
        and f"{rungs[published, 0, 4_000, 64].infonce.value:.2f}" == "0.58"
    )
    cosines = [f"{rungs[published, level, 500, 64].cosine:.2f}" for level in range(3)]
    assert cosines == ["1.00", "1.00", "0.81"]
    for level in range(1, 4):
        kept = rungs["smoothing 0.1, diversity 0", level, 500, 64].infonce.value
        assert kept == pytest.approx(rungs[alone, level, 500, 64].infonce.value, abs=0.15)
    for level in range(5):
        arrives = rungs[alone, level, 500, 64].infonce.value > 0.5
        assert arrives == (level <= 2)
    assert 9 < rungs[alone, 2, 500, 64].needed.value < 10.5, "some ten bits"
    assert all(rungs[alone, level, 4_000, 64].infonce.value < 0.05 for level in range(5)), "more images, as many steps"
    many = rungs[published, 0, 4_000, 64]
    assert many.infonce.low > 0.05 and not many.collapsed, "the other way round"
    assert all(rungs[published, level, 4_000, 64].infonce.value < 0.05 for level in (1, 3))
    assert rungs[alone, 0, 4_000, 64].infonce.value < 0.05
    sizes = [rungs[alone, 0, 500, size].infonce.value for size in (32, 64, 128)]
    assert sizes == sorted(sizes)
    at = {(level, size): rungs[alone, level, 500, size].infonce for level in (0, 1) for size in (32, 64, 128)}
    assert at[0, 128].low > at[0, 64].high
    assert max(m.low for (level, _), m in at.items() if level) < min(m.high for (level, _), m in at.items() if level)
    assert all(rungs[alone, 3, 500, size].infonce.value < 0.05 for size in (32, 64, 128))
    text = chapter(8)
    counted = {level: rungs[published, level, 500, 64].infonce for level in range(5)}
    counted = {level: m.value for level, m in counted.items() if m.low > 0 and m.value >= WORTH_NAMING}
    assert {level: f"{bits:.2f}" for level, bits in counted.items()} == {1: "0.10", 3: "0.23"}
    for said in (
        "nothing at the easiest level, 0.10 bits at level 1, 0.23 at level 3",
        "something arrives under the published loss (0.58 bits), and nothing with cross-entropy alone.",
        "about as much as with cross-entropy alone at levels 1 and 2, more at level 0 (2.15 bits against 1.48).",
        "At levels 0 and 1 plans fall together with it,",
        "at level 2 they don't (cosine 0.81), and nothing arrives",
        "bits arrive up to level 2, where a caption needs some ten of its picture, and no longer at level 3",
        "eight times as many in as many steps bring nothing at any level",
        "At level 0 128 pixels bring more bits than 64; at level 1 no two sizes can be told apart;",
    ):
        assert said in text


def test_the_readme_and_chapter_12_say_how_few_bytes_as_the_curves_do() -> None:
    front, text = readme(), chapter(12)
    first, second, third = (c for c in recorded_curves() if c.data == "flickr8k")
    form = ("decoder_memory", "image_size", "vocab_size", "dim")
    told = [[c.recipe.get(key, 0) for key in form] for c in (first, second, third)]
    assert told == [[0, 128, 260, 128], [16, 224, 1_024, 128], [16, 224, 1_024, 256]]
    assert {c.measured("plan")[0]["infonce"]["n"] for c in (first, second, third)} == {
        150
    } and third.plan_bytes == 8_192

    def kept(row: dict, name: str = "bits_kept") -> str:
        """``91% [84%, 96%]``."""
        return "{value:.0%} [{low:.0%}, {high:.0%}]".format(**row[name])

    for curve in (first, second):
        fewest = smallest(curve, "plan")
        assert f"{fewest['bytes']:.1f}" == "7.6"
        assert fewest["bytes"] == min(r["bytes"] for r in curve.measured("plan")), "the fewest that were tried"
        bits, share = np.mean(curve.reference["bits"]), fewest["bits_kept"]
        if curve is first:
            assert f"The first keeps {share['value']:.0%} of its {bits:.2f} bits in 7.6 bytes" in text
        else:
            found = f"{share['value']:.0%}, {100 * share['low']:.0f} to {100 * share['high']:.0f}"
            assert (
                f"all of its {bits:.2f} bits ({found}) and {fewest['cider_kept']['value']:.0%} of CIDEr, and nothing"
                in text
            )
    four, two, one = (third.row(f"16 x 256, principal components, {n} bytes") for n in (4, 2, 1))
    bits, cider = (
        f"{np.mean(third.reference['bits']):.2f}",
        [f"{r['cider_kept']['value']:.0%}" for r in (four, two, one)],
    )
    assert f"brings {bits} bits (one seed; bits on 150 images" in front
    picture, (words,) = smallest(third, "image"), third.measured("text")
    for told, row in zip(readme_table("sent for an image")[1:], (four, two, one, words, picture), strict=True):
        size = f"{row['bytes']:,.0f}" if row is picture else f"{row['bytes']:.1f}"
        assert told[1] == size and told[2].startswith(kept(row)), told
        assert told[3] == ("100%, by definition" if row is words else kept(row, "cider_kept"))
    assert smallest(third, "plan") == two and f"a message of some {8 * two['bytes']:.0f} bits on average brings" in text
    smaller = max(r["bytes"] for r in third.measured("image") if "WebP" in r["name"] and r["bytes"] < picture["bytes"])
    assert f"the next smaller one {smaller:,.0f} bytes" in front
    for row, share in zip((four, two, one), cider, strict=True):
        assert f"{row['bytes']:.1f} bytes" in text and f"{row['bits_kept']['value']:.0%}" in text and share in text
    share = f"{words['bits_kept']['value']:.0%} of the bits"
    assert words["bytes"] > two["bytes"] and f"as text** takes {words['bytes']:.1f} bytes and keeps {share}" in text
    pair = f"{picture['bits_kept']['value']:.0%} and {picture['cider_kept']['value']:.0%}"
    assert f"a WebP file of {picture['bytes']:,.0f} bytes keeps {pair}." in text
    steps, five = third.row("1 x 32, int8"), third.row("1 x 32, fsq5")
    assert {f"{steps[name]['value']:.0%}" for name in ("bits_kept", "cider_kept")} == {"97%"}
    pair = f"{five['bits_kept']['value']:.0%} and {five['cider_kept']['value']:.0%}"
    assert f"97% of both at 256 levels each, {pair} at five, which is {five['bytes']:.1f} bytes coded" in text
    assert max(r["cider_kept"]["value"] for r in third.measured("plan") if r["family"] == "binary") < 0.9
    cuts = [r for r in third.measured("plan") if "components" not in r["name"]]
    assert len({(r["family"], r["vectors"], r["width"]) for r in cuts}) == 5 * 5 * 4, "every K, width and precision"


def test_chapters_8_and_12_say_among_how_many_and_how_little() -> None:
    collapsed = [r.value("infonce") for name in ("run1", "run2", "run3", "run4") for r in seeds_of(name)]
    assert len(collapsed) == 12 and max(collapsed) < 0.01
    assert "On the recorded photographs InfoNCE is below 0.01 bits in all of Runs 1 to 4." in chapter(8)
    (nested,) = (c for c in recorded_curves() if c.plan_bytes == 8_192)
    like = next(r for r in recorded_sweep("eight_kilobytes") if (r.experiment, r.seed) == ("run6", 0))
    cut = f"the third's {np.mean(nested.reference['bits']):.2f} bits were measured among"
    whole = f"the {like.value('infonce'):.2f} of its like that was not trained so"
    among = [nested.measured("plan")[0]["infonce"]["n"], like.metrics["infonce"]["n"]]
    assert f"{cut} {among[0]} pictures, {whole}" in chapter(12) and f"among {among[1]}, and among more" in chapter(12)
