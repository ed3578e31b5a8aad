"""The ladder: bits needed are the generator's, bits delivered are the probes', and the diagram says both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vljepa_core
from tests.conftest import TINY
from vljepa_core import figures, ladder, report_audit
from vljepa_core.datasets.scenes import describe_scene
from vljepa_core.records import recorded

SMALL = {**TINY, "epochs": 1, "warmup_epochs": 0}


@pytest.fixture
def climbed(data_dir: Path) -> list:
    return [
        vljepa_core.run(experiment, "smoke", f"scenes:{level}", 0, **SMALL)
        for level in (0, 3)
        for experiment in ("run2", "run2_blind")
    ]


def test_a_rung_sets_the_generators_bits_beside_the_probes(climbed: list) -> None:
    easy, hard = ladder.rungs(climbed)
    assert (easy.level, hard.level) == (0, 3) and easy.needed.value < hard.needed.value
    assert easy.needed.value == pytest.approx(np.log2(36)) and easy.wording == 0  # 6 colours x 6 things, one template
    by_hand = np.mean([describe_scene("val", i, difficulty=3).content_bits for i in range(SMALL["n_val"])])
    assert hard.needed.value == pytest.approx(by_hand)
    seeing, blind = climbed[2:]
    saved = [b["nats"] - r["nats"] for r, b in zip(seeing.captions, blind.captions, strict=True)]
    assert hard.gain.value == pytest.approx(np.mean(saved) / np.log(2), abs=1e-3)
    assert hard.delivered == pytest.approx(hard.gain.value / hard.needed.value)
    assert ladder.rungs([seeing]) == [], "a rung needs its blind partner"


def test_the_diagram_names_every_place(climbed: list) -> None:
    rungs = ladder.rungs(climbed)
    shown = figures.phase_diagram(rungs)
    for rung in rungs:
        said = f"level {rung.level}, {rung.n_train} images: {rung.gain.value:.1f} of {rung.needed.value:.1f}"
        assert said in shown.alt
    with pytest.raises(ValueError, match="one image size"):
        figures.phase_diagram([])


def test_only_scenes_have_known_bits(data_dir: Path) -> None:
    pair = [vljepa_core.run(name, "smoke", "shapes", 0, **SMALL) for name in ("run2", "run2_blind")]
    with pytest.raises(ValueError, match="whose bits are known"):
        ladder.rungs(pair)


def test_capacity_is_read_from_what_comes_back(data_dir: Path) -> None:
    """A model that is given time recites; one that is not doesn't. Both are judged by the same thresholds."""
    settings = {**TINY, "dim": 32, "plan_vectors": 4, "learning_rate": 3e-3, "warmup_epochs": 2, "validate_every": 50}
    long = vljepa_core.run("capacity_table", "smoke", "shapes", 0, **{**settings, "epochs": 150, "max_new_tokens": 40})
    short = vljepa_core.run("capacity_table", "smoke", "shapes", 0, **SMALL)
    exact = np.mean([row["greedy"] in (f"a {c} {s}" for c in _COLOURS for s in _SHAPES) for row in long.captions])
    assert exact > 0.9 and long.value("greedy_exact") > 0.9
    table = report_audit.capacity_table([long, short], {})
    assert "carries whole captions" in table.html and "not shown to carry them" in table.html
    seeing = vljepa_core.run("run2", "smoke", "shapes", 0, **SMALL)
    said = report_audit.verdict([seeing], [long, short]).alt
    assert "in 1 of 2 tests" in said and said.startswith(("NOT CAPACITY", "NOT SHOWN TO BE CAPACITY"))
    assert report_audit.verdict([seeing], []).alt.startswith("OPEN")


_COLOURS, _SHAPES = ("red", "green", "blue", "yellow", "cyan", "white"), ("circle", "square", "triangle")


def test_the_published_numbers_stand_beside_their_trivial_answers() -> None:
    table = report_audit.published_table()
    for text in ("1.0619", "1.0400", "32.1%", "28.4%", "17.6% / 19.0% / 18.9%", "6.1%", "Test 3"):
        assert text in table.html, text


def test_recorded_capacity_runs_hold_no_human_captions() -> None:
    for name in ("capacity_overfit", "capacity_oracle", "capacity_table"):
        for record in recorded(name):
            if record.data not in ("scenes", "shapes"):
                assert not any(row.get("greedy") or row.get("sampled") for row in record.captions)
