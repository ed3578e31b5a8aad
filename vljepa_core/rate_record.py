"""A rate curve: quality against bytes of one trained captioner, as one JSON file that figures and tables read."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vljepa_core.files import write_atomically
from vljepa_core.records import RECORDED, RecordError

FORMAT = 1
GOAL_BYTES = 32  # written before anything was measured: so many bytes, or fewer, ...
KEPT = 0.9  # ... keep this share of the bits and of the CIDEr of the whole plan


@dataclass(frozen=True)
class RateCurve:
    """What arrives at so many bytes.

    Attributes:
        experiment, scale, data, seed, recipe: of the run.
        dataset: name, fingerprint, n_train, n_val.
        weights_sha256: of the run's weights.
        source_hash: of the code that judged (``provenance.source_hash``); rows of other code are measured again.
        scored: validation images a side of the score matrix, for bits and retrieval.
        captioned: validation images with a greedy caption, for CIDEr.
        plan_bytes: K x D numbers in fp16.
        activation_bytes: the visual tokens that a plan is made from, in fp16.
        reference: of the whole plan in fp16, per image: ``bits`` and ``cider``, for paired comparisons.
        rows: one for each codec: kind (plan, text, image, activations, nothing), family, name; bytes (mean of what is
            sent: coded where that is shorter), fixed_bytes, coded_bytes, most_bytes (of one image); infonce, image_r1,
            cider as value, low, high, n; bits_kept and cider_kept, shares of the reference's, likewise, or None where
            the reference has nothing to keep; unique, share of distinct captions.
            An image row that could not be had has ``smallest_bytes``, the fewest at which all images could, instead.
        provenance: as of a record, and seconds spent.
    """

    format: int
    experiment: str
    scale: str
    data: str
    seed: int
    recipe: dict[str, Any]
    dataset: dict[str, Any]
    weights_sha256: str
    source_hash: str
    scored: int
    captioned: int
    plan_bytes: int
    activation_bytes: int
    reference: dict[str, list[float]]
    rows: list[dict[str, Any]]
    provenance: dict[str, Any]

    def row(self, name: str) -> dict[str, Any] | None:
        """The row of that name, or None."""
        return next((row for row in self.rows if row["name"] == name), None)

    def measured(self, *kinds: str) -> list[dict[str, Any]]:
        """Rows of these kinds (of all, if none are named) that could be had."""
        return [row for row in self.rows if "infonce" in row and (not kinds or row["kind"] in kinds)]

    def save(self, path: Path) -> None:
        """Write as JSON, atomically."""
        write_atomically(path, (json.dumps(dataclasses.asdict(self), indent=1) + "\n").encode())


def keeps(row: dict[str, Any], share: float = KEPT) -> bool:
    """Whether a row keeps that share of both bits and CIDEr."""
    kept = (row.get("bits_kept"), row.get("cider_kept"))
    return all(each is not None and each["value"] >= share for each in kept)


def smallest(curve: RateCurve, *kinds: str) -> dict[str, Any] | None:
    """The row with the fewest bytes that ``keeps``; None if there is none."""
    return min((row for row in curve.measured(*kinds) if keeps(row)), key=lambda row: row["bytes"], default=None)


def read_curve(path: Path) -> RateCurve:
    """A rate curve from its file.

    Raises:
        RecordError: not JSON, another format version, or fields missing.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.get("format") != FORMAT:
            raise RecordError(f"{path}: rate format {values.get('format')!r}, this code reads {FORMAT}; delete it")
        return RateCurve(**values)
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError, AttributeError) as error:
        raise RecordError(f"{path}: not a rate curve ({error}); delete it and measure again") from error


def recorded_curves(folder: Path = RECORDED / "rate") -> list[RateCurve]:
    """The committed curves, by data, experiment, scale, size of the plan and seed; empty if there are none."""
    found = [read_curve(path) for path in sorted(folder.glob("*/*.json"))]
    return sorted(found, key=lambda c: (c.data, c.experiment, c.scale, c.plan_bytes, c.seed))
