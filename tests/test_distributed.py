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
from vljepa_core import distributed, runs
from vljepa_core.datasets.word_bags import LONGEST
from vljepa_core.model.auxiliary import AuxiliaryHeads
from vljepa_core.objectives import Captioning
from vljepa_core.recipes import recipe
from vljepa_core.records import Record, read_record
from vljepa_core.train import Trainer

# 41 images in batches of 15: 8 and 7 rows, and a last batch of 6 and 5. Enough steps that an error would grow.
SET = {**TINY, "n_train": 41, "batch_size": 15, "epochs": 10, "diversity_weight": 0.5, "label_smoothing": 0.1}
COMMAND = ["-m", "vljepa_core", "run", "run2", "--scale", "smoke", "--data", "shapes", "--no-estimate", "--set"]


def start(folder: Path, processes: int) -> subprocess.Popen:
    """The command as a user gives it."""
    command = [*COMMAND, *(f"{key}={value}" for key, value in SET.items())]
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", f"--nproc_per_node={processes}", "--standalone"]
    environment = {**os.environ, "VLJEPA_DATA": str(folder), "VLJEPA_CHECKPOINT_SECONDS": "0"}
    return subprocess.Popen([*launcher, *command], cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)  # fmt: skip


def finish(process: subprocess.Popen, folder: Path) -> Record:
    out, err = process.communicate(timeout=600)
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


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Path]:
    """The run of one process."""
    folder = tmp_path_factory.mktemp("alone")
    return finish(start(folder, 1), folder), folder


def start_and_kill_one(folder: Path) -> str:
    """Two processes, one of which is killed after some steps; returns what they said."""
    process = start(folder, 2)
    while steps(folder) < 5:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    os.kill(children(process.pid)[-1], signal.SIGKILL)
    _, err = process.communicate(timeout=300)  # one that dies ends all
    assert process.returncode != 0
    return err


def test_two_processes_make_the_run_of_one(alone: tuple[Record, Path], tmp_path: Path) -> None:
    found = finish(start(tmp_path, 2), tmp_path)
    assert (alone[0].provenance["processes"], found.provenance["processes"]) == (1, 2)
    assert_same_run(alone, (found, tmp_path))


def test_killed_it_goes_on_with_another_number_of_processes(alone: tuple[Record, Path], tmp_path: Path) -> None:
    err = start_and_kill_one(tmp_path)
    assert "has lost the others" in err or "Signal 9" in err
    assert 0 < steps(tmp_path) < alone[0].provenance["steps"]
    assert_same_run(alone, (finish(start(tmp_path, 1), tmp_path), tmp_path))


def steps(folder: Path) -> int:
    """Of the newest checkpoint."""
    return max((int(path.name[5:13]) for path in folder.glob("runs/*/*/checkpoints/step-*.safetensors")), default=0)


def children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


# --- the parts, without processes ------------------------------------------------------------------


@pytest.mark.parametrize("experiment", ["run1", "run2", "test3"])
def test_the_terms_of_all_processes_are_the_loss_of_the_batch(experiment: str, data_dir: Path, monkeypatch) -> None:
    """Three processes, one after another in this one: their losses' gradients and reported numbers sum to the whole."""
    changes = {k: v for k, v in SET.items() if experiment != "test3" or k != "diversity_weight"}
    run = runs.prepare(experiment, "smoke", "shapes", 0, **changes)
    trainer = Trainer(run.recipe, run.examples, 0, torch.device("cpu"))
    model, data, index = trainer.model, trainer.train_data, np.arange(11)

    def gradients(rows: np.ndarray, mine: distributed.Part) -> dict[str, torch.Tensor]:
        model.zero_grad(set_to_none=True)
        loss, parts = trainer.objective.loss(model, *data.batch(rows), mine)
        loss.backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None} | parts

    expected = gradients(index, distributed.WHOLE)
    with torch.no_grad():
        plans = model.plan(data.batch(index)[0]).mean(dim=1, keepdim=True)
    totals = {name: torch.zeros_like(value) for name, value in expected.items()}
    monkeypatch.setattr(distributed, "size", lambda: 3)
    for rank in range(3):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        rows = distributed.rows_of_mine(index)

        def rows_of_all(mine: torch.Tensor, part: distributed.Part, rows=rows) -> torch.Tensor:
            return torch.cat([plans[: rows[0]], mine, plans[rows[-1] + 1 :]])

        monkeypatch.setattr(distributed, "rows_of_all", rows_of_all)
        mine = distributed.Part(len(index), data.targets(rows) / data.targets(index))
        for name, value in gradients(rows, mine).items():
            totals[name] += value
    for name, value in expected.items():
        torch.testing.assert_close(totals[name], value, rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


def test_dropout_masks_are_of_seed_process_and_step_alone(monkeypatch) -> None:
    """So that a resumed run draws the same again; process 0 has its random state in the checkpoint."""

    def drawn(rank: int, seed: int, step: int) -> list[float]:
        monkeypatch.setattr(distributed, "rank", lambda: rank)
        torch.manual_seed(5)
        torch.rand(step)  # whatever was drawn before
        distributed.draw_own_dropout(seed, step)
        return torch.rand(4).tolist()

    assert drawn(1, 0, 3) == drawn(1, 0, 3)
    assert len({tuple(drawn(*which)) for which in ((1, 0, 3), (2, 0, 3), (1, 1, 3), (1, 0, 4), (0, 0, 3))}) == 5


def test_a_batch_that_is_too_small_to_share_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(distributed, "size", lambda: 2)
    with pytest.raises(ValueError, match="a batch of 1 examples .* for 2 processes"):
        distributed.rows_of_mine(np.arange(1))


@pytest.mark.parametrize(
    "changes", [{}, {"align": "siglip"}, {"align_memory": 30}], ids=["infonce", "siglip", "earlier captions"]
)
def test_alignment_of_all_processes_is_that_of_the_batch(changes: dict, monkeypatch) -> None:
    """Three processes again: every head has the gradient of the whole batch, the one scale of both sides as well."""
    r = recipe("run2", "smoke", align_weight=1.0, batch_size=15, **changes)
    torch.manual_seed(0)
    heads, objective = AuxiliaryHeads(r), Captioning.__new__(Captioning)
    objective.recipe = r
    plan, words = torch.randn(11, r.plan_vectors, r.dim), torch.randint(1, 2048, (11, LONGEST))
    if heads.earlier is not None:
        heads.earlier.add(torch.randint(1, 2048, (12, LONGEST)))
    start = {name: t.clone() for name, t in heads.state_dict().items()}
    objective._alignment(heads, plan, words, distributed.WHOLE).backward()
    expected = {name: p.grad.clone() for name, p in heads.named_parameters() if p.grad is not None}
    kept = {name: t.clone() for name, t in heads.named_buffers()}
    assert "log_scale" in expected and len(expected) >= 7

    heads.zero_grad(set_to_none=True)
    whole = [*(side.detach() for side in heads.both_sides(plan, words)), words]
    monkeypatch.setattr(distributed, "size", lambda: 3)
    for rank, rows in enumerate(np.array_split(np.arange(11), 3)):
        heads.load_state_dict(start)
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        given = iter(whole)

        def rows_of_all(mine: torch.Tensor, part: distributed.Part, rows=rows, given=given) -> torch.Tensor:
            everyone = next(given)
            return torch.cat([everyone[: rows[0]], mine, everyone[rows[-1] + 1 :]])

        monkeypatch.setattr(distributed, "rows_of_all", rows_of_all)
        part = distributed.Part(11, len(rows) / 11)
        objective._alignment(heads, plan[rows], words[rows], part).backward()  # gradients add up
        assert all(torch.equal(t, kept[name]) for name, t in heads.named_buffers()), "the same memory on each"
    for name, p in heads.named_parameters():
        if name in expected:
            assert torch.allclose(p.grad, expected[name], rtol=1e-4, atol=1e-6), name


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
