"""Data-parallel training under torchrun: the run of one process, to rounding; resumed; ended when one process dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import REPOSITORY, TINY
from vljepa_core import distributed
from vljepa_core.objectives import diversity_loss
from vljepa_core.records import Record, read_record

# 41 images in batches of 15: 8 and 7 rows, and a last batch of 6 and 5. Enough steps that an error would grow.
SET = {**TINY, "n_train": 41, "batch_size": 15, "epochs": 8, "diversity_weight": 0.5, "label_smoothing": 0.1}
COMMAND = ["-m", "vljepa_core", "run", "{}", "--scale", "smoke", "--data", "shapes", "--no-estimate", "--set"]


def start(folder: Path, processes: int, experiment: str = "run2", **changes) -> subprocess.Popen:
    """The command as a user gives it."""
    command = [part.format(experiment) for part in COMMAND]
    command += [f"{key}={value}" for key, value in {**SET, **changes}.items()]
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", f"--nproc_per_node={processes}", "--standalone"]
    environment = {**os.environ, "VLJEPA_DATA": str(folder), "VLJEPA_CHECKPOINT_SECONDS": "0"}
    return subprocess.Popen([*launcher, *command], cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)  # fmt: skip


def finish(process: subprocess.Popen, folder: Path) -> Record:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out.count("\n") == 1  # one process speaks
    (path,) = folder.glob("runs/*/*/record.json")
    assert not list(folder.glob("runs/*/*/checkpoints"))
    return read_record(path)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = folder.glob("runs/*/*/weights.safetensors")
    return load_file(path)


def assert_same_run(one: tuple[Record, Path], other: tuple[Record, Path]) -> None:
    """The same loss curve and weights, to what float32 sums in another order may differ by."""
    a, b = one[0].history, other[0].history
    assert [row["step"] for row in a] == [row["step"] for row in b]
    for name in ("train_loss", "val_loss", "diversity", "train_accuracy", "encoder_grad_norm"):
        if name in a[-1]:
            x, y = ([row[name] for row in rows[name != "val_loss" :]] for rows in (a, b))
            np.testing.assert_allclose(x, y, rtol=1e-5, err_msg=name)
    mine, theirs = weights(one[1]), weights(other[1])
    apart = torch.cat([(tensor - theirs[name]).abs().flatten() for name, tensor in mine.items()])
    # Where a gradient is all rounding, AdamW makes a whole step of it: few weights, and no further than its steps.
    assert apart.mean() < 5e-6 and apart.max() < one[0].recipe["learning_rate"]


@pytest.mark.parametrize("experiment", ["run2", "test3"])
def test_two_processes_make_the_run_of_one(experiment: str, tmp_path: Path) -> None:
    changes = {} if experiment == "run2" else {"diversity_weight": 0.0}
    folders = {n: tmp_path / str(n) for n in (1, 2)}
    records = {n: finish(start(folder, n, experiment, **changes), folder) for n, folder in folders.items()}
    assert [records[n].provenance["processes"] for n in (1, 2)] == [1, 2]
    assert_same_run(*((records[n], folders[n]) for n in (1, 2)))
    # The number of processes is no part of what a run is: one process loads what two have made.
    before = records[2].provenance["started"]
    assert finish(start(folders[2], 1, experiment, **changes), folders[2]).provenance["started"] == before


def test_killed_and_gone_on_with_another_number_of_processes(tmp_path: Path) -> None:
    """Each process kills its parent's plan in turn: two, one of them killed; then one; then two again."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    changes = {"epochs": 40}
    expected = finish(start(whole, 1, **changes), whole)
    for processes in (2, 1):
        before = steps(cut)
        process = start(cut, processes, **changes)
        while steps(cut) < before + 10:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.02)
        victim = children(process.pid)[-1] if processes == 2 else process.pid
        os.kill(victim, signal.SIGKILL)
        _, err = process.communicate(timeout=60)  # one that dies ends all
        assert process.returncode != 0
        if processes == 2:
            assert "has lost the others" in err or "Signal 9" in err
    assert 0 < steps(cut) < expected.provenance["steps"]
    found = finish(start(cut, 2, **changes), cut)
    assert_same_run((expected, whole), (found, cut))


def test_dropout_resumes_to_the_same_bits(tmp_path: Path) -> None:
    """Run 4 draws dropout masks: every process its own, the same again after a resume."""
    records = []
    for name in ("whole", "cut"):
        folder = tmp_path / name
        if name == "cut":
            process = start(folder, 2, "run4", epochs=40)
            while steps(folder) < 10:
                assert process.poll() is None, process.communicate()[1]
                time.sleep(0.02)
            os.kill(children(process.pid)[0], signal.SIGKILL)
            process.communicate(timeout=60)
        records.append(finish(start(folder, 2, "run4", epochs=40), folder))
    assert records[0].weights_sha256 == records[1].weights_sha256
    assert records[0].history == records[1].history


def test_what_can_not_be_shared_is_said(tmp_path: Path) -> None:
    process = start(tmp_path, 2, n_train=31)  # the last batch of an epoch has one example
    err = process.communicate(timeout=120)[1]
    assert process.returncode != 0
    assert "a batch of 1 examples (the last of an epoch is what remains) for 2 processes" in err


def steps(folder: Path) -> int:
    """Of the newest checkpoint."""
    return max((int(path.name[5:13]) for path in folder.glob("runs/*/*/checkpoints/step-*.safetensors")), default=0)


def children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


# --- the parts, without processes ------------------------------------------------------------------


def test_own_rows_alone_carry_the_whole_gradient_of_the_diversity_loss() -> None:
    """What ``rows_of_all`` counts on: with the other rows held still, the gradient at one's own is the same."""
    torch.manual_seed(0)
    plan = torch.randn(5, 1, 8, requires_grad=True)
    diversity_loss(plan).backward()
    for rows in (slice(0, 3), slice(3, 5)):
        own = plan.detach()[rows].clone().requires_grad_()
        mixed = plan.detach().clone()
        parts = [mixed[: rows.start], own, mixed[rows.stop :]]
        diversity_loss(torch.cat(parts)).backward()
        torch.testing.assert_close(own.grad, plan.grad[rows])


def test_alone_nothing_changes() -> None:
    index = np.arange(7)
    x = torch.randn(3)
    before = x.clone(), torch.get_rng_state()
    assert distributed.rows_of_mine(index) is not None and len(distributed.rows_of_mine(index)) == 7
    assert distributed.rows_of_all(x, distributed.WHOLE) is x
    distributed.sum_over_processes([x])
    distributed.draw_own_dropout(0, 3)
    assert torch.equal(x, before[0]) and torch.equal(torch.get_rng_state(), before[1])
    assert distributed.agree(True) and not distributed.agree(False)
    assert (distributed.rank(), distributed.size()) == (0, 1)
