"""The checked image cache: whatever is wrong with its files, it is noticed, named and made again."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from vljepa_core.datasets import cache
from vljepa_core.datasets.cache import CacheProblem, open_cache, open_or_build

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
ROWS = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 3), dtype=np.uint8)
KEY = {"preprocessing": "squash/1", "sources": [["a.jpg", 10, 20], ["b.jpg", 30, 40]]}


def build(stem: Path, key: dict = KEY, rows: np.ndarray = ROWS) -> tuple[cache.Cache, int]:
    """The cache, and how many times the builder had to run."""
    calls = []

    def builder(write: cache.Write) -> dict:
        calls.append(1)
        for row in rows:
            write(row)
        return {"rows": len(rows)}

    return open_or_build(stem, key, (4, 4, 3), builder), len(calls)


def test_a_disk_that_is_full_when_the_pixels_are_written_is_named(tmpfs: Path) -> None:
    def builder(write: cache.Write) -> dict:
        write(ROWS)
        return {"captions": "x" * 10_000_000}

    with pytest.raises(OSError, match=r"c\.json: .*free some space"):
        open_or_build(tmpfs / "c", KEY, (4, 4, 3), builder)
    assert not list(tmpfs.glob("*.tmp-*")) and build(tmpfs / "c")[1] == 1


def test_built_once_then_mapped(tmp_path: Path) -> None:
    stem = tmp_path / "deep" / "c"
    first, calls = build(stem)
    again, calls_again = build(stem)
    assert (calls, calls_again) == (1, 0)
    for c in (first, again):
        assert np.array_equal(c.pixels, ROWS) and c.notes == {"rows": 9}
        assert isinstance(c.pixels, np.memmap) and not c.pixels.flags.writeable
    assert first.pixels_sha256 == again.pixels_sha256 == hashlib.sha256(ROWS.tobytes()).hexdigest()
    assert np.array_equal(np.load(stem.with_name("c.npy")), ROWS)  # a plain .npy file for anyone
    assert sorted(p.name for p in stem.parent.iterdir() if p.suffix != ".lock") == ["c.json", "c.npy"]


@pytest.mark.parametrize("rows", [0, 1, 9, 100, 123456])
def test_header_length_does_not_depend_on_rows(rows: int) -> None:
    assert len(cache._npy_header((rows, 64, 64, 3))) == len(cache._npy_header((0, 64, 64, 3)))


def _truncate(file: Path, to: int) -> None:
    os.truncate(file, to)


def _flip_byte(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def _other_format(file: Path) -> None:
    sidecar = json.loads(file.read_text())
    sidecar["format"] += 1
    file.write_text(json.dumps(sidecar))


def _edit_body(file: Path) -> None:
    sidecar = json.loads(file.read_text())
    sidecar["body"]["notes"] = {"rows": 8}
    file.write_text(json.dumps(sidecar))


@pytest.mark.parametrize(
    ("suffix", "damage", "message"),
    [
        (".npy", lambda f: _truncate(f, 300), "300 bytes, not 560 (truncated?)"),
        (".npy", lambda f: _truncate(f, 0), "0 bytes, not 560"),
        (".npy", lambda f: _flip_byte(f, 400), "don't have the SHA-256"),
        (".npy", lambda f: _flip_byte(f, 559), "don't have the SHA-256"),
        (".npy", lambda f: _flip_byte(f, 0), "can't be read"),
        (".npy", lambda f: f.unlink(), "can't be read"),
        (".json", lambda f: f.unlink(), "is missing"),
        (".json", lambda f: _truncate(f, 100), "is damaged"),
        (".json", lambda f: f.write_text("[]"), "is damaged"),
        (".json", lambda f: f.write_bytes(b"\xff\xfe"), "is damaged"),
        (".json", _other_format, "cache format 2, this code reads 1"),
        (".json", _edit_body, "its checksum is wrong"),
    ],
)
def test_damage_is_named_and_repaired(tmp_path: Path, capsys, suffix: str, damage, message: str) -> None:
    stem = tmp_path / "c"
    before = build(stem)[0].pixels_sha256
    damage(stem.with_name("c" + suffix))
    with pytest.raises(CacheProblem, match="c[.](npy|json)"):
        open_cache(stem, KEY)
    capsys.readouterr()
    rebuilt, calls = build(stem)
    said = capsys.readouterr().err
    assert calls == 1 and message in said and "building it again" in said
    assert rebuilt.pixels_sha256 == before and np.array_equal(rebuilt.pixels, ROWS)
    assert build(stem)[1] == 0


def test_every_damaged_pixel_byte_is_noticed(tmp_path: Path) -> None:
    stem = tmp_path / "c"
    build(stem)
    file = stem.with_name("c.npy")
    whole, noted = file.read_bytes(), file.stat()
    for at in range(128, len(whole), 7):
        _flip_byte(file, at)
        os.utime(file, ns=(noted.st_atime_ns, noted.st_mtime_ns))  # as a failing disk would: no new time
        with pytest.raises(CacheProblem):
            open_cache(stem, KEY)
        file.write_bytes(whole)
    open_cache(stem, KEY)


def test_large_files_are_checked_in_full_only_after_a_change(tmp_path: Path, monkeypatch) -> None:
    stem = tmp_path / "c"
    build(stem)
    monkeypatch.setattr(cache, "FULL_CHECK_BYTES", 100)
    monkeypatch.setattr(cache, "_sha256", lambda pixels: pytest.fail("read all pixels of an untouched file"))
    open_cache(stem, KEY)
    monkeypatch.undo()
    monkeypatch.setattr(cache, "FULL_CHECK_BYTES", 100)
    _flip_byte(stem.with_name("c.npy"), 300)
    with pytest.raises(CacheProblem):
        open_cache(stem, KEY)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ({**KEY, "preprocessing": "crop/1"}, "made with preprocessing 'squash/1', now it is 'crop/1'"),
        ({**KEY, "sources": [["a.jpg", 10, 20], ["b.jpg", 31, 40]]}, "changed: ['b.jpg', 30, 40] is now"),
        ({**KEY, "sources": KEY["sources"][:1]}, "its sources are 2, now there are 1"),
        ({**KEY, "new": 1}, "made with new None, now it is 1"),
    ],
)
def test_a_cache_of_something_else_is_not_used(tmp_path: Path, capsys, key: dict, message: str) -> None:
    stem = tmp_path / "c"
    build(stem)
    other = build(stem, key, ROWS[:3])
    assert other[1] == 1 and message in capsys.readouterr().err
    assert np.array_equal(other[0].pixels, ROWS[:3])


def test_an_open_map_survives_a_rebuild(tmp_path: Path) -> None:
    stem = tmp_path / "c"
    old = build(stem)[0]
    build(stem, {**KEY, "new": 1}, ROWS[::-1])
    assert np.array_equal(old.pixels, ROWS)


def test_a_failing_builder_leaves_nothing(tmp_path: Path) -> None:
    def builder(write: cache.Write) -> dict:
        write(ROWS[0])
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        open_or_build(tmp_path / "c", KEY, (4, 4, 3), builder)
    with pytest.raises(FileNotFoundError):
        open_cache(tmp_path / "c", KEY)
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".lock"] == []
    assert build(tmp_path / "c")[1] == 1


def test_wrong_rows_are_refused(tmp_path: Path) -> None:
    for row in (np.zeros((4, 4, 3)), np.zeros((4, 5, 3), np.uint8)):
        with pytest.raises(ValueError, match="expected a uint8 row"):
            build(tmp_path / "c", rows=row[None])


def killed(stem: Path, moment: str) -> int:
    """Build ROWS in a forked child that kills itself, as kill -9 would, at ``moment``; its pid.

    Forked, not started anew: a new interpreter would first spend seconds importing torch.
    """
    if pid := os.fork():
        return pid
    try:

        def die_at(now: str) -> None:
            if now == moment:
                os.kill(os.getpid(), signal.SIGKILL)

        replace, done = os.replace, []

        def counted(source: Path, target: Path) -> None:
            die_at(f"before replace {len(done)}")
            replace(source, target)
            die_at(f"after replace {len(done)}")
            done.append(target)

        def builder(write: cache.Write) -> dict:
            for i, row in enumerate(ROWS):
                die_at(f"row {i}")
                write(row)
            return {"rows": len(ROWS)}

        os.replace = counted
        open_or_build(stem, KEY, (4, 4, 3), builder)
    finally:
        os._exit(1)  # never back into pytest


MOMENTS = ("row 0", "row 5", "before replace 0", "after replace 0", "before replace 1", "after replace 1")


@needs_fork
@pytest.mark.parametrize("over_an_old_cache", [False, True])
def test_killed_at_any_moment(tmp_path: Path, over_an_old_cache: bool) -> None:
    stems = {moment: tmp_path / moment.replace(" ", "-") / "c" for moment in MOMENTS}
    if over_an_old_cache:
        for stem in stems.values():
            build(stem, {**KEY, "old": True}, ROWS[:4])
    for moment, stem in stems.items():
        _, status = os.waitpid(killed(stem, moment), 0)
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, moment
    undisturbed = build(tmp_path / "undisturbed")[0]
    for moment, stem in stems.items():
        c, calls = build(stem)
        assert calls == (moment != "after replace 1"), moment
        assert np.array_equal(c.pixels, ROWS) and c.pixels_sha256 == undisturbed.pixels_sha256
        assert c.notes == undisturbed.notes
        assert sorted(p.name for p in stem.parent.iterdir() if p.suffix != ".lock") == ["c.json", "c.npy"]
