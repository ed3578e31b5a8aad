"""Transfers from a server on loopback that misbehaves: the right bytes in the end, or an error that helps."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.coco_server import CocoServer
from vljepa_core.datasets.fetch import Fetcher, FetchError, Patience, Wrong

DATA = np.random.default_rng(5).bytes(200_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
HURRIED = Patience(attempts=4, first_wait=0.01, longest_wait=0.05, connect=2.0, stall=0.4, slowest=10_000.0)


@pytest.fixture
def server() -> Iterator[CocoServer]:
    server = CocoServer({"file": DATA, "other": b"other"})
    yield server
    server.stop()


def to_file(server: CocoServer, target: Path, path: str = "file", patience: Patience = HURRIED, **options) -> None:
    async def run() -> None:
        async with Fetcher(patience) as fetcher:
            await fetcher.fetch_to(f"{server.url}/{path}", target, **options)

    asyncio.run(run())


def to_memory(server: CocoServer, path: str = "file") -> bytes:
    async def check(data: bytes) -> bytes:
        if hashlib.sha256(data).hexdigest() != SHA256:
            raise Wrong("other bytes")
        return data

    async def run() -> bytes:
        async with Fetcher(HURRIED) as fetcher:
            return await fetcher.fetch(f"{server.url}/{path}", check)

    return asyncio.run(run())


PASSING = [
    ["reset"],
    ["cut"],
    ["reset", "reset", "reset"],
    ["stall"],
    ["trickle"],
    ["500"],
    ["503", "500"],
    ["429=1"],
    ["date"],
    ["html"],
    ["html-as-jpeg"],
    ["short"],
    ["damaged"],
    ["redirect"],
    ["ignore-range"],
    ["reset", "ignore-range"],  # half of it is there, and the server begins anew
    ["cut", "500", "html", "reset"],
]


@pytest.mark.parametrize("wrong", PASSING, ids="-".join)
def test_a_server_that_recovers(server: CocoServer, tmp_path: Path, wrong: list[str]) -> None:
    patience = Patience(**{**HURRIED.__dict__, "attempts": len(wrong) + 1})
    server.wrong["file"] = [*wrong, *[""] * 20]
    to_file(server, tmp_path / "f", patience=patience, sha256=SHA256)
    assert (tmp_path / "f").read_bytes() == DATA
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    server.wrong["file"] = [*wrong, *[""] * 20]
    if len(wrong) < 4 and wrong != ["date"]:
        assert to_memory(server) == DATA


FAILING = [
    ("404", "answers 404", "check --base-url"),
    ("500", "answers 500", "run the same command again"),
    ("429=0", "answers 429", "run the same command again"),
    ("429=90000", "asks to wait 90,000 s", "run the same command again then"),
    ("html", "sends a web page instead of the file", "run the same command again"),
    ("html-as-jpeg", "its SHA-256 is", "another or a damaged file"),
    ("short", "its SHA-256 is", "another or a damaged file"),
    ("damaged", "its SHA-256 is", "another or a damaged file"),
    ("stall", "no answer in time", "run the same command again"),
    ("circle", "redirects", "check the address"),
]


@pytest.mark.parametrize(("wrong", "reason", "advice"), FAILING, ids=[row[0] for row in FAILING])
def test_a_server_that_does_not(server: CocoServer, tmp_path: Path, wrong: str, reason: str, advice: str) -> None:
    server.wrong["file"], server.forever = [wrong], True
    with pytest.raises(FetchError) as caught:
        to_file(server, tmp_path / "f", sha256=SHA256)
    said = str(caught.value)
    assert f"{server.url}/file" in said and reason.lower() in said.lower() and advice in said
    assert not (tmp_path / "f").exists()
    server.wrong = {}
    to_file(server, tmp_path / "f", sha256=SHA256)  # what it left behind is no obstacle
    assert (tmp_path / "f").read_bytes() == DATA


def test_nobody_there(tmp_path: Path, server: CocoServer) -> None:
    server.stop()
    with pytest.raises(FetchError, match="4 attempts.*run the same command again"):
        to_file(server, tmp_path / "f")


def test_another_checksum_is_named(server: CocoServer, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=f"SHA-256 is {SHA256}, expected {'0' * 64} .3 times"):
        to_file(server, tmp_path / "f", sha256="0" * 64)
    assert not (tmp_path / "f").exists()


def test_a_part_is_resumed_by_the_next_process(server: CocoServer, tmp_path: Path) -> None:
    server.wrong["file"] = ["cut", "404"]
    with pytest.raises(FetchError):
        to_file(server, tmp_path / "f")
    assert (tmp_path / "f.part").stat().st_size == len(DATA) // 2
    to_file(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == DATA
    assert [asked for _, asked, _ in server.asked] == [None, "bytes=100000-", "bytes=100000-"]


@pytest.mark.parametrize("changed", [b"x" + DATA[1:], DATA[:1000], DATA + DATA], ids=["same length", "short", "long"])
def test_a_part_of_a_file_that_has_changed_is_not_resumed(server: CocoServer, tmp_path: Path, changed: bytes) -> None:
    server.wrong["file"] = ["cut", "404"]
    with pytest.raises(FetchError):
        to_file(server, tmp_path / "f")
    server.files["file"] = changed
    to_file(server, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == changed


def test_a_part_of_another_address_is_not_resumed(server: CocoServer, tmp_path: Path) -> None:
    server.wrong["file"] = ["cut", "404"]
    with pytest.raises(FetchError):
        to_file(server, tmp_path / "f")
    to_file(server, tmp_path / "f", path="other")
    assert (tmp_path / "f").read_bytes() == b"other"


def test_killed_between_the_last_byte_and_the_name(server: CocoServer, tmp_path: Path) -> None:
    server.wrong["file"] = ["cut", "404"]
    with pytest.raises(FetchError):
        to_file(server, tmp_path / "f")
    (tmp_path / "f.part").write_bytes(DATA)
    to_file(server, tmp_path / "f", sha256=SHA256)
    assert (tmp_path / "f").read_bytes() == DATA
    assert server.asked[-1][1] == f"bytes={len(DATA)}-"  # answered 416: nothing came twice


def test_retry_after_is_heeded_by_all_transfers(server: CocoServer) -> None:
    server.files.update({f"n{i}": DATA for i in range(12)})
    server.wrong["n0"] = ["429=1"]

    async def run() -> None:
        async def check(data: bytes) -> None:
            assert data == DATA

        async with Fetcher(HURRIED, connections=4) as fetcher:
            await fetcher.fetch(f"{server.url}/n1", check)
            first = asyncio.create_task(fetcher.fetch(f"{server.url}/n0", check))
            while fetcher.not_before == 0:
                await asyncio.sleep(0.01)
            await asyncio.gather(first, *(fetcher.fetch(f"{server.url}/n{i}", check) for i in range(2, 12)))

    asyncio.run(run())
    refused = server.asked[1][2]
    assert all(at - refused >= 0.95 for _, _, at in server.asked[2:])


def test_progress_that_is_kept_is_no_failure(server: CocoServer, tmp_path: Path) -> None:
    server.files["file"] = big = DATA * 20
    server.wrong["file"] = ["cut"] * 3
    to_file(server, tmp_path / "f", patience=Patience(**{**HURRIED.__dict__, "attempts": 2}))
    assert (tmp_path / "f").read_bytes() == big


def test_ctrl_c_does_not_wait_for_the_server(server: CocoServer) -> None:
    server.wrong["*"], server.forever = ["stall"], True
    patience = Patience(stall=30)

    async def run() -> None:
        async def check(data: bytes) -> None:
            pass

        async with Fetcher(patience) as fetcher:
            tasks = [asyncio.create_task(fetcher.fetch(f"{server.url}/file", check)) for _ in range(8)]
            await asyncio.sleep(0.3)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    started = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - started < 3


def test_tags_that_are_not_the_md5_cost_one_repetition(server: CocoServer, tmp_path: Path) -> None:
    """COCO's server tags with the MD5, which finds damage that decodes; a mirror may tag with anything."""
    server.salt = b"x"

    async def run() -> None:
        async def check(data: bytes) -> None:
            assert data == DATA

        async with Fetcher(HURRIED) as fetcher:
            for _ in range(5):
                await fetcher.fetch(f"{server.url}/file", check)

    asyncio.run(run())
    assert len(server.asked) == 6
