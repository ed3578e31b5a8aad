"""The benchmark harness runs, measures what it says, and keeps what it measured."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import bench, timing
from benchmarks.table import duration, table
from book import speed
from vljepa_core.describe import step_cost
from vljepa_core.recipes import recipe
from vljepa_core.train import cpu_multiplies_in_bfloat16

CPU = torch.device("cpu")


def test_quick_bench(data_dir: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "bench.json"
    assert bench.main(["--quick", "--device", "cpu", "--runs", "run4", "--json", str(path)]) == 0
    report = json.loads(path.read_text())
    printed = capsys.readouterr().out
    assert len(report["rows"]) == (7 if cpu_multiplies_in_bfloat16() else 4)  # in two precisions, but for the record
    rows = {row["what"]: row for row in report["rows"]}
    assert set(rows) == {"training step", "32 captions, greedy", "32 captions, sampled", "one record, 32 images"}
    for row in report["rows"]:
        assert row["what"] in printed
        for way in ("ours", "published", "ratio"):
            assert 0 < row[way]["least"] <= row[way]["median"] <= row[way]["most"]
        assert row["ratio"]["median"] == pytest.approx(row["published"]["median"] / row["ours"]["median"])  # one round
    step = rows["training step"]
    full = step_cost(recipe("run4", "smoke"))["flops"]  # every caption as long as the longest that there may be
    assert step_cost(recipe("run4", "smoke"), 8)["flops"] < step["flops_per_step"] < full
    assert 0 < step["share_of_peak"] < 1
    assert step["examples_per_second"] < step["bytes_per_second"]


def test_rows_of_the_same_machine_stay_until_they_are_measured_again() -> None:
    def row(scale: str, part: str, value: int) -> dict:
        return {"scale": scale, "part": part, "experiment": "run2", "what": "", "precision": "", "value": value}

    here = {"processor": "this"}
    old = {"machine": here, "rows": [row("laptop", "generate", 1), row("laptop", "train", 1)]}
    new = [row("laptop", "generate", 2), row("paper", "train", 2)]
    assert [r["value"] for r in bench.merged(old, here, new)] == [1, 2, 2]
    assert bench.merged(old, {"processor": "another"}, new) == new
    assert bench.merged({}, here, new) == new


@pytest.mark.parametrize("way", ["bfloat16", "published"])
def test_memory_of_a_way(way: str, data_dir: Path, capsys) -> None:
    bench.measure_memory(way, "run2", "smoke", "cpu", 40)
    mib = json.loads(capsys.readouterr().out)
    assert mib is None or 0 <= mib < 10_000  # here the process has imports and other tests behind it


def test_a_compiled_way_is_of_steps_alone(data_dir: Path) -> None:
    case = bench.Case("run2", "smoke", CPU, 40, ["float32", "bfloat16 compiled"])
    assert case.eager == ["float32"]
    wanted = [(r.recipe.precision, r.recipe.compile) for r in case.runs.values()]
    assert wanted == [("float32", False), ("bfloat16", True)]
    found = {"float32": [2.0], "published": [4.0]}
    assert [row["precision"] for row in bench.rows_of(case, "generate", "captions", found, 1, 1)] == ["float32"]


def test_both_ways_are_given_the_same_batches(data_dir: Path) -> None:
    case = bench.Case("run2", "smoke", CPU, 70, ["float32", "bfloat16"])
    case.train(1)
    case.same_weights()
    coming = case.coming(5)  # 2 batches an epoch
    for precision, trainer in case.trainers.items():
        taken = []
        batch = trainer.train_data.batch
        trainer.train_data.batch = lambda index, to=taken, batch=batch: to.append(index) or batch(index)
        case.train(5, precision)
        assert [index.tolist() for index in taken] == [index.tolist() for index in coming]


def test_ways_take_turns() -> None:
    order = []
    ways = {"a": lambda: order.append("a") or time.sleep(0.02), "b": lambda: order.append("b")}
    found = timing.interleaved(ways, 3, CPU)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert all(took >= 0.02 for took in found["a"]) and max(found["b"]) < 0.02


def test_words_for_numbers() -> None:
    words = ["4.56 s", "45.7 s", "457 s", "12.3 ms", "950 us"]
    assert [duration(s) for s in (4.56, 45.67, 456.7, 0.0123, 9.5e-4)] == words
    assert len(table([])) == 1


def test_peak_is_a_rate_that_a_product_reaches() -> None:
    peak = timing.matmul_peak(CPU, torch.float32, 0.0)
    a = torch.randn(512, 512)
    took = min(timing.seconds(lambda: a @ a, CPU) for _ in range(5))
    assert 0.1 < 2 * 512**3 / took / peak < 10


def test_page_shows_the_record_and_says_what_was_not_measured(tmp_path: Path) -> None:
    nothing = speed.page(tmp_path)
    assert nothing.count("The table is not measured") == nothing.count("Not recorded yet") == 1
    seconds = {"median": 0.5, "least": 0.4, "most": 0.6}
    row = {
        "scale": "laptop", "part": "train", "experiment": "run3", "what": "training step", "precision": "float32",
        "ours": seconds, "published": seconds, "ratio": {"median": 3.25, "least": 3.0, "most": 3.5}, "load": 1.0,
        "examples_per_second": 64.0, "bytes_per_second": 3_400.0, "share_of_peak": 0.7, "measured": "2026-01-01",
        "peak_memory_mib": {"ours": 300.0, "published": None}, "commit": "0123456789ab",
    }  # fmt: skip
    report = {"machine": {"processor": "a processor", "cores": 2}, "rows": [row]}
    (tmp_path / "cpu.json").write_text(json.dumps(report))
    page = speed.page(tmp_path)
    line = next(line for line in page.splitlines() if "training step |" in line)
    assert line.count(" | ") == len(speed.HEAD) - 1  # a pipe within a cell is escaped
    assert "3.2 (3.0 to 3.5)" in line and "70%" in line and "300 \\| not measured" in line
    assert page.count("The table is not measured") == 1 and "shared the machine" not in page
    report["rows"][0]["load"] = 6.0
    (tmp_path / "cpu.json").write_text(json.dumps(report))
    assert "shared the machine" in speed.page(tmp_path)


def test_page_shows_two_processes_that_share_a_batch(tmp_path: Path) -> None:
    assert "Two processes" not in speed.page(tmp_path)
    spread = {"median": 0.5, "least": 0.25, "most": 0.75}
    ways = ("alone", "together", "apart")
    names = ("speedup of two processes", "efficiency", "speedup of two that share nothing", "transfer seconds per step")
    found = {
        **dict.fromkeys(names, spread), "seconds": {way: {"median": s} for way, s in zip(ways, (1, 2, 3), strict=True)},
        "what": "a step", "rounds": 4, "transfer bytes per step": 2**20, "commit": 40 * "a",
        "machine": {"processor": "a processor", "cores": 2},
    }  # fmt: skip
    (tmp_path / "data_parallel.json").write_text(json.dumps(found))
    page = speed.page(tmp_path)
    for line in ("| two processes, together | 2000 ms |", "| scaling efficiency | 50% (25 to 75) |",
                 "| transfer of 1.0 MiB of gradients | 500.0 ms (250.0 to 750.0) |"):  # fmt: skip
        assert line in page


@pytest.mark.parametrize("path", sorted(bench.RECORDED.glob("c*.json")), ids=lambda path: path.name)
def test_recorded_bench_is_whole(path: Path) -> None:
    """What is committed of `make bench`: for each scale all runs trained in all precisions, each ratio with its spread;
    captions of all runs and the evaluation of one, where there are any of that scale."""
    report = json.loads(path.read_text())
    found = {(row["scale"], row["experiment"], row["part"], row["precision"]) for row in report["rows"]}
    scales = {row["scale"] for row in report["rows"]}
    for scale in scales:
        assert {row for row in found if row[0] == scale} >= set(
            itertools.product([scale], bench.RUNS, ["train"], bench.PRECISIONS)
        )
        parts = {row[2] for row in found if row[0] == scale}
        if "generate" in parts:
            assert found >= set(itertools.product([scale], bench.RUNS, ["generate"], bench.PRECISIONS))
        if "evaluate" in parts:
            assert {row[1:] for row in found if row[0] == scale and row[2] == "evaluate"} == {
                ("run2", "evaluate", "float32")
            }
    assert all(row["rounds"] >= 3 and row["scale"] != "smoke" for row in report["rows"])
    assert path.stem == report["machine"]["device"]


def test_the_peak_of_memory_begins_again_when_it_is_forgotten() -> None:
    if timing.memory_now() is None:
        pytest.skip("there is no /proc")
    large = np.ones(64 * 2**20 // 8)
    held, peak = timing.memory_now()
    del large
    now, before = timing.memory_now(forget_peak=True)
    assert peak >= held and before <= peak - 50 and before - now < 10
