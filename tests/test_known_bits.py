"""Known bits: those needed are the generator's, bits delivered are the probes', and the diagram says both."""

from __future__ import annotations

import dataclasses
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import vljepa_core
from tests.conftest import TINY
from vljepa_core import figures, known_bits, report
from vljepa_core.baselines import blind_memoriser
from vljepa_core.datasets.scenes import describe_scene
from vljepa_core.metrics import Metric
from vljepa_core.records import recorded
from vljepa_core.rungs import uses_plan
from vljepa_core.sweeps import recorded_sweep

SMALL = {**TINY, "epochs": 1, "warmup_epochs": 0}


@pytest.fixture
def climbed(data_dir: Path) -> list:
    return [
        vljepa_core.run(experiment, "smoke", f"scenes:{level}", 0, **SMALL)
        for level in (0, 3)
        for experiment in ("run2", "run2_blind")
    ]


def test_a_rung_sets_the_generators_bits_beside_the_probes(climbed: list) -> None:
    easy, hard = known_bits.of(climbed)
    assert (easy.level, hard.level) == (0, 3) and easy.needed.value < hard.needed.value
    assert easy.needed.value == pytest.approx(np.log2(36)) and easy.wording == 0  # 6 colours x 6 things, one template
    by_hand = np.mean([describe_scene("val", i, difficulty=3).content_bits for i in range(SMALL["n_val"])])
    assert hard.needed.value == pytest.approx(by_hand)
    seeing = climbed[2]
    assert hard.spent == pytest.approx(np.mean([row["nats"] for row in seeing.captions]) / np.log(2))
    assert hard.text_bound.value == pytest.approx(hard.needed.value + hard.wording - hard.spent)
    assert hard.text_bound.low < hard.text_bound.value < hard.text_bound.high
    assert hard.ceiling == pytest.approx(min(hard.needed.value, np.log2(seeing.metrics["infonce"]["n"])))
    assert hard.distinct == len({describe_scene("val", i, difficulty=3).scene for i in range(12)}) / 12
    assert len(known_bits.of(climbed)) == 2, "a blind model sees no scene"
    assert (easy.loss, easy.n_train) == ("as published", 40)
    assert known_bits.loss_of({"label_smoothing": 0.0, "diversity_weight": 0.0}) == "cross-entropy alone"


@pytest.mark.parametrize("level", [0, 3])
def test_a_perfect_plan_confuses_scenes_with_the_same_facts_alone(level: int) -> None:
    ids = [f"val-{i}" for i in range(120)]
    scenes = [describe_scene("val", i, difficulty=level).scene for i in range(120)]
    measured = np.random.default_rng(0).permutation(120)[30:]  # a quarter of them is what the temperature is fitted on
    alike = [sum(scenes[i] == scenes[j] for j in measured) for i in measured]
    found = known_bits.perfect_infonce(level, ids, scored=120)
    assert found == pytest.approx(np.mean(np.log2(90 / np.array(alike))))
    assert found < np.log2(90) - (1 if level == 0 else 0) and found > (4 if level == 0 else 6)


def test_what_chance_would_do_is_not_delivered_and_collapse_is_relative_to_the_scenes(climbed: list) -> None:
    rung = known_bits.of(climbed)[0]
    sure = dataclasses.replace(rung, infonce=Metric(2.0, 1.5, 2.5, 64), needed=Metric(5.0, 4.9, 5.1, 200))
    assert sure.ceiling == 5.0 and sure.delivered == pytest.approx(0.4)
    assert dataclasses.replace(sure, infonce=Metric(2.0, -0.1, 2.5, 8)).delivered == 0
    assert dataclasses.replace(sure, infonce=Metric(2.0, 1.5, 2.5, 8)).delivered == pytest.approx(2 / 3)
    few = dataclasses.replace(sure, distinct=36 / 200)  # 9 of 36 are a quarter, though 9 of 200 are under 5%
    assert not dataclasses.replace(few, unique=9 / 200).collapsed and dataclasses.replace(few, unique=1 / 200).collapsed


def test_the_diagram_names_every_place(climbed: list) -> None:
    rungs = known_bits.of(climbed)
    shown = figures.phase_diagram(rungs)
    for rung in rungs:
        said = f"level {rung.level}, {rung.n_train} images: {rung.infonce.value:.1f} of {rung.ceiling:.1f}"
        assert said in shown.alt
    table = report.known_bits_table(rungs)
    assert all(f"{rung.needed.value:.1f}<small>and {rung.wording:.1f} of wording" in table.html for rung in rungs)
    with pytest.raises(ValueError, match="one image_size, got no runs"):
        figures.phase_diagram([])


def test_the_phase_diagram_across_image_sizes(climbed: list) -> None:
    rung = known_bits.of(climbed)[0]
    larger = dataclasses.replace(rung, image_size=2 * rung.image_size)
    shown = figures.phase_diagram([rung, larger], across="image_size")
    for one in (rung, larger):
        assert f"level {one.level}, {one.image_size} px: {one.infonce.value:.1f} of {one.ceiling:.1f}" in shown.alt
    assert f"Phase diagram, {rung.n_train:,} training images" in shown.alt
    with pytest.raises(ValueError, match="one image_size"):
        figures.phase_diagram([rung, larger])
    with pytest.raises(ValueError, match="one n_train"):
        figures.phase_diagram([rung, dataclasses.replace(rung, n_train=7)], across="image_size")


def test_only_scenes_have_known_bits(data_dir: Path) -> None:
    pair = [vljepa_core.run(name, "smoke", "shapes", 0, **SMALL) for name in ("run2", "run2_blind")]
    with pytest.raises(ValueError, match="what captions need"):
        known_bits.of(pair)


def test_capacity_is_read_from_what_comes_back(data_dir: Path) -> None:
    """A model that is given time recites; one that is not doesn't. Both are judged by the same thresholds."""
    settings = {**TINY, "dim": 32, "plan_vectors": 4, "learning_rate": 3e-3, "warmup_epochs": 2, "validate_every": 50}
    long = vljepa_core.run("capacity_table", "smoke", "shapes", 0, **{**settings, "epochs": 150, "max_new_tokens": 40})
    short = vljepa_core.run("capacity_table", "smoke", "shapes", 0, **SMALL)
    exact = np.mean([row["greedy"] in (f"a {c} {s}" for c in _COLOURS for s in _SHAPES) for row in long.captions])
    assert exact > 0.9 and long.value("greedy_exact") > 0.9
    table = report.capacity_table([long, short])
    texts = vljepa_core.prepare("capacity_table", "smoke", "shapes", 0, **SMALL).examples["val"].texts
    knows_all = -np.log(0.9 + 0.1 / 260) + blind_memoriser(texts, 128)  # smoothing, and which of the captions it is
    assert f"{knows_all:.4f} for a blind one that knows all 12 captions" in report.audit._loss_floors(long)
    assert "names one of 12 captions learned by heart" in table.html and "not shown to carry them" in table.html
    again = dataclasses.replace(
        long, seed=1, metrics={**long.metrics, "infonce": {**long.metrics["infonce"], "value": 1.5}}
    )
    both = report.capacity_table([again, short, long]).html
    assert (
        both.count("<tr") == table.html.count("<tr")
        and "learning rate 0.003, seeds 0, 1" in both
        and "<div>1.50</div>" in both
    )
    seeing = vljepa_core.run("run2", "smoke", "shapes", 0, **SMALL)
    assert "(at least 90%), 2 runs)" in report.audit_verdict([seeing], [long, again]).alt
    said = report.audit_verdict([seeing], [long, short]).alt
    assert said.startswith("LARGE ENOUGH TO NAME AN IMAGE: 0 of 1") and "with the published recipe" in said
    assert f"A plan of {long.recipe['plan_vectors']} x {long.recipe['dim']} numbers tells" in said
    unseen = dataclasses.replace(long, recipe={**long.recipe, "validate_on": "val"})
    assert report.audit_verdict([seeing], [unseen, short]).alt.startswith("LARGE ENOUGH FOR UNSEEN CAPTIONS")
    assert report.audit_verdict([seeing], [short]).alt.startswith("OPEN: 0 of 1")
    assert report.audit_verdict([seeing], []).alt.startswith("OPEN")


def test_arithmetics_stand_beside_each_other_where_both_were_run(data_dir: Path) -> None:
    record = vljepa_core.run("run2", "smoke", "shapes", 0, **SMALL)
    half = dataclasses.replace(record, provenance={**record.provenance, "precision": "bfloat16"})
    table = report.precision_table([record], [half, record]).html
    assert "<div>float32</div><div>bfloat16</div>" in table and table.count("Run 2") == 1
    other = dataclasses.replace(half, seed=1)
    assert "Run 2" not in report.precision_table([record], [other, record]).html
    wider = dataclasses.replace(half, recipe={**half.recipe, "dim": 2 * half.recipe["dim"]})
    assert "Run 2" not in report.precision_table([record], [wider]).html


def test_no_word_of_the_phase_diagram_runs_into_the_next(monkeypatch) -> None:
    drawn = []
    monkeypatch.setattr("vljepa_core.figures.phase.show", lambda fig, *_, **__: drawn.append(fig))
    recorded = known_bits.of(recorded_sweep("known_bits"))
    figures.phase_diagram([rung for rung in recorded if rung.image_size == 64])
    drawn[0].draw_without_rendering()
    boxes = [text.get_window_extent().padded(2) for ax in drawn[0].axes for text in ax.texts if text.get_text()]
    assert len(boxes) > 20
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_a_few_thousandths_of_a_bit_are_no_use_of_a_plan(climbed: list) -> None:
    record = climbed[0]
    for value, low, used in ((0.003, 0.001, False), (0.2, -0.01, False), (0.2, 0.1, True)):
        metrics = {**record.metrics, "infonce": {"value": value, "low": low, "high": 0.3, "n": 150}}
        assert uses_plan(dataclasses.replace(record, metrics=metrics)) is used


_COLOURS, _SHAPES = ("red", "green", "blue", "yellow", "cyan", "white"), ("circle", "square", "triangle")


def test_the_published_numbers_stand_beside_their_trivial_answers() -> None:
    table = report.published_table()
    for text in ("1.0619", "1.0400", "32.1%", "28.4%", "17.6% / 19.0% / 18.9%", "6.1%", "Test 3"):
        assert text in table.html, text


def test_recorded_capacity_runs_hold_no_human_captions() -> None:
    for name in ("capacity_overfit", "capacity_oracle", "capacity_table"):
        for record in recorded(name):
            if record.data not in ("scenes", "shapes"):
                assert not any(row.get("greedy") or row.get("sampled") for row in record.captions)
