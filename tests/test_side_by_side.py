"""Runs side by side: all are made, a failure is told and stops nobody, and nobody outlives whoever started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.conftest import REPOSITORY
from vljepa_core import jobs
from vljepa_core.__main__ import main
from vljepa_core.commands import run as run_command
from vljepa_core.commands import rungs as rungs_command
from vljepa_core.side_by_side import gpus_to_share, side_by_side, threads_each


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_as_many_at_a_time_as_asked_for_each_with_its_share_of_the_threads(capsys, monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("vljepa_core.side_by_side.cpus", lambda: 6)
    say = "import time, sys, os; s = time.time(); time.sleep(0.5); print(os.environ['OMP_NUM_THREADS'], s, time.time())"
    assert side_by_side(["a", "b", "c", "d"], [python(say)] * 4, 2) == 0
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    spans = [(float(start), float(end)) for _, start, end in told]
    assert len(told) == 4 and {share for share, _, _ in told} == {"3"}
    together = [sum(a <= start < b for a, b in spans) for start, _ in spans]
    assert max(together) == 2


def test_runs_and_sweeps_share_the_cpus_alike_unless_threads_are_given(monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("vljepa_core.side_by_side.cpus", lambda: 6)
    assert [threads_each(runs) for runs in (1, 2, 4, 9)] == [None, 3, 1, 1]
    assert [jobs.Cluster(kind, 2).threads for kind in ("local", "slurm")] == [3, None]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert threads_each(2) is None and jobs.Cluster("local", 2).threads is None


def test_gpus_are_shared_evenly(capsys) -> None:
    say = python("import os, time; time.sleep(0.6); print(os.environ['CUDA_VISIBLE_DEVICES'])")
    assert side_by_side("abcd", [say] * 4, 4, gpus=["1", "3"]) == 0
    assert sorted(capsys.readouterr().out.split()) == ["1", "1", "3", "3"]


def test_gpus_that_this_process_may_use(monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus_to_share("cuda") == ["0", "1", "2"] and gpus_to_share("cuda:1") == gpus_to_share("cpu") == []
    for listed, names in (("2, 5", ["2", "5"]), ("MIG-1", ["MIG-1"]), ("1,-1,0", ["1"]), ("-1", []), ("", [])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
        assert gpus_to_share("cuda") == names


def test_sweeps_want_gpus_by_number(monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    assert jobs._gpus() == [1, 0]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1")
    with pytest.raises(jobs.JobsError, match="MIG-1: give numbers"):
        jobs._gpus()


def test_runs_on_gpus_are_given_all_of_them(data_dir: Path, monkeypatch) -> None:
    asked = []
    for module in (run_command, rungs_command):
        monkeypatch.setattr(module, "side_by_side", lambda *given: asked.append(given) or 0)
    for room in ("estimate", "runs", "train"):  # the last one last: what is imported later would keep this one of its
        monkeypatch.setattr(f"vljepa_core.{room}.choose_device", lambda name: torch.device("cuda"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    place = ["--scale", "smoke", "--data", "shapes", "--jobs", "3"]
    assert main(["run", "run1", "run2", "--no-estimate", *place]) == 0
    assert main(["rungs", "align", "direct", *place]) == 0
    assert [given[-2:] for given in asked] == [(2, ["0", "1"]), (3, ["0", "1"])]


def test_one_that_fails_is_told_with_its_last_words_and_stops_nobody(capsys) -> None:
    commands = [python("raise SystemExit('no space left: free some')"), python("print('noise'); print('b: fine')")]
    assert side_by_side(["a", "b"], commands, 2) == 1
    said = capsys.readouterr()
    assert said.out == "b: fine\n" and "a: failed (exit code 1)" in said.err and "free some" in said.err


def test_what_a_run_says_need_not_be_text(capsys) -> None:
    said = "import sys; sys.stdout.buffer.write(b'caf\\xe9: fine\\n'); sys.exit({})"
    assert side_by_side("ab", [python(said.format(0)), python(said.format(1))], 1) == 1
    told = capsys.readouterr()
    assert told.out == "caf\ufffd: fine\n" and "b: failed (exit code 1)" in told.err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_whoever_stops_it_stops_all(tmp_path: Path, how: signal.Signals) -> None:
    child = f"import os, pathlib, time; pathlib.Path({str(tmp_path)!r}, str(os.getpid())).touch(); time.sleep(60)"
    code = f"from vljepa_core.side_by_side import side_by_side; side_by_side('ab', [{python(child)!r}] * 2, 2)"
    parent = subprocess.Popen(python(code), cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while len(list(tmp_path.iterdir())) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    parent.send_signal(how)
    parent.wait(timeout=20)
    for path in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name), 0)


def test_two_runs_side_by_side_are_the_same_as_one_after_the_other(data_dir: Path, capsys) -> None:
    where = ["run", "run2_blind", "run4_blind", "--scale", "smoke", "--data", "shapes"]
    assert main([*where, "--jobs", "2"]) == 0
    said = capsys.readouterr()
    assert "2 at a time" in said.err and said.out.count("_blind: ") == 2
    made = {path: path.stat().st_mtime_ns for path in data_dir.glob("runs/**/record.json")}
    assert len(made) == 2
    assert main(where) == 0  # loads them
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_experiments_and_rungs_go_side_by_side_the_longest_first(data_dir: Path, monkeypatch, capsys) -> None:
    """In one queue, so that none waits for the last of the others; what is done already is loaded last."""
    place = ["--scale", "smoke", "--data", "shapes", "--seed", "3", "--device", "cpu"]
    assert main(["run", "run1_blind", *place, "--no-estimate"]) == 0
    seconds = {"run2_blind": 3.0, "run2": 5.0, "direct": 4.0}
    asked = []
    monkeypatch.setattr(run_command, "side_by_side", lambda *given: asked.append(given) or 0)

    def told(run, device, jobs):
        direct = run.recipe.plan_reads == "image"
        return seconds["direct" if direct else run.recipe.experiment]

    monkeypatch.setattr("vljepa_core.estimate.estimate_seconds", told)
    capsys.readouterr()
    where = ["run", "run1_blind", "run2_blind", "run2", "--rungs", "direct", *place]
    assert main([*where, "--jobs", "2"]) == 0
    ((names, commands, jobs, gpus),) = asked
    assert gpus == []
    assert names == ["run2", "direct", "run2_blind", "run1_blind"] and jobs == 2
    assert commands[1][2:6] == ["vljepa_core", "rungs", "direct", "--seed"] and commands[1][6] == "3"
    assert commands[0][2:5] == ["vljepa_core", "run", "run2"] and "--no-estimate" in commands[0]
    assert "about 6 s in all, 2 at a time" in capsys.readouterr().err
    assert main([*where, "--set", "K=2"]) == 2 and "leave --rungs out" in capsys.readouterr().err
    assert main([*where[:4], "--rungs", "drect", *place]) == 2 and "did you mean 'direct'" in capsys.readouterr().err


def test_rungs_without_jobs_follow_the_experiments(data_dir: Path, capsys) -> None:
    place = ["--scale", "smoke", "--data", "shapes", "--no-estimate"]
    assert main(["run", "run2_blind", "--rungs", "direct", *place]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("run2_blind: ") and "direct, seed 0: InfoNCE" in out[1]
    assert len(list(data_dir.glob("runs/**/record.json"))) == 2
