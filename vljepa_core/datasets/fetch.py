"""One file over a bad network: the right bytes in the end, or an error that names the file and what to do.

Why httpx: it has what transfers need and urllib lacks (a pool of kept-alive connections, separate limits for
connecting and for a silent server, redirects, an error where a body is shorter than announced), raw bytes as
they arrive, and asyncio, in which Ctrl-C ends sixteen transfers at once. It is well kept and JupyterLab
brings it anyway. Pooch fetches files listed with checksums beforehand, which COCO's images don't have, and one
after another; fsspec is made for reading remote files in pieces; img2dataset resizes on arrival too, but
writes its own shards, has no Range or Retry-After, and needs pandas' Arrow and OpenCV.

What httpx leaves to its user is here: repeating with back-off and jitter, Retry-After (heeded by all
transfers of a ``Fetcher``, as it is meant for the client and not for a file), resuming with Range and If-Range,
a floor for the rate, and the checks of what arrived.
"""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import json
import os
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from vljepa_core.files import writable, write_atomically

T = TypeVar("T")

TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}
# As many repetitions when a file arrives whole but wrong: the server's own copy is then likely the wrong one.
WRONG_ATTEMPTS = 3
# An attempt that leaves this much more behind (to be resumed) doesn't count as a failure.
PROGRESS_BYTES = 2**18


@dataclass(frozen=True)
class Patience:
    """When to give up; all times in seconds."""

    attempts: int = 6
    first_wait: float = 1.0  # doubled after each failure
    longest_wait: float = 60.0
    longest_retry_after: float = 600.0  # a server that asks for more is not waited for
    connect: float = 15.0
    stall: float = 30.0  # without a byte; also the time in which ``slowest`` is measured
    slowest: float = 100.0  # bytes per second


class FetchError(Exception):
    """A file that can't be had. ``kind``: "missing" (the server says so), "unreachable", "wrong" (other bytes)."""

    def __init__(self, kind: str, url: str, reason: str, advice: str) -> None:
        super().__init__(f"{url}: {reason}; {advice}")
        self.kind, self.reason = kind, reason


class Wrong(Exception):
    """Raised by a check: what arrived is whole and yet not the file."""


class _Again(Exception):
    """This attempt failed, the next may not; ``wait`` is what the server asked for."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Memory:
    """A body that is kept in memory; ``tag`` is what If-Range needs (None: it can't be resumed)."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.tag: str | None = None

    @property
    def size(self) -> int:
        return len(self.data)

    def restart(self, tag: str | None) -> None:
        self.data.clear()
        self.tag = tag

    def append(self, chunk: bytes) -> None:
        self.data += chunk

    def digest(self, algorithm: str) -> str:
        return hashlib.new(algorithm, self.data, usedforsecurity=False).hexdigest()


class PartFile:
    """A body in ``NAME.part`` beside its target, found again by the next process.

    ``NAME.part.json`` holds the address and tag it belongs to. Both go when the target is complete.
    """

    def __init__(self, target: Path, url: str) -> None:
        self.target, self.url = target, url
        self.path = target.with_name(target.name + ".part")
        self.note = target.with_name(target.name + ".part.json")
        writable(target.parent)
        self.file = open(self.path, "ab", buffering=0)
        self.size = self.path.stat().st_size
        self.tag: str | None = None
        try:
            note = json.loads(self.note.read_text())
            self.tag = note["tag"] if note["url"] == url else None
        except (OSError, ValueError, KeyError, TypeError):
            pass

    def restart(self, tag: str | None) -> None:
        self.file.truncate(0)  # first: whatever is in the file must never be taken to have the new tag
        self.size, self.tag = 0, tag
        write_atomically(self.note, json.dumps({"url": self.url, "tag": tag}).encode())

    def append(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        try:
            while view:  # a nearly full disk takes a part of it first
                written = self.file.write(view)
                self.size += written
                view = view[written:]
        except OSError as error:
            raise OSError(
                f"{self.path}: can't be written ({error.strerror}); what is there is kept: free some space "
                "and run the same command again"
            ) from error

    def digest(self, algorithm: str) -> str:
        digest = hashlib.new(algorithm, usedforsecurity=False)
        with open(self.path, "rb") as f:
            while block := f.read(2**20):
                digest.update(block)
        return digest.hexdigest()

    def finish(self) -> None:
        os.fsync(self.file.fileno())
        self.close()
        os.replace(self.path, self.target)
        self.note.unlink(missing_ok=True)

    def close(self) -> None:
        self.file.close()


class Fetcher:
    """Transfers that share connections, and the time before which the server wants no further request."""

    def __init__(self, patience: Patience | None = None, connections: int = 16) -> None:
        self.patience = patience or Patience()
        self.not_before = 0.0
        self.repeated = 0
        self.tags_are_md5: bool | None = None  # not known yet
        self.doubted: dict[str, str] = {}
        self.client = httpx.AsyncClient(
            follow_redirects=True,
            timeout=httpx.Timeout(self.patience.stall, connect=self.patience.connect, pool=None),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            # Unpacked on the way, bytes could neither be counted nor resumed.
            headers={"Accept-Encoding": "identity", "User-Agent": "vljepa-core (research)"},
        )

    async def __aenter__(self) -> Fetcher:
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.client.aclose()

    async def fetch(self, url: str, check: Callable[[bytes], Awaitable[T]]) -> T:
        """What ``check`` makes of the file's bytes; it raises ``Wrong`` when they are not the file.

        Raises:
            FetchError: after all repetitions, or at once where repeating is no use.
        """
        body = Memory()

        async def whole() -> T:
            return await check(bytes(body.data))

        return await self._repeat(url, body, whole)

    async def fetch_to(
        self,
        url: str,
        target: Path,
        sha256: str | None = None,
        check: Callable[[Path], None] | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> None:
        """Fetch into ``target``, which appears only when complete and right; an earlier part is resumed.

        Args:
            sha256: of the whole file, in hexadecimal digits.
            check: is given the path of the part, raises ``Wrong``.
            progress: is called with the bytes there are and the bytes there will be (None: not announced).
        """
        body = PartFile(target, url)

        async def whole() -> None:
            if sha256 is not None and (found := body.digest("sha256")) != sha256.lower():
                raise Wrong(f"its SHA-256 is {found}, expected {sha256.lower()}")
            if check is not None:
                check(body.path)

        try:
            await self._repeat(url, body, whole, progress, checked=sha256 is not None)
            body.finish()
        finally:
            body.close()

    async def _repeat(
        self,
        url: str,
        body: Memory | PartFile,
        whole: Callable[[], Awaitable[T]],
        progress: Callable[[int, int | None], None] | None = None,
        checked: bool = False,
    ) -> T:
        """``checked``: ``whole`` compares a checksum, so that the server's tag needn't be."""
        failures = wrong = 0
        while True:
            before, reason, wait = body.size, "", None
            await self._wait_for_server()
            try:
                await self._receive(url, body, progress)
                result = await whole()
                if not checked:
                    self._check_tag(url, body)
                return result
            except Wrong as error:
                wrong += 1
                body.restart(None)
                if wrong == WRONG_ATTEMPTS:
                    raise FetchError(
                        "wrong", url, f"{error} ({wrong} times)", "the server has another or a damaged file"
                    ) from None
                reason = str(error)
            except _Again as error:
                reason, wait = str(error), error.wait
            except (httpx.TooManyRedirects, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
                raise FetchError("missing", url, str(error), "check the address") from None
            except httpx.TimeoutException as error:
                reason = f"no answer in time ({type(error).__name__})"
            except httpx.TransportError as error:
                reason = str(error) or type(error).__name__
            failures = 1 if body.tag and body.size >= before + PROGRESS_BYTES else failures + 1
            if failures >= self.patience.attempts:
                raise FetchError(
                    "unreachable", url, f"{reason} ({failures} attempts)", "run the same command again to go on"
                )
            self.repeated += 1
            if wait is not None:
                self.not_before = max(self.not_before, time.monotonic() + wait)
            else:
                longest = min(self.patience.longest_wait, self.patience.first_wait * 2 ** (failures - 1))
                await asyncio.sleep(longest * random.uniform(0.5, 1.0))

    def _check_tag(self, url: str, body: Memory | PartFile) -> None:
        """COCO's server (S3) gives the MD5 of a file as its tag: the only checksum there is for an image.

        Nothing promises it. If the same bytes with another MD5 come twice before any has been right, the tags of
        this server are something else.
        """
        if self.tags_are_md5 is False or not body.tag or not re.fullmatch(r'"[0-9a-f]{32}"', body.tag):
            return
        found = body.digest("md5")
        if found == body.tag.strip('"'):
            self.tags_are_md5 = True
        elif self.tags_are_md5 is None and self.doubted.get(url) == found:
            self.tags_are_md5 = False
        else:
            self.doubted[url] = found
            raise Wrong("its MD5 is not the one that the server gives for it")

    async def _wait_for_server(self) -> None:
        while (left := self.not_before - time.monotonic()) > 0:
            # A little apart: sixteen transfers that wake at the same moment would be too many requests again.
            await asyncio.sleep(left + random.uniform(0, min(1.0, left / 4)))

    async def _receive(
        self, url: str, body: Memory | PartFile, progress: Callable[[int, int | None], None] | None
    ) -> None:
        """One request; afterwards the body has as many bytes as the server said. Raises _Again, FetchError."""
        headers = {}
        if body.size and body.tag:
            headers = {"Range": f"bytes={body.size}-", "If-Range": body.tag}
        async with self.client.stream("GET", url, headers=headers) as response:
            total = self._accept(url, response, body)
            if total is not None and body.size == total:
                return  # complete already: the process was killed before the file got its name
            floor = _Floor(self.patience)
            async for chunk in response.aiter_raw():
                floor.arrived(len(chunk))
                body.append(chunk)
                if progress:
                    progress(body.size, total)
        if total is not None and body.size != total:
            if body.size > total:
                body.restart(None)
            raise _Again(f"{body.size:,} of {total:,} bytes arrived")

    def _accept(self, url: str, response: httpx.Response, body: Memory | PartFile) -> int | None:
        """Prepare ``body`` for what a response is about to send; the size it will have (None: not announced)."""
        status, headers = response.status_code, response.headers
        if url.startswith("https:") and response.url.scheme != "https":
            raise FetchError("missing", url, f"redirected to {response.url}, unencrypted", "check the address")
        found = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", headers.get("Content-Range", ""))
        total = int(found[2]) if found and found[2] != "*" else None
        if status == 416:
            if total == body.size:
                return total
            body.restart(None)
            raise _Again("the server has fewer bytes than have arrived before; starting anew")
        if status in TRY_AGAIN:
            raise _Again(f"the server answers {status} {response.reason_phrase}", self._retry_after(url, headers))
        if status not in (200, 206):
            advice = "it is not at this address; check --base-url" if status in (404, 410) else "check --base-url"
            raise FetchError("missing", url, f"the server answers {status} {response.reason_phrase}", advice)
        if headers.get("Content-Type", "").startswith("text/html"):
            raise _Again("the server sends a web page instead of the file (a log-in page, a proxy?)")
        if headers.get("Content-Encoding", "identity") != "identity":
            raise _Again(f"the server compressed it ({headers['Content-Encoding']}) although asked not to")
        if status == 206:
            if not found or found[1] is None or int(found[1]) != body.size:
                body.restart(None)
                raise _Again("the server sent another part than the one asked for")
            return total
        etag = headers.get("ETag")  # a weak one doesn't promise the same bytes
        body.restart(etag if etag and not etag.startswith("W/") else headers.get("Last-Modified"))
        length = headers.get("Content-Length", "")
        return int(length) if length.isdecimal() else None

    def _retry_after(self, url: str, headers: httpx.Headers) -> float | None:
        text = headers.get("Retry-After", "").strip()
        if text.isdecimal():
            seconds = float(text)
        else:
            try:
                seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
            except (ValueError, TypeError):
                return None
        if seconds > self.patience.longest_retry_after:
            raise FetchError(
                "unreachable", url, f"the server asks to wait {seconds:,.0f} s", "run the same command again then"
            )
        return max(0.0, seconds)


class _Floor:
    """Ends a transfer that trickles: httpx's own limit only sees complete silence."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.since, self.bytes = time.monotonic(), 0

    def arrived(self, size: int) -> None:
        self.bytes += size
        passed = time.monotonic() - self.since
        if passed >= self.patience.stall:
            if self.bytes < self.patience.slowest * passed:
                raise _Again(f"only {self.bytes:,} bytes in {passed:.0f} s")
            self.since, self.bytes = time.monotonic(), 0
