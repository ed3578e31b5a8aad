"""Checkpoints that survive a kill and know when they are damaged.

A checkpoint is one safetensors file whose name carries its step and the start of its own SHA-256:
``step-00001200-3f9a….safetensors``. It is written under a temporary name, flushed to disk and renamed, so a
file with such a name is whole; if its bytes no longer match its name it is damaged, is named in a message,
and the one before it is used. The loop's state that is not tensors travels as JSON in the file's header.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from vljepa_core.files import write_atomically

KEPT = 2  # the newest, and the one before it in case the newest is damaged
_NAME = re.compile(r"step-(\d{8})-([0-9a-f]{16})\.safetensors")


def save_checkpoint(folder: Path, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> Path:
    """Write a checkpoint and drop all but the newest ``KEPT``; returns its path."""
    data = save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, {"state": json.dumps(state)})
    path = folder / f"step-{step:08d}-{hashlib.sha256(data).hexdigest()[:16]}.safetensors"
    write_atomically(path, data)
    for old in _newest_first(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    for leftover in folder.glob("*.tmp-*"):  # of a process that was killed while writing
        leftover.unlink(missing_ok=True)
    return path


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors and state of the newest undamaged checkpoint; None if there is none."""
    for path in _newest_first(folder):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if not digest.startswith(_NAME.fullmatch(path.name)[2]):
            print(f"{path}: damaged (its contents don't match its checksum); using the one before it", file=sys.stderr)
            path.unlink()
            continue
        with safe_open(path, framework="pt") as f:
            return {name: f.get_tensor(name) for name in f.keys()}, json.loads(f.metadata()["state"])
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted((p for p in folder.glob("step-*") if _NAME.fullmatch(p.name)), reverse=True)
