"""The page's own files, by Starlette: ETag, 304 and content types; the middleware compresses."""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent / "static"
# Windows takes these from its registry, where .js is often text/plain, which no browser runs
CONTENT_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class PageFiles(StaticFiles):
    """Static files for which the browser asks every time whether they have changed."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)
        for suffix, content_type in CONTENT_TYPES.items():
            mimetypes.add_type(content_type, suffix)

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """The file, or 304 if the browser has it; a new version of the page shows at once."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"
        return response
