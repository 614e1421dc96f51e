"""Write requirements.txt and requirements-cuda.txt from pyproject.toml: make lock.

One resolution serves every supported Python and platform. The CUDA packages go
into a file of their own, because a CPU build of torch needs none of them.
"""

import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV_PINS = ROOT / "tools" / "lock-requirements.txt"
# pinned to the release whose CPU build has its hash below: change both together
PINNED = ["torch==2.13.0", "torchvision==0.28.0"]
# official builds of the pinned release that are not in the default index
EXTRA_HASHES = {
    "torch": ["6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"],  # +cpu cp311
}
CUDA = re.compile(r"nvidia-|cuda-|triton\b")
HEADER = "# Made by `make lock` from pyproject.toml; do not edit.\n"


def resolve():
    """The resolution for all platforms as text: `name==version` with hashes, one after another."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python, constraints = Path(folder, "bin", "python"), Path(folder, "constraints.txt")
        constraints.write_text("\n".join(PINNED))
        install = [python, "-m", "pip", "install", "-qq", "--require-hashes", "--only-binary"]
        subprocess.run([*install, ":all:", "-r", UV_PINS], check=True)
        command = [python, "-m", "uv", "pip", "compile", ROOT / "pyproject.toml", "--quiet"]
        command += ["--extra", "dev", "--universal", "--python-version", "3.11"]
        command += ["--only-binary", ":all:"]
        command += ["--fork-strategy", "fewest", "--generate-hashes"]
        command += [
            "--no-emit-index-url",
            "--no-annotate",
            "--no-header",
            "--constraint",
            constraints,
        ]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def entries(text):
    """Each (name, entry) of the resolution, without lines that contain a URL."""
    lines = [line for line in text.splitlines(keepends=True) if "://" not in line]
    for entry in re.split(r"^(?=[A-Za-z0-9])", "".join(lines), flags=re.MULTILINE):
        if entry.strip():
            yield entry.split("==")[0], entry


def with_extra_hashes(name, entry):
    """The entry, with the hashes of `EXTRA_HASHES` for that package."""
    hashes = "".join(f" \\\n    --hash=sha256:{digest}" for digest in EXTRA_HASHES.get(name, []))
    return entry.rstrip("\n") + hashes + "\n"


def main():
    files = {"requirements.txt": [], "requirements-cuda.txt": []}
    for name, entry in entries(resolve()):
        file = "requirements-cuda.txt" if CUDA.match(name) else "requirements.txt"
        files[file].append(with_extra_hashes(name, entry))
    for file, pins in files.items():
        (ROOT / file).write_text(HEADER + "".join(pins))
        print(f"{file}: {len(pins)} packages")


if __name__ == "__main__":
    sys.exit(main())
