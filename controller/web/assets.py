"""Files of the page, read once when the daemon starts: small, compressed, and known by what is in them."""

import gzip
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from aiohttp import web

INDEX = "index.html"
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "woff2": "font/woff2",
}
# Lines that are nothing but a comment, and what lines are indented by: for whoever reads the sources, and a sixth of
# what they weigh. No markup of ours begins a line so, and none needs its indentation.
_COMMENT = re.compile(rb"^[ \t]*(?://[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)[ \t]*$", re.MULTILINE)
_INDENTATION = re.compile(rb"^[ \t]+", re.MULTILINE)
_VENDORED = "vendor/"
# Compressed already.
_PACKED = frozenset({"woff2"})


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is and compressed; ``gzipped`` is empty where that does not make it smaller."""

    type: str
    plain: bytes
    gzipped: bytes
    etag: str

    @classmethod
    def of(cls, name: str, plain: bytes) -> "Asset":
        suffix = name.rpartition(".")[2]
        packed = b"" if suffix in _PACKED else gzip.compress(plain, mtime=0)
        etag = f'"{hashlib.sha256(plain).hexdigest()[:20]}"'
        smaller = packed if len(packed) < len(plain) else b""
        return cls(_TYPES[suffix], plain, smaller, etag)

    def answer(self, request: web.Request) -> web.Response:
        # A browser asks each time whether what it has is still true, which a restarted daemon of another version needs.
        headers = {"ETag": self.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if self.etag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        body = self.plain
        if self.gzipped and "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            body = self.gzipped
        return web.Response(body=body, headers={**headers, "Content-Type": self.type})


class Assets:
    """By their path below ``/page/``; nothing else on this machine can be named."""

    def __init__(self) -> None:
        self._files = {
            name: Asset.of(name, as_sent(name, data))
            for name, data in _read(files(__package__), "page")
        }

    def __iter__(self) -> Iterator[Asset]:
        return iter(self._files.values())

    async def index(self, request: web.Request) -> web.StreamResponse:
        return self._files[INDEX].answer(request)

    async def file(self, request: web.Request) -> web.StreamResponse:
        asset = self._files.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound(text="the page has no such file; begin at /\n")
        return asset.answer(request)


def as_sent(name: str, source: bytes) -> bytes:
    """A file as browsers get it: of scripts and style sheets of ours what is no comment, each line where it was."""
    if not name.endswith((".js", ".css")) or name.startswith(_VENDORED):
        return source
    plain = _COMMENT.sub(lambda found: b"\n" * found[0].count(b"\n"), source)
    return _INDENTATION.sub(b"", plain)


def _read(folder: Traversable, below: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.joinpath(below).iterdir():
        if entry.is_dir():
            for name, data in _read(folder.joinpath(below), entry.name):
                yield f"{entry.name}/{name}", data
        elif entry.name.rpartition(".")[2] in _TYPES:
            yield entry.name, entry.read_bytes()
