"""What is committed under data/recorded, and what the README says about it."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

from tests.conftest import SHARED
from vljepa_core.datasets.scenes import make_scenes
from vljepa_core.geometry import LIMITS
from vljepa_core.provenance import SAME_BITS
from vljepa_core.recipes import STUDY, recipe
from vljepa_core.records import RECORDED, human_captions, keep, read_record, recorded, recorded_path
from vljepa_core.rungs import uses_plan
from vljepa_core.runs import prepare
from vljepa_core.sweeps import recorded_sweep

PATHS = sorted(RECORDED.glob("*/*.json"))


each_record = pytest.mark.parametrize("path", PATHS, ids=[f"{p.parent.name}-{p.stem}" for p in PATHS])


def test_all_six_are_recorded_on_photographs_and_test0_at_paper_scale() -> None:
    for experiment in STUDY:
        settings = {(r.data, r.scale, r.seed) for r in recorded(experiment)}
        assert ("shapes" if experiment == "test0" else "flickr8k", "laptop", 0) in settings
    assert ("shapes", "paper", 0) in {(r.data, r.scale, r.seed) for r in recorded("test0")}


@each_record
def test_a_record_is_where_its_contents_say_and_was_made_from_a_commit(path) -> None:
    record = read_record(path)
    assert recorded_path(record) == path
    assert re.fullmatch("[0-9a-f]{40}", record.provenance["commit"]) and not record.provenance["dirty"]
    changes = {k: v for k, v in record.recipe.items() if k not in ("experiment", "scale")}
    made = recipe(record.experiment, record.scale, **changes).to_dict()
    assert {key: made[key] for key in record.recipe} == record.recipe  # a key that came later is at its default
    assert path.stat().st_size < 1_000_000


@each_record
def test_a_record_holds_what_the_model_wrote_and_no_reference(path) -> None:
    neighbours = {"plan_neighbour", "pixel_neighbour"}  # ids
    for row in read_record(path).captions:
        assert {"image_id"} <= row.keys() <= {"image_id", "greedy", "sampled", "nats", *neighbours}
        assert all(isinstance(row[name], (int, str)) and len(str(row[name])) < 20 for name in neighbours & row.keys())


@each_record
def test_long_generated_captions_are_not_copies_of_people(path) -> None:
    """Records may be published, human captions may not: a caption learned by heart would be one."""
    if not SHARED.exists():
        pytest.skip("the human captions lie in ../shared/data on the developers' machines")
    human = {
        annotation["caption"].strip()
        for name in ("captions_train.json", "captions_val.json")
        for annotation in json.loads((SHARED / "flickr8k" / name).read_text())["annotations"]
    }
    written = {row.get(kind, "").strip() for row in read_record(path).captions for kind in ("greedy", "sampled")}
    assert not {caption for caption in written & human if len(caption.split()) > 8}


def test_what_recites_people_is_kept_without_their_words(tmp_path) -> None:
    plain = read_record(next(p for p in PATHS if p.stem.startswith("run2")))
    for changes, words in (({}, True), ({"plan_source": "caption"}, False), ({"validate_on": "train"}, False)):
        record = dataclasses.replace(plain, recipe={**plain.recipe, **changes})
        keep(record, tmp_path / "kept.json")
        rows = read_record(tmp_path / "kept.json").captions
        assert [row["image_id"] for row in rows] == [row["image_id"] for row in plain.captions]
        assert all(("greedy" in row) == words and ("sampled" in row) == words for row in rows)
        keep(dataclasses.replace(record, data="scenes-level2"), tmp_path / "ours.json")
        assert read_record(tmp_path / "ours.json").captions == plain.captions


def test_a_run_that_wrote_one_training_caption_verbatim_is_kept_without_words(tmp_path) -> None:
    plain = read_record(next(p for p in PATHS if p.stem.startswith("run2-")))
    learned = {**plain.metrics, "sampled_verbatim": {"value": 0.01, "low": 0.0, "high": 0.02, "n": 400}}
    keep(dataclasses.replace(plain, metrics=learned), tmp_path / "kept.json")
    assert not any("sampled" in row or "greedy" in row for row in read_record(tmp_path / "kept.json").captions)


def test_bfloat16_changed_no_verdict_of_a_recorded_run() -> None:
    """Captioning runs of every decoder, blind twins and tests of capacity, trained in float32 and in bfloat16."""
    full = recorded_sweep("float32")
    assert {"run2", "run3", "run4", "capacity_table", "capacity_overfit", "capacity_oracle"} <= {
        r.experiment for r in full
    }
    for record in full:
        places = {(r.data, r.scale, r.seed): r for r in recorded(record.experiment)}
        reduced = places[record.data, record.scale, record.seed]
        assert (record.provenance["precision"], reduced.provenance["precision"]) == ("float32", "bfloat16")
        assert record.verdict["label"] == reduced.verdict["label"], record.experiment
        assert uses_plan(record) == uses_plan(reduced)


def test_the_ladders_scenes_are_those_that_are_drawn_today() -> None:
    """Bits needed are counted with today's grammar; they hold for a record whose pictures and captions are today's."""
    record = next(r for r in recorded_sweep("known_bits") if (r.data, r.dataset["n_train"]) == ("scenes-level0", 500))
    size = record.recipe["image_size"]
    drawn = make_scenes(n_train=500, n_val=200, image_size=size, difficulty=0, cache_dir=None, progress=False)
    assert drawn.fingerprint == record.dataset["fingerprint"]


def test_a_caption_of_an_image_that_a_run_did_not_draw_is_somebodys_as_well(data_dir) -> None:
    run = prepare("run2", "smoke", "scenes", n_train=8, n_val=4, features=False)
    theirs = human_captions(run.dataset)
    drawn = {text for split in run.examples.values() for text in split.texts}
    assert drawn < theirs and len(theirs) > 3 * len(drawn)


def test_what_a_run_learned_by_heart_is_left_out_caption_by_caption(tmp_path) -> None:
    plain = read_record(next(p for p in PATHS if p.stem.startswith("run2-")))
    theirs, ours = plain.captions[0]["sampled"], plain.captions[1]["sampled"]
    keep(plain, tmp_path / "kept.json", human={theirs.strip(), "a dog runs"})
    first, second = read_record(tmp_path / "kept.json").captions[:2]
    assert "sampled" not in first and second["sampled"] == ours and first["nats"] == plain.captions[0]["nats"]


def test_the_beginning_of_a_caption_is_left_out_where_the_decoder_ends(tmp_path) -> None:
    plain = read_record(next(p for p in PATHS if p.stem.startswith("run2-")))
    theirs = "a dog with a red ball runs over a meadow to its master, and then another one does"
    for limits, longest in (({"max_length": 64}, 63), ({"max_new_tokens": 40}, 40)):
        rows = [{**plain.captions[0], "greedy": theirs[:longest], "sampled": theirs[: longest - 5]}]
        record = dataclasses.replace(plain, recipe={**plain.recipe, **limits}, captions=rows)
        keep(record, tmp_path / "kept.json", human={theirs})
        (row,) = read_record(tmp_path / "kept.json").captions
        assert "greedy" not in row and row["sampled"] == theirs[: longest - 5]
    keep(dataclasses.replace(plain, data="scenes"), tmp_path / "ours.json", human={theirs.strip()})
    assert read_record(tmp_path / "ours.json").captions == plain.captions


def test_a_caption_learned_by_heart_that_had_to_be_cut_is_left_out_too(tmp_path) -> None:
    plain = read_record(next(p for p in PATHS if p.stem.startswith("run2-")))
    theirs = "a man in a red shirt stands on a large rock above the sea and looks far out over the waves"
    longest = plain.recipe["max_new_tokens"]
    assert len(theirs) > longest
    row = {**plain.captions[0], "greedy": theirs[:longest], "sampled": "a man in a red shirt"}
    keep(dataclasses.replace(plain, captions=[row]), tmp_path / "kept.json", human={theirs, "a dog runs", "a cat"})
    (kept,) = read_record(tmp_path / "kept.json").captions
    assert "greedy" not in kept and kept["sampled"] == "a man in a red shirt", "short, and ended: its own"
    accented = theirs[: longest - 1] + "é and a gull"  # cut in the middle of its é
    row["greedy"] = accented.encode()[:longest].decode(errors="replace")
    assert row["greedy"].endswith("\ufffd")
    keep(dataclasses.replace(plain, captions=[row]), tmp_path / "kept.json", human={accented, "a dog runs"})
    assert "greedy" not in read_record(tmp_path / "kept.json").captions[0]


def test_what_was_measured_anew_by_itself_says_so() -> None:
    found = {path: read_record(path) for path in RECORDED.rglob("scenes/*.json")}
    anew = {name: r for name, r in found.items() if "infonce" in r.provenance["judged"]}
    assert len(anew) == 15 and all(r.source_hash in SAME_BITS and r.value("image_r1") > 0.15 for r in anew.values())


@each_record
def test_every_probe_of_a_record_has_its_interval(path) -> None:
    found = read_record(path).metrics
    assert {name for name, m in found.items() if m["low"] is None} <= {"train_loss"}
    for name, (least, most) in LIMITS.items():
        m = found.get(name, {"low": 0, "value": 0, "high": 0})
        assert min(least, m["value"]) <= m["low"] <= m["value"] <= m["high"] <= max(most, m["value"]), name


@each_record
def test_a_committed_record_holds_the_floors_of_its_own_data(path) -> None:
    """Whoever reads it without its data has what answers score that see no image."""
    record = read_record(path)
    if record.recipe["objective"] == "caption":
        assert {"train_loss", "greedy_cider", "sampled_overlap"} <= record.trivial.keys()
        assert any("memoriser" in line["label"] for line in record.trivial["train_loss"])
