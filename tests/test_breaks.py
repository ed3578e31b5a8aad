"""What breaks the collapse: expectations beside findings, records against goals; all by hand, on made-up records."""

from __future__ import annotations

import dataclasses
import html
import math
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import TINY
from vljepa_core import baselines, figures, known_bits, report, rungs, runs
from vljepa_core.__main__ import main
from vljepa_core.datasets.scene_grammar import paraphrase_bits
from vljepa_core.datasets.scenes import describe_scene
from vljepa_core.describe import describe
from vljepa_core.goals import GOALS, MEASURES, judge, with_controls
from vljepa_core.interventions import RUNGS
from vljepa_core.recipes import recipe
from vljepa_core.records import Record
from vljepa_core.sweeps import read_sweep

REPOSITORY = Path(__file__).resolve().parents[1]
STEPS = (0, 1, 2, 4, 8)


def metric(value: float, low: float | None = None, high: float | None = None, n: int = 200) -> dict:
    return {"value": value, "low": low, "high": high, "n": n}


def made_up(experiment: str = "run2", data: str = "flickr8k", seed: int = 0, bits: float = 1.0, **changes) -> Record:
    """A record that nobody trained: only what tables and figures read."""
    found = {
        "infonce": metric(bits, bits - 0.04, bits + 0.04, 128),
        "image_r1": metric(0.1, 0.05, 0.15),
        "greedy_unique": metric(0.25),
        "plan_cosine": metric(0.5),
        "greedy_cider": metric(0.2, 0.1, 0.3),
        "greedy_cider_permuted": metric(0.1, 0.05, 0.15),
        "probe_plan": metric(0.6, 0.5, 0.7),
        "probe_majority": metric(0.45, 0.4, 0.5),
        **changes.pop("metrics", {}),
    }
    values = recipe(experiment, "laptop").to_dict() | changes.pop("recipe", {})
    captions = [{"image_id": f"val-{i}", "greedy": "a", "sampled": "b", "nats": 40.0 + i % 3} for i in range(200)]
    timeline = [{"step": s, "plan_cosine": 1 - 0.1 / (s + 1), "encoder_grad_norm": 1 / (s + 1)} for s in STEPS]
    made = {"steps": 1_000, "train_seconds": 400.0, "seconds": 500.0, "device": "cpu", "precision": "bfloat16"}
    record = Record(
        format=2, experiment=experiment, scale="laptop", data=data, seed=seed, recipe=values, source_hash="x",
        dataset={"name": data, "fingerprint": data, "n_train": 4_000, "n_val": 200},
        parameters={"total": 1_234_567}, history=[], metrics={k: m for k, m in found.items() if m}, verdict={},
        captions=captions, confusion=None, weights_sha256="", provenance=made, timeline=timeline,
    )  # fmt: skip
    return dataclasses.replace(record, **changes)


def seeds(*bits: float, **changes) -> list[Record]:
    return [made_up(bits=b, seed=seed, **changes) for seed, b in enumerate(bits)]


def cells(table, first: str) -> list[str]:
    """The cells of a table's row, by how its heading begins."""
    for row in re.findall(r"<tr>(.*?)</tr>", table.html, re.DOTALL):
        found = [re.sub(r"<[^>]+>", " ", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)]
        found = [" ".join(html.unescape(cell).split()) for cell in found]
        if found[0].startswith(first):
            return found[1:]
    raise AssertionError(f"{first} has no row")


# --- answers on photographs of somebody else -------------------------------------------------------


def test_answers_makes_the_runs_that_floors_are_asked_of_and_says_what_they_reach(monkeypatch, capsys) -> None:
    asked = []

    def made(name, scale, data, seed, *, device, progress, **changes):
        asked.append((name, data, seed, changes))
        found = {"constant_cider": metric(0.15), "val_loss": metric(1.0)}
        return made_up(name, data, seed, bits=0.9 if name == "run5" else 2.4, metrics=found)

    monkeypatch.setattr(runs, "run", made)
    monkeypatch.setattr(runs, "prepare", lambda *_, **__: SimpleNamespace(examples={}))
    monkeypatch.setattr("vljepa_core.goals.with_controls", lambda record, _: record)
    assert main(["answers", "--data", "apart", "--seed", "3", "4"]) == 0
    told = capsys.readouterr().out
    assert [each[:3] for each in asked] == [(n, "apart", s) for s in (3, 4) for n in ("run5_blind", "run5", "run6")]
    assert "run5 on apart, seed 3 (4,000 images, 200 validation images, 1,000 steps)" in told
    assert "InfoNCE lower bound, bits: 0.9 [0.86, 0.94]; floor 0.5: reached; goal 2: not reached" in told
    assert "InfoNCE lower bound, bits: 2.4 [2.36, 2.44]; floor 2.5: not reached; goal 4.5: not reached" in told
    assert "largest class: +15.0 points; floor +0.0 points: reached; goal +10.0 points: reached" in told
    assert "scenes only" not in told, "does not apply to photographs"
    for option, files in (([], ("pieces", "pieces-run6")), (["--published-plan"], ("half-rate", "half-rate-run6"))):
        asked.clear()
        assert main(["answers", "--data", "apart", *option]) == 0
        capsys.readouterr()
        for file, names in zip(files, (("run5", "run5_blind"), ("run6",)), strict=True):
            recorded = read_sweep(REPOSITORY / "sweeps" / f"{file}.toml")["set"]
            found = [changes for name, _, _, changes in asked if name in names]
            assert found == [recorded] * len(names), "as recorded"
    assert main(["answers", "run2", "--data", "apart"]) == 2
    assert "floors are asked of run5 and run6" in capsys.readouterr().err


# --- rungs -----------------------------------------------------------------------------------------


def test_a_rung_breaks_the_collapse_or_does_not_and_as_expected_or_not() -> None:
    assert not RUNGS["published"].breaks and RUNGS["align"].breaks
    nothing, unsure, little, much = 0.003, 0.03, 0.06, 2.0
    assert [rungs.uses_plan(r) for r in seeds(nothing, unsure, little, much)] == [False, False, True, True]
    wide = made_up(metrics={"infonce": metric(0.5, -0.1, 1.1)})
    assert rungs.uses_plan(wide) is False and rungs.uses_plan(made_up(metrics={"infonce": None})) is None
    for name, bits, found, judged in (
        ("published", [nothing], "collapses", "as expected"),
        ("published", [much], "breaks the collapse", "against expectation"),
        ("published", [nothing, unsure], "collapses with every seed", "as expected"),
        ("align", [nothing, much, much], "breaks the collapse in 2 of 3 seeds", "as expected in 2 of 3 seeds"),
        ("align", [nothing, nothing], "collapses with every seed", "against expectation"),
    ):
        assert report.breaks.outcome(seeds(*bits)) == found
        assert report.breaks.as_expected(name, seeds(*bits)) == judged


def test_every_rung_has_its_group() -> None:
    names = {group: [name for name in RUNGS if rungs.group_of(name) == group] for group in rungs.GROUPS}
    assert all(names.values()) and sum(map(len, names.values())) == len(RUNGS)
    assert names["combination"] == ["run5", "run5_align_memory", "run5_pieces"]
    assert {"pretrained", "run6"} <= set(names["given encoder"])
    assert {rungs.whole_of(name) for name in names["one part left out"]} == {"run5", "run6"}
    assert not any(rungs.whole_of(name) for name in RUNGS if name not in names["one part left out"])


def test_the_table_has_expectation_and_finding_of_every_seed() -> None:
    found = {"published": seeds(0.001), "align": seeds(0.2, 0.01)}
    table = report.rung_table(found)
    row = cells(table, RUNGS["align"].title)
    assert row[0].startswith("breaks the collapse") and RUNGS["align"].hypothesis[:30] in row[0]
    assert row[1] == "0.20 [0.16, 0.24] 0.01 [-0.03, 0.05]"
    assert row[2] == "25.0% (50 of 200) 25.0% (50 of 200)"
    assert row[3] == "20.0 20.0" and row[4] == "400 400"  # 0.1 of 200 images; chance is 1 of them
    assert row[5] == "breaks the collapse in 1 of 2 seeds as expected in 1 of 2 seeds"
    assert f"2 of {len(RUNGS)} rungs" in table.alt and "siglip" in table.alt and "older core" in table.alt
    assert all(all(cells(table, RUNGS[name].title)) for name in found), "no cell is blank"
    assert "Computed in" not in table.alt, "all in one precision"
    full = made_up(seed=1, provenance={**made_up().provenance, "precision": "float32"})
    mixed = report.rung_table({**found, "words": [*seeds(0.001), full]})
    assert cells(mixed, RUNGS["words"].title)[4] == "400 400 (float32)"
    assert cells(mixed, RUNGS["align"].title)[4] == "400 400" and "Computed in bfloat16 where" in mixed.alt


def test_encoders_are_set_side_by_side_by_how_they_are_read() -> None:
    found = {
        "published": seeds(0.0),
        "pretrained": seeds(0.2, 0.01),
        "pretrained_direct": seeds(0.9),
        "align": seeds(3.0),
    }
    table = report.encoders_table(found)
    through, directly = cells(table, "EfficientNet-Lite0, frozen at ImageNet weights")
    assert through == "0.20 [0.16, 0.24] 0.01 [-0.03, 0.05] breaks the collapse in 1 of 2 seeds"
    assert directly == "0.90 [0.86, 0.94] breaks the collapse"
    assert cells(table, "the study's encoder, trained along") == ["0.00 [-0.04, 0.04] collapses", "not measured"]
    assert cells(table, "the study's encoder, frozen at random weights") == ["not tried", "not measured"]
    assert "3.00" not in table.html and "no rung of these" in report.encoders_table({"align": seeds(3.0)}).html
    for through, directly in report.breaks.ENCODERS.values():
        short = dict(plan_reads="image", plan_query_residual=True)
        assert RUNGS[directly].changes.items() >= short.items()
        if through:
            assert {**RUNGS[through].changes, **short} == RUNGS[directly].changes, "one change apart"


def test_what_failed_is_listed_and_what_broke_it_is_not() -> None:
    found = {"published": seeds(0.001, 0.002), "align": seeds(0.2, 0.01), "siglip": seeds(0.01), "run5": seeds(1.0)}
    log = report.failed_list(found).alt
    assert RUNGS["published"].title in log and "InfoNCE 0.002 bits at most; as expected" in log
    assert RUNGS["siglip"].title in log and "against expectation" in log
    assert RUNGS["align"].title not in log and RUNGS["run5"].title not in log
    said = report.rung_summary(found).alt
    assert f"1 of 4 rungs break the collapse ({RUNGS['run5'].title})" in said and "2 of 4 came out as expected" in said
    assert f"In some seeds only: {RUNGS['align'].title}" in said
    assert "No rung is recorded yet" in report.rung_summary({}).alt
    assert "No rung is recorded yet" in report.failed_list({}).alt
    assert "no recorded rung left the collapse" in report.failed_list({"run5": seeds(1.0)}).alt


def test_places_are_kept_apart_and_first_steps_have_learning_and_frozen_encoders() -> None:
    found = {"published": [made_up(), made_up(data="scenes")], "align": seeds(0.3), "siglip": seeds(2.0)}
    first, second = rungs.by_place(found)
    assert list(first) == ["published", "align", "siglip"] and list(second) == ["published"]
    assert second["published"][0].data == "scenes"
    shown = rungs.first_steps({"words": seeds(0.01), "run5": seeds(0.4, 0.5), **first})
    assert list(shown) == [RUNGS["published"].title, RUNGS["run5"].title]
    assert shown[RUNGS["run5"].title].value("infonce") == 0.4, "the first seed"
    frozen = [RUNGS[name].changes.get("visual_training") == "frozen" for name in rungs.FIRST_STEPS]
    assert frozen == [False] * 4 + [True] * 2 and len(frozen) <= 6, "as many as the figure draws"


def test_the_ladders_figure_says_every_number_and_what_to_read_it_by() -> None:
    shown = figures.rung_bits({"published": seeds(0.001, 0.02), "align": seeds(0.5)})
    assert f"{RUNGS['published'].title}: seed 0 0.00 [-0.04, 0.04], seed 1 0.02" in shown.alt
    assert f"{RUNGS['align'].title}: seed 0 0.50 [0.46, 0.54]; breaks the collapse in 1 of 1" in shown.alt
    assert "a blind model 0" in shown.alt and "all that InfoNCE can show 7" in shown.alt  # log2 of 128
    assert "need" not in shown.alt, "nobody knows what a caption needs from a photograph"
    scenes = [made_up(data="scenes")]
    needed = known_bits.needed_bits(3, [f"val-{i}" for i in range(200)]).value
    assert f"need from them {needed:.3g}" in figures.rung_bits({"align": scenes}).alt
    for bad in ({}, {"published": seeds(0.1), "align": scenes}):
        with pytest.raises(ValueError, match="one dataset at one scale"):
            figures.rung_bits(bad)


def test_timelines_show_what_was_measured_of_each() -> None:
    frozen = made_up(timeline=[{"step": s, "plan_cosine": 0.0} for s in STEPS])
    shown = figures.timelines({"published": made_up(), "frozen": frozen, "old": made_up(timeline=[])})
    assert "published, 1 - mean cosine between plans: 0.1 at 0, 0.05 at 1" in shown.alt
    assert "frozen, 1 - mean cosine between plans: 1 at 0" in shown.alt
    assert "published, gradient norm" in shown.alt and "frozen, gradient norm" not in shown.alt
    assert "old, 1" not in shown.alt
    for bad in ({}, {str(i): frozen for i in range(7)}):
        with pytest.raises(ValueError, match="1 to 6"):
            figures.timelines(bad)
    with pytest.raises(ValueError, match="timeline"):
        figures.timelines({"old": made_up(timeline=[])})


# --- goals -----------------------------------------------------------------------------------------


def judged(record: Record, *blind: Record) -> dict:
    return {each.measure: each for each in judge(record, blind)}


def blind_of(record: Record, nats: float, cider: float) -> Record:
    """A trained blind model whose captions cost so many nats more each."""
    captions = [{**row, "nats": row["nats"] + nats} for row in record.captions]
    source = {"plan_source": "none", "experiment": f"{record.experiment}_blind"}
    metrics = {"greedy_cider": metric(cider)}
    return dataclasses.replace(record, captions=captions, recipe={**record.recipe, **source}, metrics=metrics)


def test_every_measure_has_a_threshold_in_both_runs_and_run6_asks_for_more() -> None:
    assert all(set(goals) == set(MEASURES) for goals in GOALS.values())
    for name in MEASURES:
        five, six = GOALS["run5"][name], GOALS["run6"][name]
        assert name == "greedy_cider" or six.goal > five.goal
        assert all(t.floor is None or t.floor < t.goal for t in (five, six))


def test_a_record_is_held_against_floor_and_goal() -> None:
    record = made_up("run5", metrics={"constant_cider": metric(0.12)})
    found = judged(record, blind_of(record, nats=2.0, cider=0.15))
    value = {name: each.value for name, each in found.items()}
    assert value["infonce"] == 1.0 and value["retrieval"] == pytest.approx(20.0)
    assert value["gain_over_blind"] == pytest.approx(2.0 / 0.6931472)
    assert value["category"] == pytest.approx(0.15)
    met = {name: (each.floor_met, each.goal_met) for name, each in found.items()}
    assert met["infonce"] == (True, False) and met["gain_over_blind"] == (True, True)
    assert met["retrieval"] == (True, True) and met["greedy_unique"] == (True, False)
    assert met["category"] == (True, True) and met["delivered"] == (None, None) and not found["delivered"].applies
    assert found["greedy_cider"].floor == 0.15 and found["greedy_cider"].goal == pytest.approx(0.24)
    assert met["greedy_cider"] == (True, False)
    equal = judged(dataclasses.replace(record, metrics={**record.metrics, "greedy_cider": metric(0.15)}),
                   blind_of(record, nats=2.0, cider=0.15))  # fmt: skip
    assert equal["greedy_cider"].floor_met is False, "above, not as good as"


def test_an_unsure_bound_is_not_enough_and_what_is_missing_is_not_judged() -> None:
    for low, met in ((0.24, False), (0.26, True)):
        found = judged(made_up("run5", metrics={"infonce": metric(3.0, low, 6.0)}))
        assert (found["infonce"].floor_met, found["infonce"].goal_met) == (met, met)
    found = judged(made_up("run5", metrics={"probe_plan": None}))
    assert found["greedy_cider"].value == 0.2 and found["greedy_cider"].floor_met is None  # no constant, no blind
    assert found["gain_over_blind"].value is None and found["category"].floor_met is None


def test_on_scenes_a_share_of_what_is_needed_is_asked_for() -> None:
    for bits, met in ((0.7, False), (6.9, True)):
        record = made_up("run6", data="scenes", bits=bits)
        found = judged(record)["delivered"]
        assert found.value == known_bits.of([record])[0].delivered == pytest.approx(bits / 7)  # log2 of 128 images
        assert found.floor is None and found.goal_met is met


def test_what_is_delivered_on_scenes_is_bounded_by_the_loss_as_well_and_unknown_elsewhere() -> None:
    """A decoder that spends H(caption) less 7 bits on every caption is shown 7, whatever InfoNCE can."""
    captions = [{"image_id": f"val-{i}", "greedy": "a", "sampled": "b"} for i in range(200)]
    need = [known_bits.needed_bits(3, [row["image_id"]]).value for row in captions]
    wording = [paraphrase_bits(describe_scene("val", i, difficulty=3).scene) for i in range(200)]
    spent = [facts + words - 7 for facts, words in zip(need, wording, strict=True)]
    captions = [{**row, "nats": bits * math.log(2)} for row, bits in zip(captions, spent, strict=True)]
    record = made_up("run6", data="scenes", bits=3.5, captions=captions)
    row = cells(report.delivered_table([record, made_up("run6")]), "Run 6")
    perfect = known_bits.perfect_infonce(3, [each["image_id"] for each in captions], record.recipe["scored_images"])
    assert row[0] == f"{sum(need) / 200:.1f}"
    assert row[1] == f"3.50 [3.46, 3.54] 50.0% of the 7.00 that 128 pictures can show, a perfect plan {perfect / 7:.1%}"
    assert row[2] == f"7.00 [7.00, 7.00] {7 / (sum(need) / 200):.0%} of what is needed"
    assert "does not apply" in report.delivered_table([made_up("run6")]).html


def test_a_plans_table_tells_shape_size_reading_other_changes_and_floors() -> None:
    good = {"greedy_unique": metric(0.9), "greedy_cider": metric(0.4), "image_r1": metric(0.2)}
    first = [made_up("run6", bits=b, seed=s, metrics=good) for s, b in enumerate((3.0, 2.9))]
    wide = made_up("run6", bits=1.0, metrics=good, recipe={"dim": 256, "learning_rate": 5e-4})
    tokens = made_up("run6", bits=3.5, recipe={"plan_vectors": 25, "plan_reads": "tokens", "image_size": 160})
    table = report.plans_table([*first, wide, tokens], [])
    one = cells(table, "16 x 128")
    assert one == ["3.00 [2.96, 3.04] 2.90 [2.86, 2.94]", "not measured not measured", "90.0% 90.0%", "0.400 0.400"]
    assert "bfloat16</small><small>floors reached: 4 of 5, 4 of 5</small>" in table.html
    assert "16 x 256<small>8,192 bytes, read by queries, 128 pixels, learning_rate=0.0005, bfloat16" in table.html
    assert "25 x 128<small>6,400 bytes, all tokens, no queries, 160 pixels, bfloat16" in table.html
    assert cells(table, "16 x 256")[0] == "1.00 [0.96, 1.04]*"
    assert cells(table, "25 x 128")[2:] == ["25.0%*", "0.200*"]
    assert "none is recorded" in report.plans_table([], []).html


def test_the_goals_table_has_every_seed_and_their_mean() -> None:
    longer = {**made_up().provenance, "steps": 4_560}
    records = [*seeds(0.2, 3.0, experiment="run5"), made_up("run5", bits=9.0, provenance=longer)]
    records.append(made_up("run5", data="scenes"))
    table = report.goals_table("run5", records)
    row = cells(table, MEASURES["infonce"])
    assert row[:2] == ["0.5", "2"]
    assert row[2] == "0.2 floor: not reached goal: not reached" and row[3] == "3 floor: reached goal: reached"
    assert row[4].startswith("9 floor") and row[5].startswith("1 floor")
    assert row[6:] == ["1.6 floor: reached in 1 of 2 seeds goal: reached in 1 of 2 seeds"], "4,560 steps are no seed"
    assert cells(table, MEASURES["gain_over_blind"])[2:] == ["not measured"] * 5
    assert cells(table, MEASURES["delivered"])[2] == "does not apply"
    assert cells(table, "reached")[2] == "3 of 4 floors, 2 of 4 goals"
    assert "not measured" in cells(table, MEASURES["greedy_cider"])[2]


def test_the_same_run_committed_and_made_here_is_one_seed() -> None:
    committed, here = made_up("run5", bits=3.0), made_up("run5", bits=3.5)
    assert "mean" not in report.goals_table("run5", [committed, here]).html
    other = made_up("run5", bits=0.1, seed=1)
    row = cells(report.goals_table("run5", [committed, other, here]), MEASURES["infonce"])
    assert row[-1] == "1.8 floor: reached in 1 of 2 seeds goal: reached in 1 of 2 seeds", "this build's is the last"
    values = report.probe_table(other, [committed, here]).html
    assert "±" not in values
    both = [made_up("run6", bits=bits, metrics={"val_loss": metric(bits)}) for bits in (3.0, 3.5)]
    assert "3.500" in report.memory_table(both).html and "3.000" not in report.memory_table(both).html


def test_runs_of_other_recipes_are_not_averaged_and_those_of_an_older_core_are() -> None:
    one, two = seeds(1.0, 3.0, experiment="run5")
    assert "mean" in report.goals_table("run5", [one, two]).html
    for changes, together in (({"align_weight": 0.1}, False), ({"align_memory": None}, True)):
        values = {key: value for key, value in {**two.recipe, **changes}.items() if value is not None}
        other = dataclasses.replace(two, recipe=values)
        table = report.goals_table("run5", [one, other]).html
        assert ("mean" in table) is together
        assert all((f"align_weight={w}" in table) is not together for w in (0.1, 1.0)), "or the heads were the same"
        assert ("2.000 ± 1.414" in report.probe_table(one, [one, other]).html.replace("&nbsp;", " ")) is together
        assert len(report.audit._seeds_together([one, other])) == (1 if together else 2)
        if not together:
            with pytest.raises(ValueError, match="several recipes"):
                figures.metric_bars("greedy_unique", [one], [one, other])


def test_the_floor_that_smoothing_leaves_is_of_the_runs_own_vocabulary() -> None:
    """0.1 spread over 260 ids of a byte each, or over 1,024 that are bytes or longer."""
    for ids, bound in ((260, ""), (1024, "at most ")):
        record = made_up("capacity_oracle", recipe={"vocab_size": ids})
        floor = -math.log(0.9 + 0.1 / ids)
        assert report.audit._loss_floors(record).startswith(f"{bound}{floor:.4f} for a model")
    sure = made_up("capacity_oracle", recipe={"vocab_size": 1024, "label_smoothing": 0.0})
    assert report.audit._loss_floors(sure).startswith("0.0000 for a model")


def test_the_constant_caption_of_a_record_is_that_of_its_tables(data_dir) -> None:
    settings = {**TINY, "epochs": 1, "warmup_epochs": 0}
    made = runs.run("run2", "smoke", "shapes", 0, **settings)
    prepared = runs.prepare("run2", "smoke", "shapes", 0, **settings)
    found = baselines.with_constant(made, prepared.examples)
    trivial = {b.label: b.value for b in baselines.of_run(prepared.recipe, prepared.examples)["greedy_cider"]}
    assert found.value("constant_cider") == pytest.approx(trivial["best constant caption"])
    other = runs.prepare("run2", "smoke", "shapes", 0, **{**settings, "n_val": 9})
    assert with_controls(made, prepared.examples) == made, "Run 2 has no goals"
    assert with_controls(dataclasses.replace(made, experiment="run5"), prepared.examples).metrics == found.metrics
    with pytest.raises(ValueError, match="not judged on these images"):
        baselines.with_constant(made, other.examples)


# --- costs and sentences ---------------------------------------------------------------------------


def test_costs_and_predictions_are_those_of_records_and_describe() -> None:
    row = cells(report.cost_table([made_up("run5")]), "Run 5")
    values = made_up("run5").recipe
    assert row[0] == "1,234,567" and row[1] == f"{2 * values['plan_vectors'] * values['dim']:,}"
    assert row[4] == "400 500 with evaluation"
    small = [recipe(name, "smoke") for name in ("run5", "run6")]
    table = report.predicted_table(small)
    assert "not measured" in table.alt
    for column, each in enumerate(small):
        said = describe(each)
        assert cells(table, "trainable")[column] == f"{said['parameters']['total']:,}"
        slowest = max(said["cards"][0]["seconds"].values())
        assert cells(table, said["cards"][0]["card"])[column].startswith(f"{1e3 * slowest:.1f} ms per step")
    network = describe(small[1])["memory_bytes"]["images"]
    assert network == 128 * 4 * 4 * 1280 * 2, "features in float16, 4 x 4 of 1,280 numbers for each of 128 images"


def test_what_memory_does_stands_beside_each_runs_own_twin() -> None:
    loss = {"val_loss": metric(1.0)}
    run = made_up("run6", metrics=loss)  # as it is today: with memory
    old = made_up("run6", metrics=loss, recipe={"decoder_memory": 0})
    blind = {"metrics": {**loss, "infonce": metric(0.0)}}
    twin, old_twin, narrow = (
        dataclasses.replace(
            made_up("run5_blind", **blind, recipe=changes),
            captions=[{**row, "nats": row["nats"] + more} for row in run.captions],
        )
        for changes, more in (({}, 1.0), ({"decoder_memory": 0}, -1.0), ({"decoder_memory": 0, "plan_vectors": 1}, 9.0))
    )
    table = report.memory_table([narrow, old, twin, run, old_twin])
    rows = re.findall(r"<tr>(.*?)</tr>", table.html, re.DOTALL)[1:]
    rows = [
        [" ".join(re.sub(r"<[^>]+>", " ", c).replace("&nbsp;", " ").split()) for c in r.split("</td>")] for r in rows
    ]
    assert [row[0].split()[-1] for row in rows] == ["none", "memory", "plan", "plan", "memory"]
    bit = 1 / 0.693147
    assert rows[0][3].startswith(f"{-bit:+.2f} [") and rows[1][3].startswith(f"{bit:+.2f} [")
    assert "1 of its one plan" in rows[2][0] and rows[2][3] == "does not apply", "one vector: nobody's twin"


def test_the_comparison_ends_in_what_was_found() -> None:
    said = report.found_line([made_up("run5", bits=0.01), made_up("run6", bits=2.5)]).alt
    assert "Run 5 (flickr8k, laptop, seed 0, 1,000 steps, a plan of 16 x 128): not shown to use its plan" in said
    assert "Run 6 (flickr8k, laptop, seed 0, 1,000 steps, a plan of 16 x 128): uses its plan; InfoNCE 2.50" in said
    assert "not recorded yet" in report.found_line([]).alt


def test_what_a_part_of_run_5_brings_is_paired_over_images_seed_by_seed() -> None:
    """Captions that cost 2 bits each, or none, more without the part: 1 on average, whatever they cost altogether."""

    def dearer(record: Record, bits: float) -> Record:
        rows = [
            {**row, "nats": row["nats"] + bits * (i % 2) * math.log(2)}
            for i, row in enumerate(reversed(record.captions))
        ]
        return dataclasses.replace(record, captions=rows)

    whole = seeds(0.6, 0.5)
    without = [dearer(made_up(bits=0.4), 2.0), dearer(made_up(bits=0.3, seed=1), -2.0), made_up(seed=2)]
    found = {"run5": whole, "run5_without_words": without, "align": seeds(0.0)}
    table = report.parts_table(found)
    bits, with_all, cost = cells(table, RUNGS["run5_without_words"].title)
    assert (bits, with_all) == ("0.40 [0.36, 0.44] 0.30 [0.26, 0.34]", "0.60 [0.56, 0.64] 0.50 [0.46, 0.54]")
    assert re.fullmatch(r"\+1.00 \[\+0.8\d, \+1.1\d\] -1.00 \[-1.1\d, -0.8\d\]", cost), cost
    assert table.html.count("<tr>") == 2, "neither a third seed that has no partner nor another rung"
    other = [dataclasses.replace(made_up(), captions=whole[0].captions[1:])]
    with pytest.raises(ValueError, match="same validation images"):
        report.parts_table({"run5": whole, "run5_without_words": other})
    assert "no rung of these is recorded" in report.parts_table({"align": seeds(0.0)}).html


def test_a_rung_is_useful_where_both_retrieval_and_gain_leave_nothing() -> None:
    def with_loss(record: Record, nats: float) -> Record:
        return dataclasses.replace(
            record, captions=[{**row, "nats": nats + 0.1 * i} for i, row in enumerate(record.captions)]
        )

    twins = [with_loss(made_up("run2_blind", seed=seed), 40.0) for seed in (0, 1)]
    cheaper = [with_loss(each, 40.0 - math.log(2)) for each in seeds(0.9, 0.8, 0.7)]  # the third has no twin
    chance = dataclasses.replace(cheaper[1], metrics={**cheaper[1].metrics, "image_r1": metric(0.01, 0.0, 0.02)})
    found = {
        "direct": [cheaper[0], chance, cheaper[2]],
        "words": seeds(0.0),
        "pieces": seeds(0.5, recipe={"vocab_size": 512}),
    }
    table = report.useful_table(found, twins)
    bits, apart, saved, passed = cells(table, RUNGS["direct"].title)
    assert bits == "0.90 [0.86, 0.94] 0.80 [0.76, 0.84]" and apart == "20.0 [10.0, 30.0] 2.0 [0.0, 4.0]"
    assert saved == "+1.00 [+1.00, +1.00] +1.00 [+1.00, +1.00]" and passed == "with 1 of 2 seeds"
    assert table.html.count("<tr>") == 2, "neither one that collapses nor one whose decoder nobody trained blind"
    behind = {"direct": [with_loss(each, 41.0) for each in seeds(0.9)]}
    assert cells(report.useful_table(behind, twins), RUNGS["direct"].title)[-1] == "with 0 of 1 seed"
    assert "no rung" in report.useful_table(found, []).html


def test_what_is_added_to_a_combination_is_held_against_the_nearest_one_and_every_seed_of_it() -> None:
    def whole(name: str, *bits: float) -> list[Record]:
        return seeds(*bits, recipe=rungs.changes_at(name, "laptop"))

    def adding(bits: float, name: str, **more: object) -> Record:
        values = recipe("run5", "laptop", **{**rungs.changes_at(name, "laptop"), **more}).to_dict()
        return made_up("run5", bits=bits, recipe=values)

    found = {"run5": whole("run5", 0.7, 0.4), "run5_pieces": whole("run5_pieces", 0.5, 0.6), "align": seeds(0.0)}
    dearer = adding(0.65, "run5_pieces", stem="convolutions")
    dearer = dataclasses.replace(dearer, captions=[{**c, "nats": c["nats"] + math.log(2)} for c in dearer.captions])
    table = report.added_table([adding(0.9, "run5", input_dropout="word"), dearer], found)
    assert cells(table, "input_dropout=word to all of Run 5") == [
        "0.90 [0.86, 0.94] without it 0.70, 0.40", "+0.00 [+0.00, +0.00]", "25.0% (50 of 200)", "up"
    ]  # fmt: skip
    stem = cells(table, "stem=convolutions to Run 5, pieces of words")
    assert stem[0].endswith("without it 0.50, 0.60") and stem[1] == "+1.00 [+1.00, +1.00]"
    assert cells(table, "stem=convolutions")[-1] == "no", "0.05 above one seed and 0.15 above the other"
    assert cells(report.added_table([adding(0.3, "run5_pieces", vicreg_weight=0.5)], found), "vicreg")[-1] == "down"
    assert "none is recorded" in report.added_table([dearer], {"align": seeds(0.0)}).html


def test_other_values_have_a_row_each_named_by_what_sets_them_apart() -> None:
    strong = [made_up(bits=b, seed=seed, recipe={"align_weight": 3.0}) for seed, b in enumerate((0.2, 0.0))]
    weak = [made_up(bits=0.0, recipe={"sigreg_weight": 1.0, "diversity_weight": 0.0})]
    table = report.values_table([*strong, *weak])
    first, second = (cells(table, name) for name in ("align_weight=3.0", "diversity_weight=0.0, sigreg_weight=1.0"))
    assert "0.20" in first[0] and "0.00" in first[0] and first[-1] == "breaks the collapse in 1 of 2 seeds"
    assert "0.00" in second[0] and second[-1] == "collapses"


def test_a_folder_whose_name_begins_as_scenes_is_no_scenes() -> None:
    mine = made_up("run6", data="scenes_of_mine")
    assert "what the captions need" not in figures.rung_bits({"published": [mine]}).alt
    assert "scenes_of_mine" not in report.delivered_table([mine]).html
