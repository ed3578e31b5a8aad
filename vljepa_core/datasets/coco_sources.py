"""Where COCO 2017 comes from: its server, a mirror with the same layout, or the official zips on this machine.

- ``BASE/annotations/annotations_trainval2017.zip`` holds ``annotations/captions_train2017.json``, ``..._val2017.json``
- ``BASE/train2017/000000000009.jpg``: every image by itself
- ``ROOT/annotations_trainval2017.zip``, ``train2017.zip``, or unpacked: ``annotations/``, ``train2017/``
"""

from __future__ import annotations

import asyncio
import hashlib
import zipfile
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from vljepa_core.datasets.dataset import DataError
from vljepa_core.datasets.fetch import Fetcher, FetchError, Wrong

T = TypeVar("T")

BASE_URL = "http://images.cocodataset.org"  # the bucket's name has no certificate of its own for https
ANNOTATIONS = "annotations_trainval2017.zip"
# COCO publishes no checksum. This one (of 252,907,541 bytes) is what several projects that use the file have pinned,
# among them a Julia DataDeps registration for this very address; some give it beside the MD5
# f4bbac642086de4f52a3fdda2de5fa2c, which PaddleDetection checks its download with. Not compared with the server's
# file by us: it could not be reached where this was written.
ANNOTATIONS_SHA256 = "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268"


class Images(Protocol):
    """Gives the bytes of an image to ``check`` and returns what that makes of them."""

    where: str

    async def get(self, name: str, check: Callable[[bytes], Awaitable[T]]) -> T:
        """Raises FetchError if the image can't be had."""


class ImagesFromServer:
    """Every image by its own address."""

    def __init__(self, fetcher: Fetcher, base_url: str, split: str) -> None:
        self.fetcher, self.where = fetcher, f"{base_url.rstrip('/')}/{split}"

    async def get(self, name: str, check: Callable[[bytes], Awaitable[T]]) -> T:
        return await self.fetcher.fetch(f"{self.where}/{quote(name)}", check)


class ImagesFromZip:
    """An official zip, read where it is; zipfile checks the CRC of every image."""

    def __init__(self, path: Path, split: str) -> None:
        self.where = str(path)
        self.zip, self.prefix = open_zip(path), f"{split}/"

    async def get(self, name: str, check: Callable[[bytes], Awaitable[T]]) -> T:
        try:
            return await check(await asyncio.to_thread(self.zip.read, self.prefix + name))
        except KeyError:
            raise FetchError("missing", f"{self.where}: {self.prefix}{name}", "not in the zip", ZIP_ADVICE) from None
        except (Wrong, zipfile.BadZipFile, zlib.error, OSError) as error:
            raise FetchError("wrong", f"{self.where}: {self.prefix}{name}", str(error), ZIP_ADVICE) from None


class ImagesFromFolder:
    """An unpacked zip."""

    def __init__(self, folder: Path) -> None:
        self.where, self.folder = str(folder), folder

    async def get(self, name: str, check: Callable[[bytes], Awaitable[T]]) -> T:
        path = self.folder / name
        try:
            return await check(await asyncio.to_thread(path.read_bytes))
        except FileNotFoundError:
            raise FetchError("missing", str(path), "no such file", "put it there, or use the zip") from None
        except (Wrong, OSError) as error:
            raise FetchError("wrong", str(path), str(error), "put an undamaged one there, or use the zip") from None


ZIP_ADVICE = "get this zip again"


def open_zip(path: Path) -> zipfile.ZipFile:
    """Raises DataError for a file that is no zip, or only a part of one."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path}: not a whole zip file ({error}); {ZIP_ADVICE}") from None


def images(fetcher: Fetcher, base_url: str, split: str, root: Path | None) -> Images:
    """The images in ``root`` if they are there, else those of the server."""
    if root is not None:
        if (root / split).is_dir():
            return ImagesFromFolder(root / split)
        if (root / f"{split}.zip").is_file():
            return ImagesFromZip(root / f"{split}.zip", split)
    return ImagesFromServer(fetcher, base_url, split)


def check_root(root: Path, split: str) -> None:
    """Raises DataError if there is nothing of COCO in ``root``."""
    looked_for = [ANNOTATIONS, f"annotations/captions_{split}.json", f"{split}.zip", f"{split}/"]
    if not any((root / name).exists() for name in looked_for):
        raise DataError(f"--root {root}: has none of {', '.join(looked_for)}")


async def captions(
    fetcher: Fetcher,
    base_url: str,
    split: str,
    root: Path | None,
    folder: Path,
    sha256: str | None,
    progress: Callable[[int, int | None], None] | None,
) -> tuple[bytes, dict[str, Any]]:
    """The captions file of a split, and where it came from. A zip that is fetched stays in ``folder``.

    The zip is checked with ``sha256``, or with the known one where the address is COCO's own; in any case
    with the CRC that the zip has for the file in it.
    """
    member = f"annotations/captions_{split}.json"
    if root is not None and (root / member).is_file():
        data = await asyncio.to_thread((root / member).read_bytes)
        return data, _origin(str(root / member), hashlib.sha256(data).hexdigest(), "nothing (an unpacked file)")
    url = f"{base_url.rstrip('/')}/annotations/{ANNOTATIONS}"
    expected = sha256 or (ANNOTATIONS_SHA256 if base_url.rstrip("/") == BASE_URL else None)
    if root is not None and (root / ANNOTATIONS).is_file():
        path, source = root / ANNOTATIONS, str(root / ANNOTATIONS)
        expected = sha256  # a reader's own file may be packed in another way
    else:
        path, source = folder / ANNOTATIONS, url
        if path.exists() and expected and await asyncio.to_thread(_sha256, path) != expected.lower():
            path.unlink()
        try:
            await asyncio.to_thread(_check_zip, path, member)
        except Wrong:
            try:
                await fetcher.fetch_to(url, path, expected, lambda part: _check_zip(part, member), progress)
            except FetchError as error:
                hint = ". If another file than the official one is meant: --sha256" if error.kind == "wrong" else ""
                raise DataError(f"{error}{hint}") from None
    found = await asyncio.to_thread(_sha256, path)
    if expected and found != expected.lower():
        raise DataError(f"{path}: its SHA-256 is {found}, expected {expected.lower()}; see --sha256")
    data = await asyncio.to_thread(_read_member, path, member)
    return data, _origin(source, found, "its SHA-256" if expected else "the CRC in the zip (no SHA-256 was given)")


def _origin(source: str, sha256: str, checked: str) -> dict[str, Any]:
    return {"source": source, "sha256": sha256, "checked with": checked}


def _check_zip(path: Path, member: str) -> None:
    """Raises Wrong if this is not a whole zip file, or if what it has of ``member`` is damaged."""
    try:
        with open(path, "rb") as f:
            start = f.read(32)
        if not start.startswith(b"PK"):
            raise Wrong(f"not a zip file; it begins with {start!r}")
        if not zipfile.is_zipfile(path):
            raise Wrong("only the beginning of a zip file")
        with zipfile.ZipFile(path) as z:
            if member in z.namelist():
                z.read(member)
    except FileNotFoundError:
        raise Wrong("no such file") from None
    except Exception as error:  # a damaged zip can fail in zlib, struct and zipfile
        if isinstance(error, Wrong):
            raise
        raise Wrong(f"{member} in it is damaged ({error})") from None


def _read_member(path: Path, member: str) -> bytes:
    with open_zip(path) as z:
        if member not in z.namelist():
            there = ", ".join(n for n in z.namelist() if "captions" in n) or "no captions at all"
            raise DataError(f"{path}: has no {member}, but {there}; choose with --split")
        try:
            return z.read(member)
        except (zipfile.BadZipFile, zlib.error, OSError) as error:
            raise DataError(f"{path}: {member} is damaged ({error}); {ZIP_ADVICE}") from None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(2**20):
            digest.update(block)
    return digest.hexdigest()
