"""A record: what a finished run is, as one JSON file that notebooks and the book read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vljepa_core.files import write_atomically
from vljepa_core.provenance import REPOSITORY
from vljepa_core.recipes import changes_of, in_full

FORMAT = 2
RECORDED = REPOSITORY / "data" / "recorded"


class RecordError(ValueError):
    """A record file that can't be read; the message names it and says how to make it again."""


@dataclass(frozen=True)
class Record:
    """A finished run.

    Attributes:
        recipe: flat dictionary of everything the run was asked to do.
        source_hash: of the core's code that computed these numbers (see ``provenance.source_hash``).
        dataset: name, fingerprint, n_train, n_val, source, summary.
        parameters: trainable parameters per room, and their total.
        history: one row per validated epoch, from 0 (random weights, validation only): step, learning rate, losses,
            plan geometry, gradient norm at the encoder.
        metrics: name -> value, low, high (95%, None where not defined), n.
        verdict: label (the report's reading), by_code (the published thresholds), reason.
        captions: image_id, greedy, sampled and nats (of its reference, given its plan) for every validation image, and
            ids of the nearest training images, plan_neighbour and pixel_neighbour; empty for classification.
        confusion: labels and matrix (rows true, columns predicted), or None.
        weights_sha256: of ``weights.safetensors`` beside the record.
        provenance: of the training: commit, dirty, versions, device, precision, threads, started, train_seconds,
            steps; ``judged``: the same of the evaluation, which may be a later one, and in it
            ``infonce`` and ``verbatim``: the commit by which these metrics alone were measured anew, where they were;
            seconds of both.
        timeline: rows at steps 0, 1, 2, 4, 8, ...: step, val_loss, plan geometry on a few images, gradient norm at the
            encoder, all of the weights after that many steps.
        trivial: of a kept record: metric -> what answers score on the run's own captions that see no image, each a
            label and a value (``baselines.with_trivial``).
    """

    format: int
    experiment: str
    scale: str
    data: str
    seed: int
    recipe: dict[str, Any]
    source_hash: str
    dataset: dict[str, Any]
    parameters: dict[str, int]
    history: list[dict[str, float]]
    metrics: dict[str, dict[str, Any]]
    verdict: dict[str, str]
    captions: list[dict[str, Any]]
    confusion: dict[str, Any] | None
    weights_sha256: str
    provenance: dict[str, Any]
    timeline: list[dict[str, float]] = field(default_factory=list)
    trivial: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def value(self, metric: str) -> float:
        """Value of a metric."""
        return self.metrics[metric]["value"]

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_atomically(path, (json.dumps(dataclasses.asdict(self), indent=1) + "\n").encode())


def read_record(path: Path) -> Record:
    """A record from its file.

    Raises:
        RecordError: not JSON, another format version, or fields missing.
    """
    try:
        values = json.loads(path.read_text())
        if values.get("format") != FORMAT:
            raise RecordError(
                f"{path}: record format {values.get('format')!r}, this code reads {FORMAT}; delete it and run again"
            )
        return Record(**values)
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError, AttributeError) as error:
        raise RecordError(f"{path}: not a record ({error}); delete it and run again") from error


def recorded_path(record: Record, folder: Path = RECORDED) -> Path:
    """Where a record is committed: ``data/recorded/<data>/<experiment>-<scale>-seed<n>.json``.

    What it changes of the recipe is part of the name: ``run2-laptop-seed0-K32-word_dropout=token.json``. Where the
    changes don't make a short, plain file name, their checksum tells them apart.
    """
    return path_of_run(record.recipe, record.data, record.seed, folder)


def path_of_run(recipe: dict[str, Any], data: str, seed: int, folder: Path = RECORDED) -> Path:
    """``recorded_path`` of a record that is yet to be made, of a recipe as ``to_dict()`` gives it."""
    parts = [f"{recipe['experiment']}-{recipe['scale']}-seed{seed}"]
    changes = changes_of(recipe)
    parts += [f"{key}{value}" if len(key) < 3 else f"{key}={value}" for key, value in changes.items()]
    name = "-".join(parts)
    plain = re.sub(r"[^A-Za-z0-9=._-]+", "_", name)[:100]
    if plain != name:
        plain += "-" + hashlib.sha256(json.dumps(changes, sort_keys=True).encode()).hexdigest()[:8]
    return folder / data / f"{plain}.json"


def keep(record: Record, path: Path, human: Collection[str] | None = None) -> None:
    """Write a record where it will be committed: without captions that repeat people's.

    A run that was sent its captions, or was measured on those it was trained on, recites them, and any run may have
    learned some by heart. Where the data were not generated by this package they are human captions, and the words of
    such a run stay out; the numbers, ids and nats stay.

    Args:
        record: of a finished run.
        path: of the file.
        human: all captions of the run's data (``human_captions``). With them, what a run learned by heart is left out
            caption by caption, those included of which it could write the beginning alone (``max_new_tokens``,
            ``max_length``); without, all of its words are, as soon as it repeats one.
    """
    if not re.fullmatch(r"shapes|scenes(-level\d)?", record.data):
        theirs = None if human is None else sorted(human)
        record = dataclasses.replace(record, captions=[_own_words(record, row, theirs) for row in record.captions])
    record.save(path)


def human_captions(dataset: Any) -> frozenset[str]:
    """Every caption of a ``datasets.Dataset``, those of images that a run did not draw included: a short sentence of
    everyday words may repeat one by chance."""
    return frozenset(text.strip() for texts in dataset.captions for text in texts)


def _own_words(record: Record, row: dict[str, Any], human: Sequence[str] | None) -> dict[str, Any]:
    """A row of captions without those that are, or may be, people's; ``human`` are all of these, sorted."""
    ways = ("greedy", "sampled")
    recites = record.recipe.get("validate_on") == "train" or record.recipe.get("plan_source") in ("caption", "table")
    if human is None:
        recites |= any(record.metrics.get(f"{way}_verbatim", {"value": 0})["value"] > 0 for way in ways)
    whole = in_full(record.recipe)
    longest = min(whole["max_new_tokens"], whole["max_length"] - 1)  # where ``generate`` stops
    theirs = {way for way in ways if recites or (human is not None and _is_among(human, row.get(way, ""), longest))}
    return {key: value for key, value in row.items() if key not in theirs}


def _is_among(human: Sequence[str], text: str, longest: int) -> bool:
    """Whether a text is one of the sorted ones, or the beginning of one where it has ``longest`` bytes: it was cut."""
    start = text.strip().rstrip("\ufffd")  # what is left of a character that was cut through
    at = bisect_left(human, start)  # what begins with a text comes next to it
    if at == len(human):
        return False
    return human[at] == start or (len(text.encode()) >= longest and human[at].startswith(start))


def recorded(experiment: str, folder: Path = RECORDED) -> list[Record]:
    """The committed records of an experiment, by data, scale and seed; empty if there are none."""
    found = [read_record(path) for path in sorted(folder.glob(f"*/{experiment}-*.json"))]
    return sorted(found, key=lambda r: (r.data, r.scale, r.seed))
