"""What README and chapters say, as one line of text each, and the records that they speak of."""

from __future__ import annotations

from collections.abc import Iterable

from tests.conftest import REPOSITORY
from vljepa_core.records import Record, recorded
from vljepa_core.sweeps import recorded_sweep


def readme() -> str:
    """The README's text on one line."""
    return " ".join((REPOSITORY / "README.md").read_text().split())


def readme_table(first: str = "989 validation photographs") -> list[list[str]]:
    """The rows of the README's table whose head begins so, cell by cell, without its head."""
    lines = (REPOSITORY / "README.md").read_text().splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    body = lines[head + 2 :]
    rows = body[: next(i for i, line in enumerate(body) if not line.startswith("|"))]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def seeds_of(experiment: str) -> list:
    """The three recorded seeds on photographs at laptop."""
    found = [r for r in recorded(experiment) if (r.data, r.scale) == ("flickr8k", "laptop")]
    assert [r.seed for r in found] == [0, 1, 2]
    return found


def chapter(number: int) -> str:
    """A chapter's text on one line."""
    (path,) = REPOSITORY.glob(f"notebooks/{number:02}_*.py")
    return " ".join(" ".join(line.lstrip("# ") for line in path.read_text().splitlines()).split())


def in_pieces(experiment: str) -> list[Record]:
    """The longer runs in pieces of words, by seed."""
    found = [r for r in recorded_sweep("pieces") if r.experiment == experiment]
    assert [r.seed for r in found] == [0, 1, 2] and {r.provenance["steps"] for r in found} == {4_560}
    return found


def without_memory(experiment: str, vectors: int = 16) -> list[Record]:
    """Runs of 1,000 steps on photographs as they were before their decoder had a memory, by seed."""
    found = [r for r in recorded_sweep("without_memory") if (r.experiment, r.data) == (experiment, "flickr8k")]
    found = [r for r in found if (r.provenance["steps"], r.recipe["plan_vectors"]) == (1_000, vectors)]
    assert len(found) == 3 and not any(r.recipe.get("decoder_memory") for r in found)
    return sorted(found, key=lambda r: r.seed)


def listed(words: Iterable[str]) -> str:
    """``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
