"""``python -m vljepa_core``: what it prints, and what it says when it can't."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import TINY
from vljepa_core.__main__ import main
from vljepa_core.commands.changes import parse_changes
from vljepa_core.estimate import human_time
from vljepa_core.train import Trainer

SET = ["--set", *(f"{key}={value}" for key, value in {**TINY, "epochs": 1, "warmup_epochs": 0}.items())]


def test_describe_prints_the_published_counts(capsys) -> None:
    assert main(["describe", "run2", "--scale", "paper", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["parameters"]["total"] == 16_930_048
    assert found["plan_bytes"] == 8_192
    assert found["recipe"]["epochs"] == 100
    assert found["flops_per_step"] > 1e11
    memory = found["memory_bytes"]
    assert memory["total"] == sum(v for k, v in memory.items() if k != "total")
    assert memory["weights_gradients_moments"] == 16 * 16_930_048
    assert main(["describe", "run4", "--scale", "paper", "--set", "K=32"]) == 0
    assert "16,384 bytes" in capsys.readouterr().out


def test_run_leaves_a_record_and_then_loads_it(data_dir: Path, capsys) -> None:
    arguments = ["run", "run2", "test3", "--scale", "smoke", "--data", "shapes", *SET]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert out.startswith("run2: ") and "test3: " in out and "to train: run2" in err
    before = {p: p.stat().st_mtime_ns for p in data_dir.glob("runs/*/*/record.json")}
    assert len(before) == 2
    assert main(arguments) == 0
    assert "to train" not in capsys.readouterr().err
    assert {p: p.stat().st_mtime_ns for p in data_dir.glob("runs/*/*/record.json")} == before


def test_a_run_that_fails_is_named_and_does_not_stop_the_others(data_dir: Path, capsys, monkeypatch) -> None:
    def step(trainer: Trainer, step=Trainer.step) -> None:
        if trainer.recipe.experiment == "run2":
            raise FloatingPointError("run2: the training loss is nan in epoch 1")
        if trainer.recipe.experiment == "run3":
            raise torch.OutOfMemoryError("CUDA out of memory")
        step(trainer)

    monkeypatch.setattr(Trainer, "step", step)
    assert main(["run", "run2", "run3", "run1", "--scale", "smoke", "--data", "shapes", *SET]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("run1: ") and "run2: FAILED, run2: the training loss is nan" in err
    assert "run3: no estimate, CUDA" in err
    assert err.splitlines()[-1] == "failed: run2, run3; the same command tries again" and "Traceback" not in err


@pytest.mark.parametrize("error", [FloatingPointError("diverged"), torch.OutOfMemoryError("CUDA out of memory")])
def test_what_does_not_come_off_is_one_line_and_status_1(error: Exception, data_dir: Path, capsys, monkeypatch) -> None:
    raised = [error, RuntimeError("a bug")]
    monkeypatch.setattr("vljepa_core.commands.probe.probe_command", lambda _: (_ for _ in ()).throw(raised.pop(0)))
    assert main(["probe", "run2"]) == 1
    assert capsys.readouterr().err == f"error: {error}\n"
    with pytest.raises(RuntimeError, match="a bug"):
        main(["probe", "run2"])


def test_a_finished_run_is_probed(data_dir: Path, tmp_path: Path, capsys) -> None:
    where = ["run2_blind", "--scale", "smoke", "--data", "shapes"]
    assert main(["probe", *where, *SET]) == 2
    assert "first" in capsys.readouterr().err
    assert main(["run", *where, "--no-estimate", *SET]) == 0
    capsys.readouterr()
    kept = tmp_path / "scores.npy"
    assert main(["probe", *where, "--images", "10", "--scores", str(kept), *SET]) == 0
    out = capsys.readouterr().out
    assert "caption to image, R@1" in out and "by chance 10.0%" in out
    scores = np.load(kept)
    assert scores.shape == (10, 10) and (scores == scores[:, :1]).all()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "run7"], "did you mean 'run"),
        (["run", "run2", "--set", "plan_vector=3"], "did you mean 'plan_vectors'"),
        (["run", "run2", "--set", "K"], "expected KEY=VALUE"),
        (["run", "run2", "--data", "no/such/folder"], "neither a known name"),
        (["run", "run2", "--scale", "smoke", "--data", "shapes", "--device", "cuda"], "CUDA"),
        (["describe", "run2", "--scale", "poster"], "unknown scale"),
    ],
)
def test_what_can_not_be_is_one_line_and_status_2(arguments, says, data_dir: Path, capsys) -> None:
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a CUDA GPU here")
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert says in err and "Traceback" not in err


def test_small_helpers() -> None:
    assert parse_changes(["K=32", "word_dropout=token", "lr=1e-3"]) == {"K": 32, "word_dropout": "token", "lr": 1e-3}
    assert [human_time(s) for s in (42, 180, 7200)] == ["42 s", "3 min", "2.0 h"]


def test_an_option_that_is_given_twice_adds_to_itself(capsys) -> None:
    assert main(["describe", "run2", "--scale", "smoke", "--set", "K=8", "--set", "D=64", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["recipe"]
    assert (found["plan_vectors"], found["dim"]) == (8, 64)
    again = ["--set", "D=64", "--seed", "1", "--data", "scenes", "--scale", "smoke"]
    sweep = ["sweep", "run2", "--dry-run", "--no-estimate", "--set", "K=8,16", "--seed", "0", *again]
    assert main(sweep) == 0
    assert "4 runs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("pairs", "says"),
    [(["K=8", "K=16"], "K is there twice"), (["K=8", "plan_vectors=16"], "K and plan_vectors both set plan_vectors"),
     (["depth=2", "decoder_depth=1"], "depth and decoder_depth both set decoder_depth")],
)  # fmt: skip
def test_a_value_that_is_set_twice_is_refused(pairs: list[str], says: str, capsys) -> None:
    assert main(["describe", "run2", "--set", *pairs]) == 2
    assert says in capsys.readouterr().err
