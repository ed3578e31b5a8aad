"""Tables: nothing blank, nothing averaged that must not be, and published facts as in the study."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from vljepa_core import report
from vljepa_core.datasets.dataset import Dataset
from vljepa_core.figures.reading import setting
from vljepa_core.figures.units import number, unit_of
from vljepa_core.published import PUBLISHED, Baseline
from vljepa_core.recipes import STUDY, recipe
from vljepa_core.records import Record, recorded


def make_record(seed: int = 0, data: str = "scenes", cosine: float = 0.9, **changes) -> dict:
    return {
        "experiment": "run2",
        "scale": "laptop",
        "data": data,
        "seed": seed,
        "source_hash": "new",
        "dataset": {"name": data},
        "parameters": {"total": 1234},
        "history": [],
        "captions": [],
        "confusion": None,
        "metrics": {
            "greedy_unique": {"value": 0.0025, "low": 0.0025, "high": 0.01, "n": 400},
            "plan_cosine": {"value": cosine, "low": None, "high": None, "n": 400},
        },
        "verdict": {"label": "FAIL", "by_code": "WEAK", "reason": ""},
        "provenance": {"commit": "abcdef0123456", "dirty": False, "seconds": 61.0},
        **changes,
    }


def rows_of(table) -> dict[str, list[str]]:
    """Cells as text, by the row's heading."""
    found = {}
    for row in re.findall(r"<tr>(.*?)</tr>", table.html, re.DOTALL):
        cells = [re.sub(r"<[^>]+>", " ", c) for c in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)]
        cells = [" ".join(c.split()) for c in cells]
        found[cells[0]] = cells[1:]
    return found


def test_published_numbers_are_those_of_the_study():
    assert set(PUBLISHED) == set(STUDY)
    assert [PUBLISHED[r].metrics["parameters"].value for r in ("run2", "run3", "run4")] == [
        16_930_048,
        16_995_844,
        18_052_608,
    ]
    assert [PUBLISHED[r].metrics["train_loss"].value for r in ("run2", "run3", "run4")] == [
        1.0619,
        1.0637,
        1.0899,
    ]
    assert [round(2000 * PUBLISHED[r].metrics["sampled_unique"].value) for r in ("run2", "run3", "run4")] == [
        1869,
        1871,
        1890,
    ]
    assert PUBLISHED["test3"].metrics["accuracy"].value == 0.321
    assert all(m.source for run in PUBLISHED.values() for m in run.metrics.values())
    with pytest.raises(TypeError):
        PUBLISHED["run2"].metrics["train_loss"] = None
    assert [b.value for b in PUBLISHED["run2"].baselines["train_loss"]] == [1.040, 0.878]


def test_runs_stand_side_by_side_with_every_published_metric_and_every_probe() -> None:
    groups = [[r for r in recorded(name) if r.data == "flickr8k"] for name in ("run2", "run6")]
    rows = rows_of(report.runs_table([*groups, []]))
    assert rows["result"] == ["Run 2 flickr8k, laptop, seeds 0, 1, 2", "Run 6 flickr8k, laptop, seeds 0, 1, 2"]
    assert not any("not measured" in cell for name, row in rows.items() if "gain" not in name for cell in row)
    reported = {n for run in ("run2", "run3", "run4") for n in PUBLISHED[run].metrics} - {"seconds", "parameters"}
    for name in (*reported, *report.results.ROWS["probes"], "probe_plan"):
        if name == "gain_over_blind":
            continue
        (row,) = (
            cells
            for label, cells in rows.items()
            if label.startswith(f"{unit_of(name).label} {unit_of(name).unit}".strip())
        )
        for cell, seeds in zip(row, groups, strict=True):
            mean = np.mean([r.metrics[name]["value"] for r in seeds])
            assert cell.startswith(number(name, mean)), (name, cell)


def test_what_the_study_did_not_report_and_repeats_what_is_shown_is_folded() -> None:
    more = dict.fromkeys(
        ("sampled_cider", "sampled_unique", "greedy_cider", "plan_vector_rank"), {"value": 0.5, "n": 9}
    )
    record = make_record(metrics={**make_record()["metrics"], **more})
    table = report.results_table("run2", record)
    shown, folded = table.html.split("<details>")
    assert "2 more measures, which the study did not report</summary>" in folded
    shown = rows_of(type(table)(shown, ""))
    assert "CIDEr, greedy" in shown and sum(name.startswith("unique captions, ") for name in shown) == 2
    hidden = rows_of(type(table)(folded, ""))
    assert [len(cells) for cells in hidden.values()] == [4, 4, 4] and "CIDEr, t = 0.7" in hidden
    assert "<details>" not in report.results_table("run2", make_record()).html


def test_of_many_trivial_baselines_a_cell_shows_three_and_folds_the_others() -> None:
    def cell(n: int) -> str:
        own = {"greedy_unique": [Baseline(f"answer {i}", i / 10, "scenes", "made up") for i in range(n)]}
        return report.results_table("run2", make_record(), trivial=own).html

    few, many = cell(3), cell(9)
    there = len(PUBLISHED["run2"].baselines.get("greedy_unique", ()))
    assert there <= 1 and "<details>" not in few
    folded = many.split(f"<details><summary>{6 + there} more</summary>")[1].split("</details>")[0]
    assert "answer 3" in folded and "answer 8" in folded and "answer 2" not in folded and "answer 2" in many


@pytest.mark.parametrize("experiment", STUDY)
def test_no_cell_is_blank(experiment):
    rows = rows_of(report.results_table(experiment, make_record(experiment=experiment), []))
    assert all(cell for cells in rows.values() for cell in cells), rows
    assert "not measured" in rows["verdict"][1]


def test_results_stand_beside_each_other_with_interval_and_baseline():
    recorded = [
        make_record(0, "photos", 0.8, source_hash="old"),
        make_record(1, "photos", 0.9, source_hash="old"),
    ]
    recorded[0]["trivial"] = {"train_loss": [{"label": "blind memoriser", "value": 1.2345}]}
    table = report.results_table("run2", make_record(), recorded, source_hash="new")
    rows = rows_of(table)
    head = rows["result"]
    assert head[0].startswith("published") and head[2] == "this build scenes, laptop, seed 0"
    assert "photos, laptop, seeds 0, 1 commit abcdef0" in head[1] and "older core" in head[1]
    assert rows["unique captions, greedy % of images"][0] == "0.05% (1 of 2000)"
    assert rows["unique captions, greedy % of images"][2] == "0.25% (1 of 400) [0.25%, 1.0%]"
    assert rows["mean cosine between plans"] == ["not reported", "0.8500 ± 0.0707", "0.9000", "not measured"]
    assert rows["verdict"][0] == "FAIL by the study's own code: WEAK or PARTIAL"
    assert "1.0400 image-blind model" in rows["final training loss, as trained nats per byte"][3]
    assert "trivial there: blind memoriser 1.2345" in rows["final training loss, as trained nats per byte"][1]
    assert rows["final training loss, as trained nats per byte"][2] == "not measured"
    assert rows["trainable parameters"][:3] == ["16,930,048", "1,234", "1,234"]
    assert "older core" not in report.results_table("run2", make_record(), recorded, source_hash="old").html


def test_runs_on_different_data_or_scales_are_not_averaged():
    recorded = [
        make_record(data="photos"),
        make_record(data="scenes"),
        make_record(data="photos", scale="paper"),
    ]
    head = rows_of(report.results_table("run2", make_record(), recorded))["result"]
    assert [h.split()[0] for h in head] == [
        "published",
        "recorded",
        "recorded",
        "recorded",
        "this",
        "trivial",
    ]


def test_changes_that_were_not_committed_are_named():
    provenance = {"commit": "abcdef0123456", "dirty": True, "seconds": 1.0}
    table = report.results_table("run2", make_record(), [make_record(provenance=provenance)])
    assert "commit abcdef0 with changes" in table.html


def test_recipe_table_shows_only_what_differs():
    rows = rows_of(report.recipe_table(recipe("run2", scale="laptop"), recipe("run2", scale="paper")))
    assert rows["dim"] == ["256", "128"] and "label_smoothing" not in rows and "scale" not in rows
    same = rows_of(report.recipe_table({"dim": 256}, {"dim": 256}))
    assert same["nothing differs"] == ["as published", "as published"]
    assert rows_of(report.recipe_table({"dim": 256, "new": True}, {"dim": 256}))["new"] == ["not set", "yes"]


def test_tables_are_semantic_escaped_and_without_colours_of_their_own():
    html = report.results_table("run2", make_record(data="<script>x</script>"), []).html
    assert "<script>" not in html and "&lt;script&gt;" in html
    for part in ("<caption>", '<th scope="col">', '<th scope="row">', 'tabindex="0"', "overflow-x:auto"):
        assert part in html
    assert not re.search(r"#000|#fff|\bblack\b|\bwhite\b(?!-)", html)


def test_dataset_table_says_what_was_refused():
    images = np.zeros((3, 4, 4, 3), dtype=np.uint8)
    splits = {"train": np.arange(2), "val": np.arange(2, 3)}
    summary = {"missing images": 2, "grey images": 0}
    data = Dataset("toy", images, [["a"], ["b", "c"], ["d"]], [1, 2, 3], splits, "f" * 64, "drawn <here>", summary)
    shown = report.dataset_table(data).html
    assert "missing images" in shown and "grey images" not in shown
    assert "1 further checks" in shown and "drawn &lt;here&gt;" in shown


def test_trivial_answers_on_this_data_stand_before_those_on_other_data():
    own = {"sampled_content_match": (Baseline("caption of another image", 0.237, "this build"),)}
    record = make_record()
    record["metrics"]["sampled_content_match"] = {"value": 0.298, "low": 0.25, "high": 0.34, "n": 400}
    shown = report.results_table("run2", record, trivial=own).html
    row = next(r for r in shown.split("<tr>") if "content match, t" in r)
    assert row.index("23.7%") < row.index("6.1%")


def test_probes_stand_beside_chance_and_what_was_not_measured_is_said():
    record = make_record()
    record["metrics"] |= {
        "infonce": {"value": 0.1, "low": -0.05, "high": 0.25, "n": 150},
        "image_r1": {"value": 0.02, "low": 0.01, "high": 0.03, "n": 200},
        "image_median_rank": {"value": 90.0, "low": 80.0, "high": 100.0, "n": 200},
        "mean_plan_gap": {"value": 0.0, "low": 0.0, "high": 0.0, "n": 400},
    }
    table = report.probe_table(record, [make_record(data="photos")])
    rows = rows_of(table)
    assert rows["caption to image, R@1 % of captions"] == ["not measured", "2.0% [1.0%, 3.0%]", "0.50%"]
    assert rows["caption to image, median rank"][1:] == ["90 [80, 100]", "100"]
    assert rows["mean-plan gap bits per caption"][1:] == ["0.000 [0.000, 0.000]", "0.000"]
    assert rows["gain over a trained blind model bits per caption"] == ["not measured"] * 3
    assert "among 200 images" in table.alt and "at most 7.2 bits" in table.alt


def test_a_record_is_read_against_its_own_controls():
    record = make_record(history=[{"epoch": 0, "plan_cosine": 0.55}])
    record["metrics"] |= {
        "greedy_cider": {"value": 0.3, "low": 0.2, "high": 0.4, "n": 400},
        "greedy_cider_permuted": {"value": 0.1, "low": 0.05, "high": 0.15, "n": 400},
        "greedy_cider_gain": {"value": 0.2, "low": 0.1, "high": 0.3, "n": 400},
        "sampled_verbatim": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 400},
        "reference_verbatim": {"value": 0.08, "low": 0.05, "high": 0.1, "n": 400},
    }
    rows = rows_of(report.results_table("run2", record))
    assert rows["CIDEr, greedy"][-1] == "0.100 its captions, of other images; difference 0.200 [0.100, 0.300]"
    assert rows["verbatim training captions, t = 0.7 % of images"][-1] == "8.0% the reference captions (this build)"
    assert rows["mean cosine between plans"][-1] == "0.5500 random weights (this build)"


def test_who_judged_later_is_told_from_who_trained():
    judged = {"commit": "abcdef0", "dirty": False, "judged": {"commit": "1234567890", "dirty": False}}
    assert "judged at 1234567" in report.results_table("run2", make_record(), [make_record(provenance=judged)]).html
    same = {**judged, "judged": {"commit": "abcdef0"}}
    assert "judged at" not in report.results_table("run2", make_record(), [make_record(provenance=same)]).html


def test_yardsticks_from_the_record_itself_and_from_a_blind_partner() -> None:
    def measured(value: float) -> dict:
        return {"value": value, "low": value, "high": value, "n": 90}

    row = {"image_id": 1, "nats": 3.0}
    names = {"greedy_cider": 0.26, "pixel_neighbour_cider": 2.19, "plan_neighbour_cider": 1.34}
    record = Record(**{
        **make_record(metrics={name: measured(value) for name, value in names.items()}, captions=[row]),
        "format": 2, "recipe": {"plan_source": "image"}, "weights_sha256": "",
        "dataset": {"name": "scenes", "fingerprint": "f"},
    })  # fmt: skip
    blind = dataclasses.replace(record, recipe={"plan_source": "none"}, metrics={"greedy_cider": measured(0.111)})
    last = rows_of(report.results_table("run2", record, blind=[record, blind]))["CIDEr, greedy"][-1]
    assert "2.190 caption of the nearest training image by pixels" in last and "1.340" in last
    assert "0.111 a trained blind model" in last
    assert "blind" not in rows_of(report.results_table("run2", record))["CIDEr, greedy"][-1]
    probes = {"accuracy": measured(0.5), "balanced_accuracy": measured(0.2), "probe_pixels": measured(0.765),
              "probe_pixels_balanced": measured(0.62), "probe_plan": measured(0.9)}  # fmt: skip
    classes = make_record(experiment="test3", metrics=probes, confusion={"labels": ["a"], "matrix": [[1]]})
    rows = rows_of(report.results_table("test3", classes))
    accuracy, balanced = (next(v[-1] for k, v in rows.items() if k.startswith(s)) for s in ("accuracy", "balanced"))
    assert "76.5% linear probe of raw pixels" in accuracy and "90" not in accuracy
    assert "62.0% linear probe of raw pixels" in balanced


def test_a_run_with_another_plan_says_so_and_stands_in_a_column_of_its_own() -> None:
    plain = make_record(recipe={"plan_vectors": 16, "dim": 128})
    wide = make_record(recipe={"plan_vectors": 16, "dim": 256})
    assert setting(plain) == "scenes, laptop, seed 0" and setting(wide) == "scenes, laptop, a plan of 16 x 256, seed 0"
    head = report.results_table("run2", plain, [plain, wide, make_record(1, recipe=plain["recipe"])]).html
    assert "scenes, laptop, seeds 0, 1" in head and "a plan of 16 x 256, seed 0" in head


def test_training_time_is_without_the_evaluation() -> None:
    made = {"commit": "abcdef0123456", "dirty": False, "seconds": 61.0, "train_seconds": 50.0}
    rows = rows_of(report.results_table("run2", make_record(provenance=made), [make_record()]))
    assert rows["training time seconds"][1:3] == ["61", "50"]  # of an older record only both together are known


def test_a_cell_says_how_many_seeds_it_is_of_and_keeps_its_interval() -> None:
    def cell(*found: dict) -> str:
        recorded = [make_record(seed, "photos", metrics=metrics) for seed, metrics in enumerate(found)]
        return rows_of(report.results_table("run2", make_record(), recorded))["unique captions, greedy % of images"][1]

    one = make_record()["metrics"]
    assert cell(one) == "0.25% (1 of 400) [0.25%, 1.0%]"
    assert cell(one, {}, {}) == "0.25% (1 of 400) [0.25%, 1.0%] 1 of 3 seeds"
    assert cell(one, one, {}) == "0.25% [0.25%, 1.0%] 2 of 3 seeds"


def test_columns_that_ran_on_the_same_are_told_apart_by_their_recipes() -> None:
    runs = [make_record(seed, recipe={"align_weight": w}) for w in (0.0, 0.3) for seed in (0, 1)]
    for table in (report.results_table("run2", runs[0], runs), report.probe_table(runs[0], runs)):
        heads = next(cells for name, cells in rows_of(table).items() if name in ("result", "probe"))
        assert len(set(heads)) == len(heads)
        assert any("seeds 0, 1, align_weight=0.3" in head for head in heads)
        assert any(head == "this build scenes, laptop, seed 0, align_weight=0.0" for head in heads)
    assert "align_weight" not in report.results_table("run2", runs[0], runs[:2]).html
