"""Runs: resume to the same bits, damaged files, matching, two processes at once, one training loop."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import random
import signal
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from torch._dynamo.testing import CompileCounterWithBackend

import vljepa_core
from tests.conftest import REPOSITORY, TINY
from vljepa_core import checkpoints, provenance, rate, runs, tokenizer
from vljepa_core.blind import gain_over_blind, mismatch, with_gain
from vljepa_core.datasets.selection import select
from vljepa_core.describe import describe
from vljepa_core.features import frozen_network
from vljepa_core.files import writable
from vljepa_core.geometry import plan_geometry
from vljepa_core.metrics import tokenise
from vljepa_core.objectives import Captioning, caption_loss, caption_nats, diversity_loss
from vljepa_core.rate_runs import network_features
from vljepa_core.recipes import RecipeError, recipe
from vljepa_core.records import RecordError, read_record
from vljepa_core.resident import Resident
from vljepa_core.train import Trainer, cpu_multiplies_in_bfloat16, epoch_order, learning_rate_at, steps_of

CPU = torch.device("cpu")


def trainer(experiment: str = "run4", seed: int = 0, **changes) -> Trainer:
    run = runs.prepare(experiment, "smoke", "shapes", seed, **{**TINY, **changes})
    return Trainer(run.recipe, run.examples, seed, CPU)


def same_bits(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def comparable(record) -> dict:
    """What must be equal between an interrupted and an uninterrupted run: all but wall-clock times."""
    return {
        "weights": record.weights_sha256,
        "history": record.history,
        "timeline": record.timeline,
        "metrics": record.metrics,
        "captions": record.captions,
        "confusion": record.confusion,
        "steps": record.provenance["steps"],
    }


# --- losses and schedule -------------------------------------------------------------------------


def test_caption_loss_equals_its_slow_twin() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 260)
    ids = torch.tensor([[1, 70, 80, 2, 0], [1, 90, 2, 0, 0]])
    total, count = 0.0, 0
    for b in range(2):
        for i in range(4):
            target = int(ids[b, i + 1])
            if target == 0:
                continue
            log_p = logits[b, i].double() - torch.logsumexp(logits[b, i].double(), 0)
            wanted = torch.full((260,), 0.1 / 260, dtype=torch.float64)  # label smoothing 0.1
            wanted[target] += 0.9
            total, count = total - float((wanted * log_p).sum()), count + 1
    assert float(caption_loss(logits, ids, 0.1)) == pytest.approx(total / count, rel=1e-5)


def test_diversity_loss_equals_its_slow_twin_and_is_flat_where_plans_coincide() -> None:
    torch.manual_seed(0)
    plan = torch.randn(4, 3, 8)
    pooled = plan.mean(dim=1)
    pairs = [torch.cosine_similarity(pooled[i], pooled[j], dim=0) for i in range(4) for j in range(4) if i != j]
    torch.testing.assert_close(diversity_loss(plan), torch.stack(pairs).mean())

    collapsed = torch.randn(1, 3, 8).repeat(4, 1, 1).requires_grad_()
    loss = diversity_loss(collapsed)
    loss.backward()
    assert loss.item() == pytest.approx(1, abs=1e-6)
    assert collapsed.grad.abs().max() < 1e-6
    antipodal = torch.randn(1, 3, 8) * torch.tensor([1.0, 1.0, -1.0, -1.0]).view(4, 1, 1)
    assert diversity_loss(antipodal).item() == pytest.approx(-1 / 3, abs=1e-6)  # a rank-1 plan, one bit
    assert diversity_loss(plan[:1]) == 0


def test_schedule_is_warmup_then_cosine_per_epoch() -> None:
    r = recipe("run2", "paper")
    rates = [learning_rate_at(r, epoch) for epoch in range(r.epochs)]
    assert rates[:10] == pytest.approx([3e-5 * (i + 1) for i in range(10)])
    model = torch.nn.Linear(1, 1)
    optimiser = torch.optim.SGD(model.parameters(), lr=3e-4)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=90)
    expected = []
    for _ in range(90):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        cosine.step()
    assert rates[10:] == pytest.approx(expected)
    assert learning_rate_at(recipe("test0", "paper"), 0) == 3e-4  # no warm-up


def test_every_example_once_per_epoch_and_steps_counted() -> None:
    assert sorted(epoch_order(41, 3, 0)) == list(range(41))
    assert not np.array_equal(epoch_order(41, 3, 0), epoch_order(41, 3, 1))
    assert not np.array_equal(epoch_order(41, 3, 0), epoch_order(41, 4, 0))
    one = trainer(n_train=41)
    while not one.finished:
        one.step()
    assert one.progress.step == steps_of(one.recipe, 41) == 3 * 3


def test_one_step_is_adamw_on_clipped_gradients() -> None:
    """The loop's step against a plain one: torch's unfused AdamW, gradients clipped by hand."""
    one = trainer("run2", grad_clip=0.01)
    twin = trainer("run2", grad_clip=0.01)
    optimiser = torch.optim.AdamW(
        twin.model.parameters(), lr=learning_rate_at(twin.recipe, 0), weight_decay=0.01, fused=False
    )
    index = epoch_order(len(twin.train_data), 0, 0)[:16]
    loss, _ = twin.objective.loss(twin.model, *twin.train_data.batch(index))
    loss.backward()
    norm = torch.sqrt(sum((p.grad**2).sum() for p in twin.model.parameters()))
    for p in twin.model.parameters():
        p.grad *= min(1.0, 0.01 / (float(norm) + 1e-6))
    optimiser.step()
    one.step()
    for a, b in zip(one.model.parameters(), twin.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


def test_batches_are_cut_from_what_was_tokenised_once() -> None:
    one = trainer("run2")
    index = np.array([5, 0, 7])
    images, ids, labels = one.train_data.batch(index)
    run = runs.prepare("run2", "smoke", "shapes", 0, **TINY)
    assert images.dtype == torch.uint8 and labels is None
    assert np.array_equal(images.numpy(), run.examples["train"].images[index])
    longest = max(len(run.examples["train"].texts[i]) for i in index) + 2
    assert longest <= ids.shape[1] < longest + 8
    assert [tokenizer.decode(row) for row in ids.tolist()] == [run.examples["train"].texts[i] for i in index]


@pytest.mark.skipif(not cpu_multiplies_in_bfloat16(), reason="this CPU does not multiply in bfloat16")
def test_bf16_is_the_same_code_and_nearly_the_same_loss() -> None:
    """What CUDA does by default, tried with the CPU's own autocast: training, validation, cached decoding."""
    losses = []
    for precision in ("auto", "bfloat16"):
        one = trainer("run4", dim=32, precision=precision)
        for _ in range(3):
            one.step()
        losses.append(one.progress.history[-1])
    full, half = losses
    assert half["epoch"] == 1 and half["val_loss"] != full["val_loss"]
    assert half["val_loss"] == pytest.approx(full["val_loss"], rel=0.02)
    assert half["train_loss"] == pytest.approx(full["train_loss"], rel=0.02)


def test_the_timeline_is_of_the_weights_after_so_many_steps_and_changes_nothing() -> None:
    """Row s against a twin that is stopped after s steps; the twin's training is not looked at at all."""
    one = trainer("run4", probe_images=5)
    while not one.finished:
        one.step()
    whole = one.state()[0]
    assert [row["step"] for row in one.progress.timeline] == [0, 1, 2, 4, 8]
    twin = trainer("run4", probe_images=5)
    twin.objective.glance = lambda model: {}
    few = Resident(runs.prepare("run4", "smoke", "shapes", 0, **TINY).examples["val"].first(5), CPU)
    for row in one.progress.timeline:
        while twin.progress.step < row["step"]:
            twin.step()
        nats, counts, plans = caption_nats(twin.model, few)
        assert row["val_loss"] == pytest.approx(nats.sum() / counts.sum())
        assert row["plan_centred_rank"] == pytest.approx(plan_geometry(plans.numpy())["plan_centred_rank"])
        twin.step()  # its gradient is that of the next step, at these weights
        assert twin.progress.timeline[-1]["encoder_grad_norm"] == row["encoder_grad_norm"] > 0
    while not twin.finished:
        twin.step()
    assert same_bits(whole, twin.state()[0])
    blind = trainer("run2_blind")
    blind.step()
    assert "encoder_grad_norm" not in blind.progress.timeline[0]


# --- resume --------------------------------------------------------------------------------------


@pytest.mark.parametrize("experiment", ["run3", "run4", "test3"])
def test_resuming_at_any_step_gives_the_same_bits(experiment: str, tmp_path: Path) -> None:
    whole = trainer(experiment)
    while not whole.finished:
        whole.step()
    for cut in (1, 3, 5):
        first = trainer(experiment)
        for _ in range(cut):
            first.step()
        checkpoints.save_checkpoint(tmp_path, cut, *first.state())
        torch.manual_seed(999)  # a new process knows nothing of the old one's random state
        second = trainer(experiment)
        second.load_state(*checkpoints.load_checkpoint(tmp_path))
        while not second.finished:
            second.step()
        assert same_bits(whole.state()[0], second.state()[0])
        assert whole.progress.history == second.progress.history
        assert whole.progress.timeline == second.progress.timeline


def command(*extra: str) -> list[str]:
    changes = [f"{k}={v}" for k, v in {**TINY, "epochs": 6}.items()]
    return [
        *(sys.executable, "-m", "vljepa_core", "run", "run4", "--scale", "smoke", "--data", "shapes", "--no-estimate"),
        *("--set", *changes, *extra),
    ]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "VLJEPA_DATA": str(folder), "VLJEPA_CHECKPOINT_SECONDS": "0"}


def test_killed_again_and_again_ends_with_the_same_bits(tmp_path: Path) -> None:
    plain, killed = tmp_path / "plain", tmp_path / "killed"
    subprocess.run(command(), cwd=REPOSITORY, env=environment(plain), check=True, capture_output=True)
    dice, kills = random.Random(0), 0
    for _ in range(6):
        process = subprocess.Popen(command(), cwd=REPOSITORY, env=environment(killed), stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not list(killed.glob("runs/*/*/checkpoints/step-*")) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(dice.uniform(0, 0.15))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    subprocess.run(command(), cwd=REPOSITORY, env=environment(killed), check=True, capture_output=True)
    one, other = (read_record(next(folder.glob("runs/*/*/record.json"))) for folder in (plain, killed))
    assert kills > 0
    assert comparable(one) == comparable(other)
    assert not list(killed.rglob("*.tmp-*"))


def test_two_processes_share_one_run(tmp_path: Path) -> None:
    both = [
        subprocess.Popen(command(), cwd=REPOSITORY, env=environment(tmp_path), stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    messages = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len(list(tmp_path.glob("runs/*/*/record.json"))) == 1
    assert sum("waiting for it" in message for message in messages) <= 1


def test_a_finished_run_is_loaded_without_waiting_for_whoever_else_loads_it(data_dir: Path, capfd) -> None:
    """Notebooks that are run side by side load the same runs, and a page shows no word of it."""
    first = runs.run("run4", "smoke", "shapes", **TINY)
    capfd.readouterr()
    with FileLock(runs.prepare("run4", "smoke", "shapes", **TINY).folder / "lock"):  # held by another loader
        assert runs.run("run4", "smoke", "shapes", **TINY) == first
    assert capfd.readouterr() == ("", "")


# --- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(damage: str, tmp_path: Path, capsys) -> None:
    for step in (1, 2, 3):
        path = checkpoints.save_checkpoint(tmp_path, step, {"x": torch.full((100,), float(step))}, {"step": step})
    assert len(list(tmp_path.glob("step-*"))) == checkpoints.KEPT
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-3] ^= 1
    path.write_bytes({"truncate": data[:50], "flip": data, "empty": b""}[damage])
    tensors, state = checkpoints.load_checkpoint(tmp_path)
    assert state == {"step": 2} and torch.equal(tensors["x"], torch.full((100,), 2.0))
    assert path.name in capsys.readouterr().err
    for left in tmp_path.glob("step-*"):
        left.write_bytes(b"nonsense")
    assert checkpoints.load_checkpoint(tmp_path) is None


@pytest.mark.parametrize(
    ("error", "says"), [(OSError("No space left on device"), "record.json.*No space left"), (KeyboardInterrupt(), None)]
)
def test_a_failed_write_leaves_the_old_file(
    error: BaseException, says: str | None, tmp_path: Path, monkeypatch
) -> None:
    path = tmp_path / "record.json"
    checkpoints.write_atomically(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(error))
    with pytest.raises(type(error), match=says):
        checkpoints.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


# --- records -------------------------------------------------------------------------------------


QUICK = {**TINY, "epochs": 1, "warmup_epochs": 0}


def quick(experiment: str = "run2", **changes):
    return vljepa_core.run(experiment, scale="smoke", data="shapes", **{**QUICK, **changes})


def test_a_run_and_its_blind_partner_are_a_pair(data_dir: Path) -> None:
    assert vljepa_core.finished("run2_blind", "smoke", "shapes", **QUICK) == []
    record, blind = quick(), quick("run2_blind")
    assert vljepa_core.finished("run2_blind", "smoke", "shapes", **QUICK) == [blind]
    gain = gain_over_blind(record, blind)
    assert gain.n == 12 and gain.value == pytest.approx(
        sum(b["nats"] - r["nats"] for r, b in zip(record.captions, blind.captions, strict=True)) / 12 / np.log(2)
    )
    assert with_gain(record, [record, blind]).metrics["gain_over_blind"]["value"] == gain.value
    assert with_gain(record, [quick("run2_blind", seed=1)]) is record
    for pretrain, pair in (("text", True), ("align", False)):  # only the first trains the decoder in every epoch
        other = dataclasses.replace(record, recipe={**record.recipe, "pretrain": pretrain, "pretrain_epochs": 1})
        assert (mismatch(other, blind) is None) == pair
    for name in ("shuffle_gap", "mean_plan_gap", "train_shuffle_gap", "infonce"):
        assert blind.value(name) == 0


def test_known_are_the_committed_records_and_what_was_made_here(data_dir: Path, monkeypatch) -> None:
    here = quick()
    committed = [dataclasses.replace(here, metrics={}), dataclasses.replace(here, seed=1)]
    monkeypatch.setattr("vljepa_core.runs.recorded", lambda experiment: committed)
    assert vljepa_core.known("run2", "smoke", "shapes") == committed, "this recipe is another one"
    monkeypatch.setattr("vljepa_core.runs.finished", lambda *place: [here])
    assert vljepa_core.known("run2", "smoke", "shapes") == [here, committed[1]]


def test_a_matching_record_is_loaded_and_nothing_else_is(data_dir: Path, monkeypatch) -> None:
    trained = []
    original = runs.train
    monkeypatch.setattr(runs, "train", lambda *a, **k: trained.append(1) or original(*a, **k))
    first = quick()
    assert quick() == first and len(trained) == 1
    assert quick(fresh=True).metrics == first.metrics and len(trained) == 2
    for different in ({"seed": 1}, {"plan_vectors": 4}, {"n_val": 10}):
        assert quick(**different).metrics != first.metrics
    assert len(trained) == 5
    record = next(data_dir.glob("runs/shapes/run2-smoke-seed1-*/record.json"))
    record.write_text(record.read_text()[:100])  # cut off
    quick(seed=1)
    assert len(trained) == 6


def test_changed_judging_code_judges_again_without_training(data_dir: Path, monkeypatch) -> None:
    monkeypatch.setattr(provenance, "commit", lambda: ("a" * 40, False))
    first = quick()
    original = provenance.source_hash
    monkeypatch.setattr(
        provenance, "source_hash", lambda *rooms: original(*rooms) + "x" * (rooms != provenance.TRAINING)
    )
    monkeypatch.setattr(runs, "train", lambda *a, **k: pytest.fail("trained again"))
    monkeypatch.setattr(provenance, "commit", lambda: ("b" * 40, True))
    again = quick()
    made, judged = again.provenance, again.provenance["judged"]
    assert (made["commit"], made["dirty"]) == ("a" * 40, False) and (judged["commit"], judged["dirty"]) == (
        "b" * 40,
        True,
    )
    assert made["started"] == first.provenance["started"] and first.provenance["judged"]["commit"] == "a" * 40
    assert again.timeline == first.timeline
    assert again.source_hash != first.source_hash
    assert again.metrics == first.metrics and again.history == first.history and again.captions == first.captions
    weights = next(data_dir.glob("runs/*/*/weights.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-4] + b"abcd")

    def trains(*arguments, **options):
        raise RuntimeError("trains")

    monkeypatch.setattr(runs, "train", trains)
    monkeypatch.setattr(
        provenance, "source_hash", lambda *rooms: original(*rooms) + "y" * (rooms != provenance.TRAINING)
    )
    with pytest.raises(RuntimeError, match="trains"):  # damaged weights are not judged
        quick()


def test_versions_are_of_what_is_installed(monkeypatch) -> None:
    def found(name: str) -> str:
        if name == "timm":
            raise PackageNotFoundError(name)
        return f"{name} 1"

    monkeypatch.setattr(provenance, "version", found)
    versions = provenance.versions()
    assert "timm" not in versions and {"scipy", "efficientnet-lite-pytorch", "open_clip_torch"} <= versions.keys()


def test_what_decides_a_number_is_in_a_room_that_is_hashed() -> None:
    """The network that features are of, and where a rate curve has them from."""
    assert Path(inspect.getfile(frozen_network)).name in provenance.TRAINING
    assert Path(inspect.getfile(network_features)).name in rate.ROOMS


def test_other_classes_than_the_datas_are_refused(data_dir: Path) -> None:
    there = runs.prepare("test3", "smoke", "shapes", **QUICK).recipe.classes
    assert runs.prepare("test3", "smoke", "shapes", **QUICK, classes=there).recipe.classes == there
    with pytest.raises(RecipeError, match=f"classes=5: shapes has {there} categories"):
        runs.prepare("test3", "smoke", "shapes", **QUICK, classes=5)


def test_a_frozen_encoder_is_not_trainable_however_often_its_run_is_judged(data_dir: Path, monkeypatch) -> None:
    frozen = dict(visual_training="frozen", plan_reads="image")
    first = quick(**frozen)
    assert first.parameters["visual_encoder"] == 0 < quick().parameters["visual_encoder"]
    original = provenance.source_hash
    monkeypatch.setattr(
        provenance, "source_hash", lambda *rooms: original(*rooms) + "x" * (rooms != provenance.TRAINING)
    )
    monkeypatch.setattr(runs, "train", lambda *a, **k: pytest.fail("trained again"))
    again = quick(**frozen)
    assert again.source_hash != first.source_hash and again.parameters == first.parameters
    run = runs.prepare("run2", "smoke", "shapes", **QUICK, **frozen)
    assert describe(run.recipe)["parameters"] == first.parameters


def test_the_training_loss_is_of_the_weights_that_are_kept(data_dir: Path, monkeypatch) -> None:
    losses = [3.0, 1.0, 2.0]
    validate = Captioning.validate
    monkeypatch.setattr(Captioning, "validate", lambda *of: {**validate(*of), "val_loss": losses.pop(0)})
    record = quick(keep_best=True, epochs=2)
    assert [row["val_loss"] for row in record.history] == [3.0, 1.0, 2.0]
    assert record.value("train_loss") == record.history[1]["train_loss"] != record.history[2]["train_loss"]


def test_changed_training_code_trains_again(data_dir: Path, monkeypatch) -> None:
    quick()
    original = provenance.source_hash
    monkeypatch.setattr(provenance, "source_hash", lambda *rooms: original(*rooms) + "x")
    quick()
    assert len(list(data_dir.glob("runs/shapes/*"))) == 2


def test_source_hash_sees_code_and_not_comments(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)
    room = tmp_path / "room.py"

    def hashed(text: str) -> str:
        room.write_text(text)
        provenance.source_hash.cache_clear()
        return provenance.source_hash("room.py")

    plain = hashed('def f(x):\n    """Old."""\n    return x + 1\n')
    assert hashed('def f(x):\n    """New words."""\n    # why\n    return (x + 1)\n') == plain
    assert hashed("def f(x):\n    return x + 2\n") != plain
    provenance.source_hash.cache_clear()


def test_records_say_where_they_come_from_and_what_is_wrong_with_them(data_dir: Path, tmp_path: Path) -> None:
    record = quick()
    assert record.provenance["device"] == "cpu" and record.provenance["precision"] == "float32"
    assert record.provenance["versions"]["torch"] == torch.__version__.split("+")[0]
    assert record.provenance["steps"] == 3
    assert len(record.captions) == record.dataset["n_val"] == 12
    start, end = record.history  # random weights, and after the one epoch
    assert (start["epoch"], end["epoch"]) == (0, 1) and end["encoder_grad_norm"] > 0
    assert "train_loss" not in start and start["val_loss"] == pytest.approx(np.log(260), rel=0.1)
    assert start["plan_centred_rank"] > 0 and [row["step"] for row in record.timeline] == [0, 1, 2]
    assert record.metrics["image_r1"]["n"] == 12 and record.metrics["train_shuffle_gap"]["n"] == 40
    bits = np.array([row["nats"] for row in record.captions])
    lengths = [
        min(len(text.encode()) + 1, 47)
        for text in runs.prepare("run2", "smoke", "shapes", **QUICK).examples["val"].texts
    ]
    assert bits.sum() / sum(lengths) == pytest.approx(record.value("val_loss"), rel=1e-4)
    assert json.loads(json.dumps(record.recipe)) == record.recipe
    path = tmp_path / "bad.json"
    for text, says in (
        ("{", "not a record"),
        ('{"format": 99}', "format 99"),
        ('{"format": 1}', "format 1, this code reads 2"),
        ('{"format": 2}', "not a record"),
        ("[]", "not a"),
    ):
        path.write_text(text)
        with pytest.raises(RecordError, match=f"bad.json.*{says}"):
            read_record(path)


def test_kept_weights_are_the_trained_ones(data_dir: Path) -> None:
    quick()
    run = runs.prepare("run2", "smoke", "shapes", **{**TINY, "epochs": 1, "warmup_epochs": 0})
    model = runs.load_model(run)
    again = trainer("run2", epochs=1, warmup_epochs=0)
    while not again.finished:
        again.step()
    assert same_bits(dict(model.state_dict()), dict(again.model.state_dict()))


def test_captioning_and_classification_learn_what_can_be_learned(data_dir: Path) -> None:
    """Not a smoke test of shapes: 18 classes of shapes, a minute of training, far above chance."""
    record = vljepa_core.run(
        "test3",
        scale="smoke",
        data="shapes",
        **{**TINY, "n_train": 360, "n_val": 72, "dim": 32, "epochs": 25, "warmup_epochs": 0, "lr": 3e-3},
    )
    assert record.recipe["classes"] == 18
    assert record.value("accuracy") > 0.5
    assert record.history[-1]["train_loss"] < record.history[1]["train_loss"] / 2
    assert sum(map(sum, record.confusion["matrix"])) == 72


def test_a_loss_that_is_no_number_stops_the_run(data_dir: Path) -> None:
    with pytest.raises(FloatingPointError, match="smaller learning_rate"):
        quick(lr=1e12, epochs=3)


def test_selection_is_seeded_and_nested(data_dir: Path) -> None:
    run = runs.prepare("run2", "smoke", "shapes", 0, **TINY)
    again, other = (select(run.dataset, run.recipe, seed) for seed in (0, 1))
    assert again["train"].texts == run.examples["train"].texts
    assert set(again["train"].image_ids).isdisjoint(again["val"].image_ids)
    assert len(other["train"]) == 40


def test_a_step_is_compiled_once_and_not_for_every_epoch(monkeypatch) -> None:
    """A compiler gives up on what it has to compile again and again. With a GPU's shapes, which are always the same."""
    count = CompileCounterWithBackend("eager")
    monkeypatch.setattr("vljepa_core.train.compiled", lambda loss, _: torch.compile(loss, dynamic=False, backend=count))
    monkeypatch.setattr("vljepa_core.objectives.by_length", lambda ids: [(torch.arange(len(ids)), ids)])
    monkeypatch.setattr("vljepa_core.resident.padded_length", lambda longest: 1000)
    torch.compiler.reset()
    fused = trainer("run2", compile=True, n_train=32, epochs=12, pretrain="text", pretrain_epochs=2)
    while not fused.finished:
        fused.step()
    assert count.frame_count == 2  # with and without pretraining


@pytest.mark.parametrize(
    ("experiment", "changes"),
    [("run4", {}), ("test3", {}), ("run2", {"align_weight": 0.3, "align_memory": 16})],
    ids=["run4", "test3", "earlier captions"],
)
def test_a_compiled_step_is_the_same_step(experiment: str, changes: dict, monkeypatch) -> None:
    """Traced as torch.compile traces it, and run without a compiler: what the tracing changes would show here."""
    modes = []

    def traced(loss, dynamic: bool, mode: str):
        modes.append((dynamic, mode))
        return eager_compile(loss, dynamic=dynamic, backend="aot_eager")

    eager_compile = torch.compile
    monkeypatch.setattr(torch, "compile", traced)
    changes = {"word_dropout_rate": 0.0, **changes}  # a compiler draws masks of its own
    plain, fused = trainer(experiment, **changes), trainer(experiment, compile=True, **changes)
    for _ in range(4):
        plain.step()
        fused.step()
    assert modes == [(False, "default")]
    for (name, one), other in zip(plain.model.named_parameters(), fused.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
    assert plain.progress.history[0] == fused.progress.history[0]


def test_outside_a_checkout_the_commit_is_what_one_is_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(provenance, "REPOSITORY", tmp_path)
    for told, found in (("0123abc", "0123abc"), ("", "unknown"), (None, "unknown")):
        monkeypatch.delenv("VLJEPA_COMMIT", raising=False)
        if told is not None:
            monkeypatch.setenv("VLJEPA_COMMIT", told)
        assert provenance.commit() == (found, False)


def test_a_place_that_cannot_be_written_says_where_else(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("VLJEPA_DATA", str(tmp_path / "file"))
    with pytest.raises(OSError, match="file/.*can't be made .*VLJEPA_DATA=FOLDER"):
        runs.run("test0", "smoke", "shapes", progress=False)
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)  # root may write anywhere
    with pytest.raises(PermissionError, match="nothing can be written there; VLJEPA_DATA=FOLDER"):
        writable(tmp_path)


@pytest.mark.parametrize("captions", ["one", "all"])
def test_verbatim_counts_every_caption_that_the_run_was_trained_on(data_dir: Path, captions: str) -> None:
    place = ("run2", "smoke", "scenes:0", 0)
    record = vljepa_core.run(*place, **TINY, captions=captions)
    train = vljepa_core.prepare(*place, **TINY, captions=captions).examples["train"]
    validation = vljepa_core.prepare(*place, **TINY, captions=captions).examples["val"]
    seen = train.references if captions == "all" else [[text] for text in train.texts]
    known = {tokenise(text) for texts in seen for text in texts}
    assert record.value("reference_verbatim") == np.mean([tokenise(text) in known for text in validation.texts])


def test_other_weights_in_the_folder_of_a_network_are_another_run(data_dir: Path, tmp_path: Path) -> None:
    weights = tmp_path / "mine" / "model.safetensors"
    weights.parent.mkdir()

    def folder() -> Path:
        changes = dict(visual=f"timm:local-dir:{weights.parent}", visual_training="frozen", **TINY)
        return vljepa_core.prepare("run2", "smoke", "shapes", 0, features=False, **changes).folder

    without = folder()
    weights.write_bytes(b"before")
    first = folder()
    weights.write_bytes(b"after")
    assert len({without, first, folder()}) == 3
    weights.write_bytes(b"before")
    assert folder() == first
