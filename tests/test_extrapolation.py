"""Curves against images, steps and width: which records are on them, the lines, and where they arrive."""

from __future__ import annotations

import dataclasses

import pytest

from vljepa_core import extrapolation, figures, report
from vljepa_core.extrapolation import Curve, Point
from vljepa_core.goals import GOALS
from vljepa_core.records import Record, recorded


def curve(values: dict[int, float], **changes) -> Curve:
    points = tuple(Point(at, value, value - 0.1, value + 0.1) for at, value in values.items())
    return dataclasses.replace(Curve("steps", "infonce", points, 2.5, 4.5), **changes)


def test_a_straight_line_arrives_where_it_says() -> None:
    """1 bit at 1,000 and half a bit more per doubling: 2.5 bits after three doublings, 4.5 after seven."""
    straight = curve({1000 * 2**i: 1 + 0.5 * i for i in range(4)})
    assert (straight.line()[1], straight.line(3)[1]) == pytest.approx((0.5, 0.5))
    assert straight.reaches(2.5) == pytest.approx((8_000, 8_000))
    assert straight.reaches(4.5) == pytest.approx((128_000, 128_000))


def test_a_curve_that_flattens_is_a_range_and_one_that_falls_is_out_of_sight() -> None:
    flattens = curve({1: 0.0, 2: 1.0, 4: 1.5, 8: 1.8})
    # By hand: through all points 1.075 + 0.59 (x - 1.5), through the last three 1.4333 + 0.4 (x - 2), x doublings.
    assert flattens.reaches(2.5) == pytest.approx((2 ** (1.5 + 1.425 / 0.59), 2 ** (2 + 1.066667 / 0.4)), rel=1e-4)
    three = curve({1: 0.0, 2: 1.0, 4: 1.5})  # x doublings: 0.8333 + 0.75 (x - 1), and through the last two 0.5 + 0.5 x
    assert three.reaches(2.5) == pytest.approx((2 ** (1 + 1.666667 / 0.75), 2**4.0), rel=1e-4)
    assert curve({1: 0.0, 2: 2.0, 4: 1.9}).reaches(2.5) is None, "of three, the last two say no"
    assert curve({1: 3.0, 2: 2.0, 4: 1.0}).reaches(4.0) is None
    assert curve({1: 0.0, 2: 1.0, 4: 0.9, 8: 0.8}).reaches(2.5) is None, "the last points fall"
    assert curve({1: 0.0, 2: 1e-3, 4: 2e-3}).reaches(2.5) is None, "thousands of doublings"


@pytest.fixture
def base() -> Record:
    return next(record for record in recorded("run6") if record.seed == 0)


def changed(record: Record, infonce: float, **changes) -> Record:
    found = {**record.metrics["infonce"], "value": infonce, "low": infonce - 0.1, "high": infonce + 0.1}
    steps = changes.pop("steps", record.provenance["steps"])
    return dataclasses.replace(
        record,
        recipe={**record.recipe, **changes},
        metrics={**record.metrics, "infonce": found},
        provenance={**record.provenance, "steps": steps},
    )


def test_a_record_is_on_the_curve_of_what_was_turned_up(base: Record) -> None:
    records = [
        changed(base, 2.0),
        changed(base, 1.0, n_train=1000, epochs=32, warmup_epochs=4),
        changed(base, 1.5, n_train=2000, epochs=16, warmup_epochs=2),
        changed(base, 2.4, epochs=16, steps=2000),
        changed(base, 2.8, epochs=32, steps=4000),
        changed(base, 1.2, dim=64, heads=2),
        changed(base, 2.2, dim=256, heads=8),
        changed(base, 9.9, dim=256, heads=8, epochs=16, steps=2000),  # two things: on no curve
        changed(base, 9.9, plan_vectors=32),
    ]
    found = {c.along: c for c in extrapolation.curves(records) if c.measure == "infonce"}
    values = {along: {p.at: p.value for p in c.points} for along, c in found.items()}
    assert values == {
        "n_train": {1000: 1.0, 2000: 1.5, 4000: 2.0},
        "steps": {1000: 2.0, 2000: 2.4, 4000: 2.8},
        "dim": {64: 1.2, 128: 2.0, 256: 2.2},
    }
    assert (found["steps"].floor, found["steps"].goal) == (
        GOALS["run6"]["infonce"].floor,
        GOALS["run6"]["infonce"].goal,
    )
    assert not any(c.measure == "gain_over_blind" for c in extrapolation.curves(records)), "no twins were given"
    shown = figures.growth([*found.values()])
    assert "InfoNCE (bits) by optimiser steps: 2 at 1,000, 2.4 at 2,000, 2.8 at 4,000." in shown.alt
    table = report.needed_table([*found.values()]).html
    assert "4,000, measured" in table  # 2.5 bits along the steps
    doublings = (4.5 - 2.8) / 0.4  # from 4,000 steps on
    assert f"{float(f'{4000 * 2**doublings:.2g}'):,.0f}, extrapolated" in table


@pytest.mark.parametrize("backwards", [False, True])
def test_along_images_steps_are_held_whichever_record_comes_first(base: Record, backwards: bool) -> None:
    """Where these two curves are all there is, three records are one value away from all others."""
    records = [
        changed(base, 2.4, epochs=16, steps=2000),
        changed(base, 1.6, epochs=4, steps=500),
        changed(base, 2.0, n_train=4000, epochs=8, steps=1000),
        changed(base, 1.5, n_train=2000, epochs=16, warmup_epochs=2, steps=1008),
        changed(base, 1.0, n_train=1000, epochs=32, warmup_epochs=4, steps=1024),
    ]
    found = extrapolation.curves(records[::-1] if backwards else records)
    bits = {each.along: [point.value for point in each.points] for each in found if each.measure == "infonce"}
    assert bits == {"n_train": [1.0, 1.5, 2.0], "steps": [1.6, 2.0, 2.4]}


def test_what_an_older_core_did_not_have_keeps_no_record_from_its_curve(base: Record) -> None:
    """A record from before ``stem`` was run with patches, as the others; one with convolutions is another run."""
    records = [changed(base, 2.0), *(changed(base, 2.4, epochs=each, steps=125 * each) for each in (16, 32))]
    older = {key: value for key, value in records[1].recipe.items() if key != "stem"}
    assert len(older) < len(base.recipe)
    records[1] = dataclasses.replace(records[1], recipe=older)
    (found,) = (c for c in extrapolation.curves(records) if c.measure == "infonce")
    assert len(found.points) == 3
    records[1] = dataclasses.replace(records[1], recipe={**older, "stem": "convolutions"})
    assert not extrapolation.curves(records)


def test_along_images_are_those_that_there_were(base: Record) -> None:
    records = [changed(base, bits, n_train=n) for n, bits in ((1000, 1.0), (2000, 1.5), (4000, 2.0), (9000, 2.5))]
    records[-1] = dataclasses.replace(records[-1], dataset={**base.dataset, "n_train": 6074})
    found = next(c for c in extrapolation.curves(records) if (c.along, c.measure) == ("n_train", "infonce"))
    assert [point.at for point in found.points] == [1000, 2000, 4000, 6074]


def test_no_point_is_left_out_of_a_column_by_a_measure_that_has_fewer(monkeypatch) -> None:
    drawn = []
    monkeypatch.setattr("vljepa_core.figures.extrapolation.show", lambda fig, *_, **__: drawn.append(fig))
    whole = curve({500: 0.1, 1000: 0.2, 2000: 0.3, 8000: 0.4})
    part = dataclasses.replace(curve({1000: 0.1, 2000: 0.2, 4000: 0.3}), measure="greedy_unique")
    figures.growth([whole, part])
    for ax in drawn[0].axes:
        left, right = ax.get_xlim()
        assert left < 500 and right > 8000 and list(ax.get_xticks()) == [500, 1000, 2000, 4000, 8000]
    with pytest.raises(ValueError, match="one experiment"):
        figures.growth([whole, whole])


def test_seeds_are_averaged_and_other_places_refused(base: Record) -> None:
    more = [changed(base, bits, epochs=epochs, steps=125 * epochs) for epochs, bits in ((16, 2.4), (32, 2.8))]
    other = dataclasses.replace(changed(base, 3.0), seed=1)
    (found,) = (c for c in extrapolation.curves([changed(base, 2.0), other, *more]) if c.measure == "infonce")
    assert found.points[0].value == 2.5
    with pytest.raises(ValueError, match="one experiment on one dataset"):
        extrapolation.curves([base, dataclasses.replace(base, data="scenes")])
    with pytest.raises(ValueError, match="no records"):
        extrapolation.curves([])
    with pytest.raises(ValueError, match="at least one curve"):
        figures.growth([])
