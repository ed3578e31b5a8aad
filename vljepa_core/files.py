"""Where what is made goes, and writing a file so that nobody ever sees half of it."""

from __future__ import annotations

import os
from pathlib import Path

_ELSEWHERE = "VLJEPA_DATA=FOLDER puts what is made here, caches and runs, somewhere else"


def data_dir() -> Path:
    """Where downloads, caches and runs live: ``VLJEPA_DATA``, or ``data/`` of the checkout."""
    return Path(os.environ.get("VLJEPA_DATA") or Path(__file__).resolve().parents[1] / "data")


def writable(folder: Path) -> Path:
    """The folder, made if it isn't there.

    Raises:
        OSError: it can't be made, or nothing can be written into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"{folder}: can't be made ({error.strerror}); {_ELSEWHERE}") from error
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"{folder}: nothing can be written there; {_ELSEWHERE}")
    return folder


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, whole; survives a power cut."""
    writable(path.parent)
    temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    try:
        with open(temporary, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(f"{path}: could not be written ({error}); free some space or check permissions") from error
    finally:  # Ctrl-C may come here, too
        temporary.unlink(missing_ok=True)
