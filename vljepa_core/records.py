"""A record: what a finished run is, as one JSON file that notebooks and the book read."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from vljepa_core.files import write_atomically
from vljepa_core.provenance import REPOSITORY

FORMAT = 1
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
        captions: image_id, greedy, sampled for every validation image; empty for classification.
        confusion: labels and matrix (rows true, columns predicted), or None.
        weights_sha256: of ``weights.safetensors`` beside the record.
        provenance: commit, dirty, versions, device, precision, threads, started, seconds, steps.
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

    def value(self, metric: str) -> float:
        """Value of a metric."""
        return self.metrics[metric]["value"]

    def curves(self) -> pd.DataFrame:
        """The history as a table, one row per epoch, for exploring."""
        return pd.DataFrame(self.history).set_index("epoch")

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
    """Where a record is committed: ``data/recorded/<data>/<experiment>-<scale>-seed<n>.json``."""
    return folder / record.data / f"{record.experiment}-{record.scale}-seed{record.seed}.json"


def recorded(experiment: str, folder: Path = RECORDED) -> list[Record]:
    """The committed records of an experiment, by data, scale and seed; empty if there are none."""
    found = [read_record(path) for path in sorted(folder.glob(f"*/{experiment}-*.json"))]
    return sorted(found, key=lambda r: (r.data, r.scale, r.seed))
