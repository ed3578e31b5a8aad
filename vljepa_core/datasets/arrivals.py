"""Images that have arrived, in one append-only file: whatever ends the process, all but the last is kept.

After a header that says what the file belongs to, records of one length: SHA-256 of the rest of the record,
row, notes (a bit each), pixels. A record that was cut off or damaged doesn't match its SHA-256 and is fetched
again. Records lie in the order in which images happened to arrive; the cache made of them does not.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from vljepa_core.files import writable

NOTES = ("grey", "palette", "transparent", "cmyk", "16-bit", "rotated")  # imaging.decode's; new ones at the end
_PREFIX = struct.Struct("<II")  # row, notes
_SYNC_EVERY = 256


class Arrivals:
    """The open file. ``rows``: the row of every image in it -> its place."""

    def __init__(self, path: Path, key: dict[str, Any], image_size: int) -> None:
        self.path, self.shape = path, (image_size, image_size, 3)
        self.length = 32 + _PREFIX.size + image_size * image_size * 3
        header = b"vljepa arrivals 1\n" + hashlib.sha256(json.dumps(key, sort_keys=True).encode()).digest()
        writable(path.parent)
        self.file = open(path, "a+b", buffering=0)
        self.start = self.end = len(header)
        self.rows: dict[int, int] = {}
        self.damaged = self.unsynced = 0
        self.file.seek(0)
        if self.file.read(len(header)) != header:  # new, or of another sample
            self.file.truncate(0)
            self._write(header)
        else:
            self._scan()

    def _scan(self) -> None:
        with open(self.path, "rb") as f:
            f.seek(self.start)
            while len(record := f.read(self.length)) == self.length:
                if hashlib.sha256(memoryview(record)[32:]).digest() == record[:32]:
                    self.rows[_PREFIX.unpack_from(record, 32)[0]] = self.end
                else:
                    self.damaged += 1
                self.end += self.length
        self.file.truncate(self.end)  # what is left of a record that was cut off

    def add(self, row: int, pixels: np.ndarray, notes: list[str]) -> None:
        """Append one image, uint8 ``(S, S, 3)``.

        Raises:
            OSError: the disk is full, or can't be written; the file is as it was before.
        """
        bits = sum(1 << NOTES.index(note) for note in notes)
        rest = _PREFIX.pack(row, bits) + pixels.tobytes()
        at = self.end
        try:
            self._write(hashlib.sha256(rest).digest() + rest)
            self.end += self.length
            self.unsynced += 1
            if self.unsynced >= _SYNC_EVERY:
                self.sync()
        except OSError as error:
            self.file.truncate(at)
            self.end = at
            raise OSError(
                f"{self.path}: can't be written ({error.strerror}); the {len(self.rows):,} images in it are kept: "
                "free some space and run the same command again"
            ) from error
        self.rows[row] = at

    def get(self, row: int) -> tuple[np.ndarray, list[str]]:
        """Pixels and notes of an image that has arrived."""
        self.file.seek(self.rows[row])  # what is appended goes to the end all the same
        record = self.file.read(self.length)
        if hashlib.sha256(memoryview(record)[32:]).digest() != record[:32]:
            raise OSError(f"{self.path}: damaged since it was written; run the same command again")
        bits = _PREFIX.unpack_from(record, 32)[1]
        pixels = np.frombuffer(record, np.uint8, offset=32 + _PREFIX.size).reshape(self.shape)
        return pixels, [note for i, note in enumerate(NOTES) if bits >> i & 1]

    def sync(self) -> None:
        """Ask the system to put everything on the disk."""
        os.fsync(self.file.fileno())
        self.unsynced = 0

    def close(self) -> None:
        """Close it; everything stays."""
        if not self.file.closed:
            self.sync()
            self.file.close()

    def remove(self) -> None:
        """Close and delete it."""
        self.file.close()
        self.path.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self.file.write(view) :]
