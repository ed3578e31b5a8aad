"""A checked cache of uint8 images on disk: ``NAME.npy`` (memory-mapped) and its sidecar ``NAME.json``.

The sidecar says what the pixels belong to (a key), how many there are and their SHA-256. It is written
last and carries a checksum of itself, so whatever a killed build leaves behind is not taken for a cache.
A cache that is damaged, or belongs to other data, is named in a message on stderr and made again.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from vljepa_core.files import writable, write_atomically

FORMAT = 1
QUIET_SECONDS = 10.0  # of waiting for another process: notebooks that are run side by side want one dataset
# Up to this size every opening checks the SHA-256 of all pixels (about a second); a larger file is only
# checked in full when its size or time of change is not the one noted when it was built.
FULL_CHECK_BYTES = 2**30

Write = Callable[[np.ndarray], None]
Build = Callable[[Write], dict[str, Any]]


class CacheProblem(Exception):
    """Why the files at hand can't be used as this cache."""


@dataclass(frozen=True)
class Cache:
    """An open cache: ``pixels`` uint8 (N, S, S, 3), a read-only memory map; ``notes`` of its builder."""

    pixels: np.ndarray
    pixels_sha256: str
    notes: dict[str, Any]


def open_or_build(stem: Path, key: dict[str, Any], row_shape: tuple[int, ...], build: Build) -> Cache:
    """Open the cache at ``stem`` (a path without suffix), or build it.

    One process builds at a time; another that wants the same cache waits and then opens it.

    Args:
        stem: ``stem.npy``, ``stem.json`` and ``stem.lock`` are the files.
        key: what the pixels belong to, JSON values only; any difference makes the cache be built again.
        row_shape: shape of one image.
        build: is given ``write(rows)``, calls it with one image or with several (n, *row_shape) until all are
            written, returns notes (JSON values) to keep.
    """
    try:
        return open_cache(stem, key)
    except FileNotFoundError:
        pass
    except CacheProblem:
        pass  # another process may be replacing it right now: judged again below, under the lock
    with locked(stem):
        try:
            return open_cache(stem, key)
        except FileNotFoundError:
            pass
        except CacheProblem as problem:
            _say(f"cache {_file(stem, '.npy')} can't be used: {problem}; building it again")
        return _build_anew(stem, key, row_shape, build)


def replace(stem: Path, key: dict[str, Any], row_shape: tuple[int, ...], build: Build) -> Cache:
    """Build the cache at ``stem`` even if there is one; ``build`` may read the rows of the old one."""
    with locked(stem):
        return _build_anew(stem, key, row_shape, build)


@contextlib.contextmanager
def locked(stem: Path) -> Iterator[None]:
    """Alone with the files of ``stem``; waits while another process is, and says so if that takes long."""
    writable(stem.parent)
    lock = FileLock(_file(stem, ".lock"))
    try:
        lock.acquire(timeout=QUIET_SECONDS)
    except Timeout:
        _say(f"another process is building {_file(stem, '.npy')}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _build_anew(stem: Path, key: dict[str, Any], row_shape: tuple[int, ...], build: Build) -> Cache:
    for left_over in stem.parent.glob(f"{glob.escape(stem.name)}.*.tmp-*"):
        left_over.unlink(missing_ok=True)  # of a killed builder: we hold the lock, so nobody writes it
    _build(stem, key, row_shape, build)
    return open_cache(stem, key, just_written=True)


def open_cache(stem: Path, key: dict[str, Any], just_written: bool = False) -> Cache:
    """Open and check an existing cache; one that was ``just_written`` without reading all its pixels again.

    Raises:
        FileNotFoundError: there is none.
        CacheProblem: it is damaged, truncated, of another format, or belongs to something else.
    """
    pixel_file, sidecar_file = _file(stem, ".npy"), _file(stem, ".json")
    if not pixel_file.exists() and not sidecar_file.exists():
        raise FileNotFoundError(pixel_file)
    body = _read_sidecar(sidecar_file)
    _compare_keys(body["key"], json.loads(json.dumps(key)))
    try:
        status = pixel_file.stat()
        if status.st_size != body["file_bytes"]:
            raise CacheProblem(
                f"{pixel_file.name} has {status.st_size:,} bytes, not {body['file_bytes']:,} (truncated?)"
            )
        pixels = np.load(pixel_file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CacheProblem(f"{pixel_file.name} can't be read ({error})") from None
    if pixels.dtype != np.uint8 or list(pixels.shape) != body["shape"] or not pixels.flags.c_contiguous:
        raise CacheProblem(f"{pixel_file.name} holds {pixels.dtype} {pixels.shape}, not uint8 {body['shape']}")
    untouched = status.st_mtime_ns == body["mtime_ns"]
    trusted = untouched and (just_written or status.st_size > FULL_CHECK_BYTES)
    if not trusted and _sha256(pixel_file) != body["pixels_sha256"]:
        raise CacheProblem(f"the pixels in {pixel_file.name} don't have the SHA-256 in {sidecar_file.name}")
    return Cache(pixels=pixels, pixels_sha256=body["pixels_sha256"], notes=body["notes"])


def _read_sidecar(sidecar_file: Path) -> dict[str, Any]:
    try:
        sidecar = json.loads(sidecar_file.read_text(encoding="utf-8"))
        found = sidecar["format"]
        body, checksum = sidecar.get("body"), sidecar.get("body_sha256")
    except FileNotFoundError:
        raise CacheProblem(f"{sidecar_file.name} is missing (an unfinished build?)") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise CacheProblem(f"{sidecar_file.name} is damaged") from None
    if found != FORMAT:
        raise CacheProblem(f"{sidecar_file.name} has cache format {found!r}, this code reads {FORMAT}")
    if checksum != _checksum(body):
        raise CacheProblem(f"{sidecar_file.name} is damaged (its checksum is wrong)")
    return body


def _compare_keys(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    if found == wanted:
        return
    for name in [*wanted, *found]:
        a, b = found.get(name), wanted.get(name)
        if a == b:
            continue
        if isinstance(a, list) and isinstance(b, list):
            if len(a) != len(b):
                raise CacheProblem(f"its {name} are {len(a):,}, now there are {len(b):,}")
            changed = next(i for i in range(len(a)) if a[i] != b[i])
            raise CacheProblem(f"{name} changed: {a[changed]!r} is now {b[changed]!r}")
        raise CacheProblem(f"it was made with {name} {a!r}, now it is {b!r}")


def _build(stem: Path, key: dict[str, Any], row_shape: tuple[int, ...], build: Build) -> None:
    """Write both files; each appears under its own name only when complete, the sidecar last."""
    pixel_file, sidecar_file = _file(stem, ".npy"), _file(stem, ".json")
    temporary = _temporary(pixel_file)
    digest, rows = hashlib.sha256(), 0
    try:
        with open(temporary, "wb") as out:
            out.write(_npy_header((0, *row_shape)))

            def write(some: np.ndarray) -> None:
                nonlocal rows
                if some.dtype != np.uint8 or some.shape[-len(row_shape) :] != row_shape:
                    raise ValueError(f"expected a uint8 row (or several) {row_shape}, got {some.dtype} {some.shape}")
                some = np.ascontiguousarray(some)
                digest.update(some)
                out.write(some)
                rows += some.size // math.prod(row_shape)

            notes = build(write)
            out.seek(0)  # only now is the number of images known; the header's length doesn't depend on it
            out.write(_npy_header((rows, *row_shape)))
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, pixel_file)
    except OSError as error:
        if error.filename is None:  # from write(), which doesn't say what it could not write
            raise OSError(f"{pixel_file}: can't be written ({error.strerror}); free some space, run again") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
    status = pixel_file.stat()
    body = {
        "key": key,
        "shape": [rows, *row_shape],
        "file_bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "pixels_sha256": digest.hexdigest(),
        "notes": notes,
    }
    # dumps: several times as fast as dump, which encodes in Python
    text = json.dumps({"format": FORMAT, "body_sha256": _checksum(body), "body": body})
    write_atomically(sidecar_file, text.encode("utf-8"))


def _npy_header(shape: tuple[int, ...]) -> bytes:
    """A .npy header for uint8 of this shape; 128 bytes for any number of rows (numpy pads to 64)."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    header = buffer.getvalue()
    if len(header) != 128:
        raise AssertionError(f"a .npy header of {len(header)} bytes: the rows after it would be misplaced")
    return header


def _sha256(pixel_file: Path) -> str:
    """Of all pixels, read from the file: through the map they would stay in this process's memory."""
    digest, block = hashlib.sha256(), bytearray(2**20)
    with open(pixel_file, "rb", buffering=0) as f:
        f.seek(len(_npy_header((0,))))
        while n := f.readinto(block):
            digest.update(memoryview(block)[:n])
    return digest.hexdigest()


def _checksum(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _file(stem: Path, suffix: str) -> Path:
    return stem.with_name(stem.name + suffix)


def _temporary(file: Path) -> Path:
    return file.with_name(f"{file.name}.tmp-{os.getpid()}")


def _say(message: str) -> None:
    print(message, file=sys.stderr)
