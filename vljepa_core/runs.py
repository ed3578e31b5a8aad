"""From a recipe to a record: load what is finished, resume what was cut off, train what is missing."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from safetensors.torch import load, save

from vljepa_core import distributed, provenance
from vljepa_core.datasets import Dataset, load_dataset
from vljepa_core.datasets.selection import Examples, select
from vljepa_core.describe import parameters_by_room
from vljepa_core.features import cached_features, frozen_network
from vljepa_core.files import data_dir, writable, write_atomically
from vljepa_core.model.vljepa import VLJEPA
from vljepa_core.recipes import Recipe, RecipeError, recipe
from vljepa_core.records import FORMAT, Record, RecordError, read_record, recorded
from vljepa_core.train import Trained, choose_device, precision_of, train


@dataclass(frozen=True)
class Prepared:
    """A run before it is run: its recipe, its data, its examples, and the folder that is its own.

    ``features``: of all images of the dataset, where a frozen network's stand for them.
    """

    recipe: Recipe
    dataset: Dataset
    examples: dict[str, Examples]
    data: str
    seed: int
    folder: Path
    features: np.ndarray | None = None


def prepare(
    experiment: str,
    scale: str = "laptop",
    data: str = "scenes",
    seed: int = 0,
    progress: bool = False,
    features: bool = True,
    **changes: Any,
) -> Prepared:
    """Recipe, data and examples of a run. Its folder is keyed on recipe, data, seed and the training code.

    ``features``: whether what a frozen network sees is wanted; where it isn't in the cache yet it takes minutes, and
    who asks for the folder or the captions only does well without.

    Raises:
        RecipeError, DataError: what is asked for can't be.
    """
    wanted = recipe(experiment, scale, **changes)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed={seed!r}: a whole number from 0, e.g. seed=1")
    dataset = load_dataset(data, wanted, data_dir() / "cache", progress)
    if wanted.objective == "classify":
        there = len(dataset.categories)
        if changes.get("classes", there) != there:
            raise RecipeError(f"classes={changes['classes']}: {dataset.name} has {there} categories; leave classes out")
        wanted = dataclasses.replace(wanted, classes=there)
    key = hashlib.sha256()
    for part in (wanted.to_json(), dataset.fingerprint, str(seed), provenance.source_hash(*provenance.TRAINING)):
        key.update(part.encode())
    key.update(_network_on_disk(wanted.visual))
    folder = data_dir() / "runs" / dataset.name / f"{experiment}-{scale}-seed{seed}-{key.hexdigest()[:12]}"
    run = Prepared(wanted, dataset, select(dataset, wanted, seed), dataset.name, seed, folder)
    return with_features(run, progress) if features else run


def _network_on_disk(visual: str) -> bytes:
    """Digest of the folder that ``timm:local-dir:FOLDER`` names, whose weights may become others under one name; empty
    for a network that a package or a hub holds, and where there is no such folder, which is said when it is loaded."""
    folder = Path(visual.partition("local-dir:")[2] or os.devnull)
    if not folder.is_dir():
        return b""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with open(path, "rb") as file:
            for part in iter(lambda: file.read(2**20), b""):
                found.update(part)
    return found.digest()


def with_features(run: Prepared, progress: bool = False) -> Prepared:
    """The run with what its frozen network sees, if it has one."""
    if run.features is not None or not run.recipe.frozen_features:
        return run
    seen = _features(run.recipe, run.dataset, progress)
    return dataclasses.replace(run, examples=select(run.dataset, run.recipe, run.seed, seen), features=seen)


def _features(recipe: Recipe, dataset: Dataset, progress: bool) -> np.ndarray:
    """What the recipe's frozen network sees in all images of a dataset: float16 (N, P, C), computed once."""
    network, folder = frozen_network(recipe, dataset), data_dir() / "cache" / "features"
    return cached_features(network, dataset.images, folder, dataset.fingerprint, progress)


def finished_record(folder: Path) -> Record | None:
    """The record of a finished run, if it is in its folder and was judged by today's code; None otherwise.

    One that can't be read is named on stderr.
    """
    try:
        record = read_record(folder / "record.json")
    except FileNotFoundError:
        return None
    except RecordError as error:
        print(f"{error}; not used, and made again with the next run", file=sys.stderr)
        return None
    return record if record.source_hash == provenance.core_hash() else None


def finished(
    experiment: str, scale: str = "laptop", data: str = "scenes", seed: int = 0, **changes: Any
) -> list[Record]:
    """The record of a run if it was made here and still holds, as a list of one; else an empty one. Trains nothing."""
    record = finished_record(prepare(experiment, scale, data, seed, features=False, **changes).folder)
    return [] if record is None else [record]


def known(experiment: str, scale: str = "laptop", data: str = "scenes", seed: int = 0) -> list[Record]:
    """All records of an experiment as it is named: the one made here, if it was made, and the committed ones of other
    data, scales and seeds. Trains nothing."""
    made = finished(experiment, scale, data, seed)
    places = [(r.data, r.scale, r.seed) for r in made]
    return made + [r for r in recorded(experiment) if (r.data, r.scale, r.seed) not in places]


def run(
    experiment: str,
    scale: str = "laptop",
    data: str = "scenes",
    seed: int = 0,
    *,
    device: str | None = None,
    fresh: bool = False,
    progress: bool | None = None,
    **changes: Any,
) -> Record:
    """The record of an experiment: loaded if one matches, else trained, evaluated and kept.

    A record matches if recipe, data fingerprint, seed and the hash of the core's own code are the same. A run
    that was killed goes on from its last checkpoint. Two processes that ask for the same run wait for each
    other; the second one loads what the first has made. Under torchrun all processes make it together.

    Args:
        experiment: one of ``recipes.EXPERIMENTS``: the study's six, Run 5 or 6, a blind twin or a control.
        scale: ``smoke``, ``laptop`` or ``paper``.
        data: ``scenes``, ``scenes:LEVEL``, ``shapes``, ``coco`` or a folder with COCO captions.
        seed: of the caption draw, initial weights, order and sampling.
        device: ``cpu``, ``cuda`` or ``mps``; the best there is by default.
        fresh: forget an earlier record and checkpoints of this very run.
        progress: a progress bar on stderr; by default unless ``VLJEPA_QUIET`` is set.
        changes: recipe values, e.g. ``plan_vectors=32`` (or ``K=32``).
    """
    if progress is None:
        progress = not os.environ.get("VLJEPA_QUIET")
    progress = progress and distributed.rank() == 0
    prepared = prepare(experiment, scale, data, seed, progress, features=False, **changes)
    on = distributed.join(choose_device(device))
    if distributed.rank() > 0:
        return _help(prepared, on)
    lock = FileLock(writable(prepared.folder) / "lock")
    if not fresh and (record := finished_record(prepared.folder)) is not None:  # several may load it at once
        distributed.agree(False)
        distributed.agree()
        return record
    try:
        held = lock.acquire(blocking=False)
    except Timeout:
        print(f"{prepared.folder}: another process is making this run; waiting for it", file=sys.stderr)
        held = lock.acquire()
    with held:
        if fresh:
            _forget(prepared.folder)
        elif (record := finished_record(prepared.folder)) is not None:
            distributed.agree(False)
            distributed.agree()
            return record
        record = _make(with_features(prepared, progress), on, progress)
        distributed.agree()
        return record


def _help(run: Prepared, device: torch.device) -> Record:
    """What the processes after the first one do (``distributed``): train along, if there is something to train."""
    if distributed.agree():
        run = with_features(run)
        train(run.recipe, run.examples, run.seed, device, run.folder / "checkpoints", show_progress=False)
    distributed.agree()  # the record is written
    return read_record(run.folder / "record.json")


def _make(run: Prepared, device: torch.device, progress: bool) -> Record:
    # Here, because it imports scikit-learn, which takes longer than PyTorch: who only loads records need not wait.
    from vljepa_core.evaluate import evaluate

    # Of the code that runs, not of what the checkout has become when the run is over.
    now = provenance.origin(device, precision_of(run.recipe, device), distributed.size())
    where = now["gpu"] or f"{now['threads']} threads"
    if progress:
        print(
            f"{run.recipe.experiment} at {run.recipe.scale} on {run.data}, seed {run.seed}: {device.type} ({where}), "
            f"{now['precision']}",
            file=sys.stderr,
        )
    trained, origin = _trained_before(run, device) or (None, now)
    if distributed.agree(trained is None):
        trained = train(run.recipe, run.examples, run.seed, device, run.folder / "checkpoints", progress)
    clock = time.monotonic()
    # In float32, whatever it was trained in: bits are differences of nats, and bfloat16 would round them.
    judged = evaluate(trained.model, run.recipe, run.examples, run.dataset.categories, run.seed)
    seconds = trained.seconds + time.monotonic() - clock
    weights = save({name: t.cpu().contiguous() for name, t in trained.model.state_dict().items()})
    write_atomically(run.folder / "weights.safetensors", weights)
    # The row of the weights that were judged: with keep_best not always the last epoch's.
    of_weights = trained.history[-1]
    if run.recipe.keep_best:
        of_weights = min(trained.history, key=lambda row: row["val_loss"])
    record = Record(
        format=FORMAT,
        experiment=run.recipe.experiment,
        scale=run.recipe.scale,
        data=run.data,
        seed=run.seed,
        recipe=run.recipe.to_dict(),
        source_hash=provenance.core_hash(),
        dataset={
            "name": run.dataset.name,
            "fingerprint": run.dataset.fingerprint,
            "n_train": len(run.examples["train"]),
            "n_val": len(run.examples["val"]),
            "source": run.dataset.source,
            "summary": run.dataset.summary,
        },
        parameters=parameters_by_room(trained.model),
        history=trained.history,
        metrics={
            **{name: dataclasses.asdict(metric) for name, metric in judged.metrics.items()},
            "train_loss": {
                "value": of_weights.get("train_loss"),  # none at epoch 0
                "low": None,
                "high": None,
                "n": len(run.examples["train"]),
            },
        },
        verdict=dataclasses.asdict(judged.verdict),
        captions=judged.captions,
        confusion=judged.confusion,
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        provenance={
            **origin,
            "seconds": seconds,
            "train_seconds": trained.seconds,
            "steps": trained.steps,
            "judged": now,
        },
        timeline=trained.timeline,
    )
    record.save(run.folder / "record.json")
    shutil.rmtree(run.folder / "checkpoints", ignore_errors=True)
    return record


def _trained_before(run: Prepared, device: torch.device) -> tuple[Trained, dict[str, Any]] | None:
    """The finished model of an older record of this run, when only the judging code has changed since; its origin."""
    try:
        old = read_record(run.folder / "record.json")
        data = (run.folder / "weights.safetensors").read_bytes()
    except (FileNotFoundError, RecordError):
        return None
    if hashlib.sha256(data).hexdigest() != old.weights_sha256:
        print(f"{run.folder / 'weights.safetensors'}: damaged (checksum); training again", file=sys.stderr)
        return None
    model = VLJEPA(run.recipe).to(device)
    model.load_state_dict(load(data))
    made = old.provenance
    trained = Trained(model, old.history, old.timeline, made["steps"], made["train_seconds"])
    return trained, {key: made[key] for key in provenance.ORIGIN if key in made}  # older ones have fewer


def load_model(run: Prepared) -> VLJEPA:
    """The trained model of a finished run, on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError: the run has not been made here.
    """
    path = run.folder / "weights.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"{path}: run {run.recipe.experiment} at {run.recipe.scale} first")
    model = VLJEPA(run.recipe)
    model.load_state_dict(load(path.read_bytes()))
    return model.eval()


def _forget(folder: Path) -> None:
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    for name in ("record.json", "weights.safetensors"):
        (folder / name).unlink(missing_ok=True)
