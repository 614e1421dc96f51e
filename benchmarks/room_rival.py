"""The rival: a bare static page under the same uvicorn. Nothing that shows a film can be less.

Run as a module it serves a film as PNG and as raw pixels until its standard input closes.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import uvicorn
from PIL import Image

PAGE = """<!doctype html><title>bare</title><img id=film width=600><button id=next>Next</button>
<script>
let at = 0;
document.getElementById("next").onclick = async () => {
  performance.mark("submit");
  const film = new Image();
  film.src = `/film.png?${++at}`;
  await film.decode();
  document.getElementById("film").replaceWith(film);
  film.id = "film"; film.width = 600;
  requestAnimationFrame(() => requestAnimationFrame(() => {
    performance.mark("painted");
    document.body.dataset.painted = at;
  }));
};
</script>"""


def film(side: int, bits: int, seed: int = 0) -> np.ndarray:
    """A film of noise over a gradient: it compresses about as badly as a real one."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(0.1, 0.8, side)[:, None] * np.linspace(0.4, 1, side)[None, :]
    grain = rng.normal(0, 0.01, (side, side))
    top = 255 if bits == 8 else 4095
    return (np.clip(slope + grain, 0, 1) * top).astype(np.uint8 if bits == 8 else np.uint16)


def application(side: int, bits: int):
    """An ASGI application of three addresses."""
    pixels = film(side, bits)
    picture = io.BytesIO()
    Image.fromarray(pixels).save(picture, "PNG", compress_level=1)
    answers = {
        "/": (b"text/html", PAGE.encode(), []),
        "/film.png": (b"image/png", picture.getvalue(), []),
        "/film.raw": (
            b"application/octet-stream",
            zlib.compress(pixels.tobytes(), 1),
            [(b"content-encoding", b"deflate")],
        ),
    }

    async def app(scope, _receive, send) -> None:
        if scope["type"] != "http":
            return
        kind, body, more = answers.get(scope["path"], answers["/"])
        length = (b"content-length", str(len(body)).encode())
        headers = [(b"content-type", kind), length, *more]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


@contextmanager
def rival(side: int, bits: int) -> Iterator[str]:
    """The address of the bare page, served by a process of its own."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(side), str(bits)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def main() -> None:
    """Serve until the parent is gone."""
    side, bits = map(int, sys.argv[1:])
    config = uvicorn.Config(
        application(side, bits), port=0, log_level="error", access_log=False, lifespan="off"
    )
    door = config.bind_socket()
    print(f"http://127.0.0.1:{door.getsockname()[1]}", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    uvicorn.Server(config).run(sockets=[door])


if __name__ == "__main__":
    main()
