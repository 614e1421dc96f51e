"""The baseline: a minimal static page with an image, under the same uvicorn.

Run as a script it serves the image as PNG and as raw pixels until its standard input closes.
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


def make_film(side: int, bits: int, seed: int = 0) -> np.ndarray:
    """An image of noise over a gradient, which compresses about as badly as a radiograph."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(0.1, 0.8, side)[:, None] * np.linspace(0.4, 1, side)[None, :]
    grain = rng.normal(0, 0.01, (side, side))
    top = 255 if bits == 8 else 4095
    return (np.clip(slope + grain, 0, 1) * top).astype(np.uint8 if bits == 8 else np.uint16)


def application(side: int, bits: int):
    """An ASGI application with three URLs."""
    pixels = make_film(side, bits)
    picture = io.BytesIO()
    Image.fromarray(pixels).save(picture, "PNG", compress_level=1)
    responses = {
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
        kind, body, extra = responses.get(scope["path"], responses["/"])
        length = (b"content-length", str(len(body)).encode())
        headers = [(b"content-type", kind), length, *extra]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


@contextmanager
def baseline_server(side: int, bits: int) -> Iterator[str]:
    """The address of the baseline page, served by a process of its own."""
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
    """Serve until the parent ends."""
    side, bits = map(int, sys.argv[1:])
    config = uvicorn.Config(
        application(side, bits), port=0, log_level="error", access_log=False, lifespan="off"
    )
    sock = config.bind_socket()
    print(f"http://127.0.0.1:{sock.getsockname()[1]}", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    uvicorn.Server(config).run(sockets=[sock])


if __name__ == "__main__":
    main()
