"""The page's own files: compressed once, asked for again only when they changed."""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

ROOT = Path(__file__).parent / "static"
NAME = re.compile(r"\w[\w-]*(\.\w[\w-]*)+")  # no hidden file, no way up
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
MISSING = "There is no such page: go back to the start page."

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Asset:
    """A file as it is sent."""

    plain: bytes
    packed: bytes  # gzip
    tag: str


@router.get("/")
async def index(request: Request) -> Response:
    """The page. It holds no data; it asks for them, with the visitor's cookie."""
    return answer(request, "index.html")


@router.get("/static/{name:path}")
async def asset(name: str, request: Request) -> Response:
    """A file of the page."""
    return answer(request, name)


def answer(request: Request, name: str) -> Response:
    """The file, or 304 if the browser has it, or 404."""
    *folders, last = name.split("/")
    path = ROOT / name
    known = NAME.fullmatch(last) and all(re.fullmatch(r"[\w-]+", part) for part in folders)
    if not known or path.suffix not in TYPES or not path.is_file():
        raise HTTPException(404, MISSING)
    stat = path.stat()
    found = _load(path, stat.st_mtime_ns, stat.st_size)
    headers = {"Cache-Control": "no-cache", "ETag": found.tag, "Vary": "Accept-Encoding"}
    if found.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    body = found.plain
    if "gzip" in request.headers.get("accept-encoding", "") and len(found.packed) < len(body):
        body, headers["Content-Encoding"] = found.packed, "gzip"
    return Response(body, media_type=TYPES[path.suffix], headers=headers)


@lru_cache(maxsize=256)
def _load(path: Path, _changed: int, _size: int) -> Asset:
    """The file as it is now; a changed one has another time or size and is read anew."""
    plain = path.read_bytes()
    tag = hashlib.sha256(plain).hexdigest()[:32]
    return Asset(plain, gzip.compress(plain, 9, mtime=0), f'"{tag}"')
