"""On a CUDA GPU: the same code computes the same things, and nothing in a training step waits for the device.

Skipped where PyTorch sees no such GPU.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

import vljepa_core
from tests.conftest import TINY
from vljepa_core import provenance, runs
from vljepa_core.checkpoints import load_checkpoint, save_checkpoint
from vljepa_core.generate import generate
from vljepa_core.objectives import caption_nats
from vljepa_core.plan_probes import score_matrix
from vljepa_core.resident import Resident
from vljepa_core.train import Trainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA GPU here")

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
# Run 3's plan and Run 4's words are dropped at random, on each device in its own way.
NO_DROPOUT = dict(plan_dropout=0.0, word_dropout_rate=0.0)
WAYS = ["run1", "run2", "run3", "run4", "test3", "run5", "run6", "run2_blind", "capacity_table", "capacity_oracle"]
LOOKED_AT = 8  # a step that looks at the model, as those numbered by a power of 2 do; the next seven do not


def trainer(experiment: str, device: torch.device, **changes) -> Trainer:
    """A trainer of a small run on shapes, in float32 unless it says otherwise."""
    recite = {"n_val": 40} if experiment == "capacity_table" else {}
    wanted = {**TINY, **NO_DROPOUT, "precision": "float32", "augment": "none", **recite, **changes}
    if experiment == "run6":
        wanted["image_size"] = 32
    if experiment == "test3":
        wanted |= dict(plan_vectors=3)
    run = runs.prepare(experiment, "smoke", "shapes", **wanted)
    return Trainer(run.recipe, run.examples, 0, device)


def losses(of: Trainer, steps: int) -> list[float]:
    """The training losses of the next steps."""
    found, plain = [], of.loss

    def watched(*batch):
        loss, parts = plain(*batch)
        found.append(loss.detach().clone())
        return loss, parts

    of.loss = watched
    for _ in range(steps):
        of.step()
    of.loss = plain
    return [float(loss) for loss in found]


@pytest.mark.parametrize("experiment", WAYS)
def test_a_gpu_computes_the_loss_and_gradients_of_a_cpu(experiment: str, data_dir: Path) -> None:
    found = []
    for device in (CPU, CUDA):
        one = trainer(experiment, device)
        one._begin_epoch()
        loss, _ = one.loss(one.model, *one.train_data.batch(np.arange(16)))
        loss.backward()
        gradients = {name: q.grad.cpu() for name, q in one.model.named_parameters() if q.grad is not None}
        found.append((loss.item(), gradients))
    (expected, expected_gradients), (loss, gradients) = found
    assert loss == pytest.approx(expected, rel=1e-5)
    assert gradients.keys() == expected_gradients.keys()
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(gradients[name], gradient, rtol=1e-3, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("experiment", ["run2", "run3", "run4", "run5", "run6"])
def test_a_gpu_writes_and_scores_captions_as_a_cpu_does(experiment: str, data_dir: Path) -> None:
    one = trainer(experiment, CUDA, epochs=4)
    for _ in range(9):
        one.step()
    one.model.eval()
    found = []
    for device in (CUDA, CPU):
        model = one.model.to(device)
        split = Resident(one_examples(experiment), device)
        nats, counts, plans = caption_nats(model, split)
        draws = torch.Generator().manual_seed(0)
        captions = [generate(model.decoder, plans, 24), generate(model.decoder, plans, 24, 0.7, draws)]
        found.append((captions, nats, counts, score_matrix(model.decoder, plans, split.ids)))
    (captions, *numbers), (expected_captions, *expected_numbers) = found
    assert captions == expected_captions
    for mine, expected in zip(numbers, expected_numbers, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-4)


def one_examples(experiment: str):
    """Validation examples of ``trainer``'s run."""
    changes = {**TINY, **({"image_size": 32} if experiment == "run6" else {})}
    return runs.prepare(experiment, "smoke", "shapes", **changes).examples["val"]


@pytest.mark.parametrize("experiment", ["run2", "run4", "run5", "run6"])
def test_no_step_waits_for_the_gpu(experiment: str, data_dir: Path) -> None:
    """But for those that begin or end an epoch, or look at the model: PyTorch raises where one would wait."""
    changes = dict(n_train=640, epochs=2, precision="bfloat16", augment="shift" if experiment == "run5" else "none")
    one = trainer(experiment, CUDA, **changes)
    for _ in range(LOOKED_AT + 1):
        one.step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            one.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_check_above_would_notice_a_wait(data_dir: Path) -> None:
    torch.cuda.set_sync_debug_mode("error")
    try:
        with pytest.raises(RuntimeError, match="synchronizing"):
            torch.ones(1, device=CUDA).item()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("experiment", ["run2", "run4", "run5"])
def test_cuda_graphs_train_as_plain_steps_do(experiment: str, data_dir: Path) -> None:
    """``compile=True``: replayed graphs see every batch's data, the gradients are those of eager steps."""
    plain, fast = (trainer(experiment, CUDA, n_train=64, compile=compiled) for compiled in (False, True))
    counters.clear()
    np.testing.assert_allclose(losses(fast, 10), losses(plain, 10), rtol=2e-3)
    assert counters["stats"]["unique_graphs"] == 1, "it was compiled, once"
    for name, expected in plain.model.state_dict().items():
        torch.testing.assert_close(fast.model.state_dict()[name], expected, rtol=0.05, atol=5e-3)


def test_a_run_goes_on_from_its_checkpoint_on_the_gpu(data_dir: Path, tmp_path: Path) -> None:
    """Dropout included, whose random numbers are the GPU's own."""
    changes = dict(plan_dropout=0.2, word_dropout_rate=0.3, epochs=4)
    whole = trainer("run4", CUDA, **changes)
    expected = losses(whole, 8)
    first = trainer("run4", CUDA, **changes)
    before = losses(first, 4)
    save_checkpoint(tmp_path, 4, *first.state())
    torch.manual_seed(1)
    second = trainer("run4", CUDA, **changes)
    second.load_state(*load_checkpoint(tmp_path))
    np.testing.assert_allclose([*before, *losses(second, 4)], expected, rtol=1e-4)


def test_a_record_names_its_gpu(data_dir: Path) -> None:
    record = vljepa_core.run("run2", "smoke", "shapes", **TINY)
    made = record.provenance
    assert (made["device"], made["precision"]) == ("cuda", "bfloat16")
    assert made["gpu"] == torch.cuda.get_device_name() == provenance.gpu(CUDA)
