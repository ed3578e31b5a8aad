"""What counts as the same bits: whatever a record held; not what is measured in addition."""

from __future__ import annotations

from benchmarks.same_bits import same


def test_a_new_interval_or_metric_is_no_difference_and_another_number_is() -> None:
    before = {"plan_cosine": {"value": 0.5, "low": None, "high": None, "n": 32}}
    assert same("metrics", before, {"plan_cosine": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 32}, "new": {}})
    assert not same("metrics", before, {"plan_cosine": {"value": 0.51, "low": None, "high": None, "n": 32}})
    assert not same("metrics", before, {})
    bounded = {"plan_cosine": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 32}}
    assert not same("metrics", bounded, {"plan_cosine": {"value": 0.5, "low": 0.4, "high": 0.7, "n": 32}})
    assert same("history", [{"epoch": 1}], [{"epoch": 1}]) and not same("history", [{"epoch": 1}], [])
