"""README and chapter 10 say what plans of several sizes bring, and no plan."""

from __future__ import annotations

import pytest

from tests.prose import chapter, in_pieces, listed, readme, readme_table
from vljepa_core.blind import bits_apart, with_gain
from vljepa_core.goals import judge
from vljepa_core.recipes import differing, recipe
from vljepa_core.records import Record
from vljepa_core.sweeps import recorded_sweep

SWEEPS = ("pieces", "eight_kilobytes", "half_rate", "more_vectors", "no_bottleneck")
SHOWN = {"infonce": "{:.2f}", "greedy_unique": "{:.1%}", "greedy_cider": "{:.3f}"}


def runs() -> list[Record]:
    return [record for name in SWEEPS for record in recorded_sweep(name)]


def bits(record: Record) -> str:
    """``3.06 [2.90, 3.21]``."""
    return "{value:.2f} [{low:.2f}, {high:.2f}]".format(**record.metrics["infonce"])


def of(experiment: str, dim: int, rate: float) -> list[Record]:
    """Runs with 16 vectors that queries read, by seed."""
    keys = ("plan_vectors", "dim", "learning_rate")
    found = (r for r in runs() if r.experiment == experiment and tuple(r.recipe[k] for k in keys) == (16, dim, rate))
    return sorted(found, key=lambda r: r.seed)


def written(records: list[Record], measure: str) -> list[str]:
    """A measure's values as the README's table has them."""
    return [SHOWN[measure].format(r.value(measure)) for r in records]


def missed(record: Record) -> set[str]:
    """The floors that a run misses, of those that could be measured."""
    blind = [r for r in runs() if r.experiment == "run5_blind"]
    return {each.measure for each in judge(record, blind) if each.applies and each.floor_met is False}


@pytest.mark.parametrize("row", readme_table("plan"), ids=lambda row: f"{row[0]} at {row[1]}")
def test_a_row_of_the_readmes_plans_says_what_the_records_do(row) -> None:
    name, rate, *cells = row
    vectors, dim = (int(n) for n in name.removeprefix("none: ").split(" (")[0].replace(" tokens", "").split(" x "))
    reads = "tokens" if name.startswith("none") else "image"
    if reads == "image":
        assert f"({2 * vectors * dim // 1024} KB)" in name
    for experiment in ("run6", "run5"):
        form = (vectors, dim, reads, float(rate))
        keys = ("plan_vectors", "dim", "plan_reads", "learning_rate")
        found = [r for r in runs() if r.experiment == experiment and tuple(r.recipe[k] for k in keys) == form]
        found.sort(key=lambda r: r.seed)
        assert [r.seed for r in found] == [*range(len(found))]
        for measure, form_of in SHOWN.items():
            told = [form_of.format(r.value(measure)) + "*" * (measure in missed(r)) for r in found]
            assert cells.pop(0) == "; ".join([*told[:1], *([", ".join(told[1:])] if told[1:] else [])])


def test_chapter_10_says_what_the_published_plan_brings_with_the_rate_as_it_was() -> None:
    text, wide = chapter(10), recorded_sweep("eight_kilobytes")
    assert {2 * r.recipe["plan_vectors"] * r.recipe["dim"] for r in wide} == {8_192}
    assert {r.provenance["steps"] for r in wide} == {4_560} and {r.dataset["n_train"] for r in wide} == {6_074}
    first = {r.experiment: r for r in wide if r.seed == 0}
    four = {name: in_pieces(name)[0] for name in first}
    assert f"Run 5 brings fewer ({bits(first['run5'])} where it was {bits(four['run5'])})" in text
    assert first["run5"].metrics["infonce"]["high"] < four["run5"].metrics["infonce"]["low"], "fewer"
    found = {(r.experiment, r.seed): missed(r) for r in wide if r.experiment != "run5_blind"}
    assert found == {("run6", 0): {"greedy_unique"}, ("run6", 1): {"greedy_unique"}, ("run5", 0): {"greedy_cider"}}
    distinct = " and ".join(f"{r.value('greedy_unique'):.1%}" for r in of("run6", 256, 1e-3))
    assert f"distinct captions with both seeds ({distinct} of 85%)" in text
    assert f"CIDEr, {first['run5'].value('greedy_cider'):.3f}, which is below the best constant caption" in text
    less = [bits_apart(four[name], first[name]) for name in first]
    assert all(m.low > 0 for m in less)
    assert f"spend {min(m.value for m in less):.1f} to {max(m.value for m in less):.1f} bits less on a caption" in text


def test_readme_and_chapter_10_say_what_half_the_rate_does_for_the_published_plan() -> None:
    text, front = chapter(10), readme()
    (run5,), run6 = of("run5", 256, 5e-4), of("run6", 256, 5e-4)
    assert not any(map(missed, (run5, *run6))), "every floor is reached"
    assert [r.seed for r in run6] == [0, 1]
    for record in (run5, *run6):
        (like,) = (r for r in of(record.experiment, 256, 1e-3) if r.seed == record.seed)
        assert differing(record.recipe, like.recipe) == ["learning_rate"] and record.value("infonce") > like.value(
            "infonce"
        )
    assert recipe("run2", "paper").learning_rate == 3e-4
    assert "the study has 0.0003" in text and "the study has 0.0003" in front
    other = f"{run6[1].value('infonce'):.2f}"
    assert f"Run 5 brings {bits(run5)} (one seed), Run 6 {bits(run6[0])} (another seed: {other})" in text
    assert run5.value("infonce") > 1.0 and min(r.value("infonce") for r in run6) > 3.2, "more bits than expected"
    assert f"and {' and '.join(written(run6, 'greedy_unique'))} of its captions are distinct." in text
    twins = [r for r in runs() if r.experiment == "run5_blind"]
    saved = " and ".join(f"{with_gain(r, twins).metrics['gain_over_blind']['value']:.2f}" for r in run6)
    assert f"Bits saved ({saved}) and CIDEr of Run 6 are as with 4 KB." in text
    assert f"and bits saved ({saved}) and CIDEr are as with 4 KB." in front
    assert f"Run 5's CIDEr is {run5.value('greedy_cider'):.3f}." in text
    both, before = " and ".join(written(run6, "infonce")), listed(written(in_pieces("run6"), "infonce"))
    assert f"{both} bits in place of {before}." in text
    first, second = map(bits, run6)
    assert f"InfoNCE of Run 6 is somewhat higher: {first.replace(' [', ' bits [')} and {second}, where" in front
    ends = [f"{r.value('infonce'):.1f}" for r in (run6[1], run6[0], run5)]
    assert "at half the learning rate, bring {} to {} and {} bits.".format(*ends) in front


def test_readme_and_chapter_10_say_that_the_rate_alone_is_not_the_reason() -> None:
    text, whole = chapter(10), in_pieces("run6")
    (half,) = of("run6", 128, 5e-4)
    assert differing(half.recipe, whole[0].recipe) == ["learning_rate"] and not missed(half)
    told = f"It brings {bits(half).replace(' [', ' bits [')} there, about as many as with the whole rate ("
    assert f"{told}{listed(written(whole, 'infonce'))})" in text
    assert half.value("infonce") < max(r.value("infonce") for r in whole) + 0.2, "3.36, the threshold"
    wide = of("run6", 256, 5e-4)
    assert f"{half.value('greedy_cider'):.3f}" == f"{wide[0].value('greedy_cider'):.3f}" == "0.407"
    assert "(CIDEr 0.407 both)" in text and "though the intervals overlap, and Run 5 no more." in text
    assert half.metrics["infonce"]["high"] > wide[0].metrics["infonce"]["low"]
    assert f"where 4 KB have {bits(half)} with half the rate, too; intervals overlap" in readme()
    (run5,), (five,) = of("run5", 128, 5e-4), of("run5", 256, 5e-4)
    assert f"Run 5 brings {bits(run5).replace(' [', ' bits [')} there (0.85 to 1.15 were expected; 0.2" in text
    assert 0.85 < run5.value("infonce") < 1.15 and not missed(run5) and five.value("infonce") < run5.value("infonce")
    others = [r for r in runs() if r.experiment == "run5" and r is not run5]
    assert run5.value("greedy_unique") > max(r.value("greedy_unique") for r in others if r.recipe != run5.recipe)
    assert f"than any other ({run5.value('greedy_unique'):.1%})" in text


def test_chapter_10_says_what_half_the_rate_costs_the_language() -> None:
    """A caption's bits with half the rate less those with the whole, by the model's width."""
    whole = [r for name in ("pieces", "eight_kilobytes") for r in recorded_sweep(name)]
    more: dict[int, list[float]] = {128: [], 256: []}
    for half in recorded_sweep("half_rate"):
        like = [r for r in whole if differing(r.recipe, half.recipe) == ["learning_rate"] and r.seed == half.seed]
        more[half.recipe["dim"]] += [bits_apart(half, r).value for r in like]
    assert [len(each) for each in more.values()] == [3, 5]
    ends = (min(more[128]), max(more[128]), -min(more[256]), max(more[256]))
    told = (
        "narrower model {:.1f} to {:.1f} bits more (the twin, too), the wider one between {:.1f} less and {:.1f} more"
    )
    assert told.format(*ends) in chapter(10)


def test_8_kb_as_more_vectors_reach_every_floor_and_bring_no_more() -> None:
    (run,) = recorded_sweep("more_vectors")
    assert (run.recipe["plan_vectors"], run.recipe["dim"], run.seed) == (32, 128, 0)
    assert differing(run.recipe, in_pieces("run6")[0].recipe) == ["plan_vectors"]
    judged = {j.measure: j for j in judge(run, in_pieces("run5_blind")) if j.applies}
    assert all(each.floor_met for each in judged.values())
    bits = "{value:.2f} bits [{low:.2f}, {high:.2f}]".format(**run.metrics["infonce"])
    cider, distinct = f"{run.value('greedy_cider'):.3f}", f"{run.value('greedy_unique'):.1%}"
    text = chapter(10)
    assert (
        f"so it came: {bits}, {distinct} of the captions distinct, CIDEr {cider}, and every floor is reached." in text
    )
    assert run.provenance["precision"] == "float32" and "Run 6, one seed, computed in float32)" in text
    assert 0.75 < run.provenance["seconds"] / 3600 < 1.25 and "about an hour on one core" in readme()
    before = in_pieces("run6")[0].metrics["infonce"]
    assert before["low"] < run.value("infonce") < before["high"], "twice the vectors bring no more"


def test_chapter_10_says_what_a_decoder_gets_that_reads_the_whole_picture() -> None:
    whole = next(r for r in recorded_sweep("no_bottleneck") if r.recipe["plan_vectors"] == 49)
    plans, text = in_pieces("run6"), chapter(10)
    assert whole.recipe["plan_reads"] == "tokens" and whole.provenance["precision"] == "float32"
    bits = "{value:.2f} bits [{low:.2f}, {high:.2f}]".format(**whole.metrics["infonce"])
    with_plan = [listed(f"{r.value(name):.{d}f}" for r in plans) for name, d in (("infonce", 2), ("greedy_cider", 3))]
    assert f"More does arrive: {bits} where plans bring {with_plan[0]}, CIDEr {whole.value('greedy_cider'):.3f}" in text
    assert (
        f"where they bring {with_plan[1]}, and {whole.value('greedy_unique'):.1%} of the captions are distinct." in text
    )
    assert whole.value("infonce") > max(r.value("infonce") for r in plans) + 0.3, "the threshold"
    assert whole.value("greedy_cider") > max(r.value("greedy_cider") for r in plans) + 0.03
    twins = in_pieces("run5_blind")
    gains = [with_gain(r, twins).metrics["gain_over_blind"]["value"] for r in (whole, *plans)]
    assert f"as many as with the plan ({gains[0]:.2f}; {listed(f'{g:.2f}' for g in gains[1:])})." in text
    for name in ("infonce", "greedy_cider"):
        assert all(0.88 < r.value(name) / whole.value(name) < 0.92 for r in plans), "nine tenths"
    assert "without a plan between, gets a tenth more than one with 4 KB (one seed)." in readme()


def test_chapter_10_says_what_all_tokens_of_a_smaller_picture_bring() -> None:
    small = next(r for r in recorded_sweep("no_bottleneck") if r.recipe["plan_vectors"] == 25)
    text, plans = chapter(10), in_pieces("run6")
    assert small.recipe["image_size"] == 160 and small.recipe["plan_reads"] == "tokens"
    assert 2 * 25 * small.recipe["dim"] == 6_400 < 8_192
    bits = "{value:.2f} bits [{low:.2f}, {high:.2f}]".format(**small.metrics["infonce"])
    distinct, cider = f"{small.value('greedy_unique'):.1%}", f"{small.value('greedy_cider'):.3f}"
    assert (
        f"bring {bits} where 3.2 to 3.5 had been expected, {distinct} distinct captions, and CIDEr of {cider}," in text
    )
    assert small.value("greedy_unique") > max(r.value("greedy_unique") for r in plans) + 0.05
    assert small.value("greedy_cider") < max(r.metrics["greedy_cider"]["high"] for r in plans), "no more than a plan's"
    for record in recorded_sweep("no_bottleneck"):
        assert all(each.floor_met for each in judge(record, in_pieces("run5_blind")) if each.applies), "every floor"
