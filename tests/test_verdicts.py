"""Thresholds at their edges, and every way through the decision tree."""

from __future__ import annotations

import dataclasses

import pytest

from vljepa_core.decision_tree import ANSWERED, CORRECTED, TREE, answered_path, corrected_path, decision_path
from vljepa_core.records import recorded
from vljepa_core.verdicts import (
    COLLAPSE_SHARE,
    caption_verdict,
)
from vljepa_core.verdicts import (
    test0_verdict as shapes_verdict,
)
from vljepa_core.verdicts import (
    test3_verdict as probe_verdict,
)


@pytest.mark.parametrize(
    ("accuracy", "label"),
    [
        (0.801, "PASS"),
        (0.80, "PARTIAL"),
        (0.401, "PARTIAL"),
        (0.40, "WEAK"),
        (0.151, "WEAK"),
        (0.15, "FAIL"),
        (0, "FAIL"),
    ],
)
def test_test0(accuracy: float, label: str) -> None:
    assert shapes_verdict(accuracy).label == label


@pytest.mark.parametrize(
    ("accuracy", "label"), [(0.501, "PASS"), (0.50, "PARTIAL"), (0.1001, "PARTIAL"), (0.10, "FAIL"), (0.05, "FAIL")]
)
def test_test3(accuracy: float, label: str) -> None:
    assert probe_verdict(accuracy, 20).label == label
    assert "6.4x" in probe_verdict(0.321, 20).reason  # the published sentence


@pytest.mark.parametrize(
    ("overlap", "match", "sampled", "by_code"),
    [
        (0.301, 0.301, 1.0, "PASS"),
        (0.301, 0.30, 1.0, "PARTIAL"),
        (0.30, 0.301, 1.0, "PARTIAL"),
        (0.151, 0.0, 0.0, "PARTIAL"),
        (0.0, 0.151, 0.0, "PARTIAL"),
        (0.15, 0.15, 0.301, "WEAK"),
        (0.15, 0.15, 0.30, "FAIL"),
    ],
)
def test_captioning(overlap: float, match: float, sampled: float, by_code: str) -> None:
    assert caption_verdict(overlap, match, sampled, greedy_unique=1.0, images=400).by_code == by_code
    assert caption_verdict(overlap, match, sampled, greedy_unique=1.0, images=400).label == by_code
    collapsed = caption_verdict(overlap, match, sampled, greedy_unique=COLLAPSE_SHARE - 1e-9, images=400)
    assert (collapsed.label, collapsed.by_code) == ("FAIL", by_code)
    assert caption_verdict(overlap, match, sampled, greedy_unique=COLLAPSE_SHARE, images=400).label == by_code


def test_one_caption_for_few_images_is_a_collapse_too() -> None:
    assert caption_verdict(0.2, 0.2, 1.0, greedy_unique=1 / 8, images=8).label == "FAIL"
    assert caption_verdict(0.2, 0.2, 1.0, greedy_unique=2 / 8, images=8).label == "PARTIAL"


def test_published_runs_are_weak_by_their_own_code_and_fail_by_the_report() -> None:
    for sampled in (1869 / 2000, 1871 / 2000, 1890 / 2000):
        verdict = caption_verdict(
            overlap=0.10, match=0.071, sampled_unique=sampled, greedy_unique=1 / 2000, images=2000
        )
        assert (verdict.label, verdict.by_code) == ("FAIL", "WEAK")


STUDY = {"test0": "PASS", "run2": "FAIL", "test3": "PARTIAL", "run3": "FAIL", "run4": "FAIL"}


@pytest.mark.parametrize(
    ("changed", "end"),
    [
        ({}, "capacity"),
        ({"test0": "PARTIAL"}, "pipeline"),
        ({"run2": "PARTIAL"}, "captions"),
        ({"test3": "FAIL"}, "encoder"),
        ({"test3": "PASS"}, "capacity"),
        ({"run3": "WEAK"}, "conditioning"),
        ({"run4": "PASS"}, "decoder"),
    ],
)
def test_every_way_through_the_tree(changed: dict, end: str) -> None:
    assert decision_path({**STUDY, **changed}).path[-1] == end


def test_the_study_took_the_whole_tree() -> None:
    path = decision_path(STUDY)
    assert path.path == ("test0", "run2", "test3", "run3", "run4", "capacity")
    assert "capacity" in path.conclusion
    with pytest.raises(KeyError, match="run3"):
        decision_path({k: v for k, v in STUDY.items() if k != "run3"})


@pytest.mark.parametrize("tree", [TREE, ANSWERED])
def test_tree_is_whole(tree) -> None:
    ids = [node.id for node in tree]
    assert len(set(ids)) == len(ids)
    assert {target for node in tree for _, target in node.exits} | {"test0"} == set(ids)


@pytest.mark.parametrize(
    ("bits", "end"),
    [
        ({"run6": 2.0, "run5": 0.4}, ("run6", "run5", "training")),
        ({"run6": 2.0, "run5": 0.0}, ("run6", "run5", "seeing")),
        ({"run6": 0.0, "run5": 0.4}, ("run6", "open")),
        ({"run6": 2.0}, ("run6", "run5")),
        ({}, ("run6",)),
    ],
)
def test_the_studys_last_box_is_put_to_the_test(bits: dict, end: tuple) -> None:
    some = next(r for r in recorded("run6") if r.data == "flickr8k")
    answers = {
        name: dataclasses.replace(some, metrics={"infonce": {"value": b, "low": b - 0.01, "high": b + 0.01, "n": 150}})
        for name, b in bits.items()
    }
    path = answered_path(STUDY, answers)
    assert path.path == (*decision_path(STUDY).path, *end)
    assert {name: path.verdicts.get(name) for name in bits if name in path.path} == {
        name: f"{b:.2f} bits" for name, b in bits.items() if name in path.path
    }
    assert answered_path({**STUDY, "run3": "WEAK"}, answers) == decision_path({**STUDY, "run3": "WEAK"}), "not reached"


@pytest.mark.parametrize(
    ("bits", "low", "plan_low", "recited", "path"),
    [
        (0.5, 0.3, 0.5, [1.0], "used"),
        (0.5, -0.1, 0.70, [1.0], "listens"),  # an interval that reaches 0 is no yes
        (0.01, 0.005, 0.62, [1.0, 0.9], "way"),
        (0.0, 0.0, 0.62, [1.0, 0.89], "size"),
        (0.0, 0.0, 0.62, [], "free"),
        (0.0, 0.0, None, [1.0], "way"),
    ],
)
def test_every_way_through_the_corrected_tree(bits, low, plan_low, recited, path) -> None:
    run, table = (next(r for r in recorded(name) if r.data == "flickr8k") for name in ("run2", "capacity_table"))
    metrics = {**run.metrics, "infonce": {"value": bits, "low": low, "high": 1.0, "n": 150}}
    metrics |= {"probe_untrained": {"value": 0.63}, "probe_plan": {"value": 0.64, "low": plan_low}}
    if plan_low is None:
        del metrics["probe_plan"]
    run = dataclasses.replace(run, metrics=metrics)
    capacity = [dataclasses.replace(table, metrics={"greedy_exact": {"value": share}}) for share in recited]
    others = [r for r in recorded("capacity_overfit") if r.data == "flickr8k"]  # their failure is no answer
    assert corrected_path(run, [*others, *capacity]).path[-1] == path


def test_the_recorded_runs_end_where_the_audit_says() -> None:
    free = recorded("capacity_table")
    on_photographs = [r for n in ("run1", "run2", "run3", "run4", "run6") for r in recorded(n) if r.data == "flickr8k"]
    for run in on_photographs:
        assert corrected_path(run, free).path[-1] == ("used" if run.experiment == "run6" else "way"), run.experiment
    assert corrected_path(on_photographs[0], free).conclusion == "Large enough: training puts nothing in"
    ids = [node.id for node in CORRECTED]
    assert {target for node in CORRECTED for _, target in node.exits} | {"bits"} == set(ids)
    unscored = dataclasses.replace(on_photographs[0], metrics={})
    with pytest.raises(ValueError, match="not scored"):
        corrected_path(unscored, free)


def test_capacity_is_judged_by_what_comes_back() -> None:
    from vljepa_core.verdicts import capacity_verdict

    assert capacity_verdict(0.90, 0.0, 256).startswith("carries whole captions")
    assert capacity_verdict(0.10, 7.2, 256).startswith("tells captions apart: 90% of 8.0 bits")
    assert capacity_verdict(0.89, 7.19, 256).startswith("not shown")
