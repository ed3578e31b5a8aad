"""COCO's layout on 127.0.0.1, from the shared photographs or generated ones; misbehaves on demand."""

from __future__ import annotations

import email.utils
import hashlib
import io
import json
import re
import socket
import struct
import threading
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import SHARED

ZIP = "annotations/annotations_trainval2017.zip"
LICENCES = [
    {"id": 1, "name": "Attribution-NonCommercial-ShareAlike License", "url": "http://example.org/by-nc-sa"},
    {"id": 4, "name": "Attribution License", "url": "http://example.org/by"},
]
PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


def photographs(n: int) -> list[tuple[bytes, list[str]]]:
    """JPEG bytes and captions: the shared ones where they are, else generated."""
    folder = SHARED / "flickr8k"
    if folder.is_dir():
        data = json.loads((folder / "captions_train.json").read_text())
        captions = defaultdict(list)
        for a in data["annotations"]:
            captions[a["image_id"]].append(a["caption"])
        rows = data["images"][:n]
        return [((folder / "images" / row["file_name"]).read_bytes(), captions[row["id"]]) for row in rows]
    rng = np.random.default_rng(0)
    found = []
    for i in range(n):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        file = io.BytesIO()
        coarse.resize((128, 128), Image.BICUBIC).save(file, "JPEG", quality=90)
        found.append((file.getvalue(), [f"a man and blob {i}", f"picture number {i} of a dog"]))
    return found


def layout(n: int) -> dict[str, bytes]:
    """Path -> bytes of everything the server has: n images in train2017, the annotations zip."""
    files, images, annotations = {}, [], []
    for i, (data, captions) in enumerate(photographs(n)):
        image_id, name = 7 * i + 9, f"{7 * i + 9:012d}.jpg"
        files[f"train2017/{name}"] = data
        images.append({"id": image_id, "file_name": name, "license": 4 if i % 3 else 1, "width": 128, "height": 128,
                       "flickr_url": f"http://example.org/{i}"})  # fmt: skip
        for caption in captions:
            annotations.append({"id": len(annotations), "image_id": image_id, "caption": caption})
    captions = {"info": {"description": "COCO 2017 Dataset"}, "licenses": LICENCES, "images": images[::-1],
                "annotations": annotations}  # fmt: skip
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("annotations/captions_train2017.json", json.dumps(captions))
        z.writestr("annotations/captions_val2017.json", json.dumps({**captions, "images": [], "annotations": []}))
        z.writestr("annotations/padding.bin", np.random.default_rng(1).bytes(300_000))  # so that a part is a part
    files[ZIP] = file.getvalue()
    return files


class CocoServer(ThreadingHTTPServer):
    """Serves ``files``. ``wrong[path]`` is a list of misbehaviours, used up one for each request; the last stays if
    ``forever``. ``asked`` are (path, Range header, time) of all requests."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = files
        self.wrong: dict[str, list[str]] = {}
        self.forever = False
        self.delay = 0.0
        self.salt = b""  # makes the tags something else than the MD5, as S3 does not
        self.asked: list[tuple[str, str | None, float]] = []
        self.before_answer: Callable[[int], None] = lambda number: None
        self.lock = threading.Lock()
        self.closing = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def times_asked(self) -> Counter:
        return Counter(path for path, _, _ in self.asked)

    def stop(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address) -> None:
        pass  # clients are killed on purpose


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CocoServer

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        path, server = self.path.lstrip("/"), self.server
        with server.lock:
            server.asked.append((path, self.headers.get("Range"), time.monotonic()))
            number = len(server.asked)
            modes = server.wrong.get(path) or server.wrong.get("*") or [""]
            mode = modes[0] if server.forever else modes.pop(0)
        server.before_answer(number)
        if server.delay:
            time.sleep(server.delay)
        data = server.files.get(path.removeprefix("moved/"))
        mode, _, value = mode.partition("=")
        if mode == "404" or data is None:
            self.answer(404, b"no such file")
        elif mode in ("500", "503"):
            self.answer(int(mode), b"an error")
        elif mode == "429":
            self.answer(429, b"slowly", {"Retry-After": value or "1"})
        elif mode == "date":
            self.answer(503, b"later", {"Retry-After": email.utils.formatdate(time.time() + 2, usegmt=True)})
        elif mode == "html":
            self.answer(200, PAGE, {"Content-Type": "text/html; charset=utf-8"})
        elif mode == "html-as-jpeg":
            self.answer(200, PAGE)
        elif mode == "redirect":
            self.answer(302, b"", {"Location": f"/moved/{path}"})
        elif mode == "circle":
            self.answer(302, b"", {"Location": f"/{path}"})
        elif mode == "damaged":
            half = len(data) // 2
            self.answer(200, data[:half] + bytes(200) + data[half + 200 :], {"ETag": self.tag(data)})
        elif mode == "short":  # a correct header for a file that lost its end
            self.answer(200, data[: int(len(data) * 0.6)])
        elif mode in ("reset", "cut", "stall", "trickle"):
            self.break_off(mode, data)
        else:
            self.send(data, ranges=mode != "ignore-range")

    def tag(self, data: bytes) -> str:
        return f'"{hashlib.md5(data + self.server.salt).hexdigest()}"'

    def answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        headers = {"Content-Type": "image/jpeg", **(headers or {}), "Content-Length": str(len(data))}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def send(self, data: bytes, ranges: bool = True) -> None:
        tag = {"ETag": self.tag(data)}
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not (ranges and asked and self.headers.get("If-Range", tag["ETag"]) == tag["ETag"]):
            return self.answer(200, data, tag)
        start = int(asked[1])
        if start >= len(data):
            return self.answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        return self.answer(206, data[start:], {**tag, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})

    def break_off(self, mode: str, data: bytes) -> None:
        """Announce all of it (from where it was asked for), send a half, and then ..."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("ETag", self.tag(data))
        self.send_header("Content-Length", str(len(data) - start))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        rest = data[start:]
        self.wfile.write(rest[: len(rest) // 2])
        self.wfile.flush()
        self.close_connection = True
        if mode == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()  # with a RST instead of a FIN
        elif mode == "stall":
            self.server.closing.wait(20)
        elif mode == "trickle":
            for byte in rest[len(rest) // 2 :]:
                if self.server.closing.wait(0.05):
                    break
                self.wfile.write(bytes([byte]))
        self.rfile = self.wfile = io.BytesIO()


def write_root(root: Path, files: dict[str, bytes], images: str = "zip") -> Path:
    """The same as a reader may have it: the official zips, or unpacked."""
    root.mkdir(parents=True)
    (root / "annotations_trainval2017.zip").write_bytes(files[ZIP])
    pictures = {path: data for path, data in files.items() if path.startswith("train2017/")}
    if images == "zip":
        with zipfile.ZipFile(root / "train2017.zip", "w") as z:
            for path, data in pictures.items():
                z.writestr(path, data)
    else:
        for path, data in pictures.items():
            (root / path).parent.mkdir(exist_ok=True)
            (root / path).write_bytes(data)
    return root
