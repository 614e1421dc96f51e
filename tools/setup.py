"""Create or update .venv; does nothing if it is up to date: make setup.

Runs on a bare Python with the standard library alone. A GPU build of torch that
this Python already has is used; otherwise the pinned torch is installed, and its
CUDA packages only if that build of torch requires them.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this check is for older versions
    sys.stderr.write("imil needs Python 3.11 or newer: make setup PYTHON=python3.12\n")
    raise SystemExit(2)

import contextlib
import fcntl
import hashlib
import importlib.util
import re
import shutil
import subprocess
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".stamp"
PINS, CUDA_PINS = ROOT / "requirements.txt", ROOT / "requirements-cuda.txt"
# first line of the stamp: .venv is made anew for another Python or another folder
MADE_BY = f"{sys.version.split()[0]} {sys.base_prefix} {VENV}"

# prints the packages that need no pin, if there is a GPU build of torch, new enough
FIND_GPU_TORCH = """
import importlib.util, sys, torch
from importlib.metadata import version
new_enough = [int(n) for n in version("torch").split(".")[:2]] >= [int(n) for n in sys.argv[1:]]
if new_enough and (torch.version.cuda or torch.version.hip):
    print(*[name for name in ("torch", "torchvision") if importlib.util.find_spec(name)])
"""

# exit code 0 if the installed torch requires CUDA packages on this machine
WANTS_CUDA = """
import re, sys
from importlib.metadata import requires
from packaging.requirements import Requirement
requirements = [Requirement(text) for text in requires("torch")]
names = [r.name for r in requirements if not r.marker or r.marker.evaluate({"extra": ""})]
sys.exit(not any(re.match(r"nvidia-|cuda-|triton$", name) for name in names))
"""


def packages_of_gpu_torch():
    """Names that a venv of this Python sees already; empty without a GPU build of torch."""
    oldest = re.search(r'"torch>=(\d+)\.(\d+)', (ROOT / "pyproject.toml").read_text()).groups()
    with tempfile.TemporaryDirectory() as probe:
        venv.create(probe, system_site_packages=True)
        command = [Path(probe, "bin", "python"), "-c", FIND_GPU_TORCH, *oldest]
        return subprocess.run(command, capture_output=True, text=True).stdout.split()


def pip_install(*arguments, errors=None):
    command = [PYTHON, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, *arguments], check=True, stderr=errors)


def entries(file):
    """The pins of a requirements file, each with its hashes."""
    return re.split(r"^(?=\w)", file.read_text(), flags=re.MULTILINE)


def install_pins(pins, *, errors=None):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(pins)
        file.flush()
        # wheels alone: to build a source archive is to run its code
        wheels = ("--require-hashes", "--only-binary", ":all:")
        pip_install(*wheels, "-r", file.name, errors=errors)


def try_cpu_build_of_torch():
    """Install the CPU build if the index has it, by name: pip with hashes prefers the other."""
    torch = next(pin for pin in entries(PINS) if pin.startswith("torch=="))
    pin = re.sub(r"(==[\w.]+)", r"\1+cpu", torch, count=1)
    with contextlib.suppress(subprocess.CalledProcessError):
        install_pins([pin], errors=subprocess.DEVNULL)  # the index may not have it


def install(fresh):
    present = packages_of_gpu_torch()
    if fresh:
        builder = venv.EnvBuilder(
            clear=True, with_pip=True, symlinks=True, system_site_packages=bool(present)
        )
        builder.create(VENV)
    if present:
        print(f"using packages that this Python has already: {', '.join(present)}")
    print("installing the pinned packages into .venv: minutes the first time", flush=True)
    if not present and not shutil.which("nvidia-smi"):
        try_cpu_build_of_torch()
    install_pins(pin for pin in entries(PINS) if pin.split("==")[0] not in present)
    if not present and subprocess.run([PYTHON, "-c", WANTS_CUDA]).returncode == 0:
        print("installing the CUDA packages of torch: several GB the first time", flush=True)
        install_pins(entries(CUDA_PINS))
    pip_install("--no-build-isolation", "--editable", str(ROOT))


def read_stamp():
    """The two lines of the stamp; empty if .venv is missing or incomplete."""
    return STAMP.read_text().split("\n") if STAMP.exists() else ["", ""]


def make_ready():
    """Create or update .venv, unless it is up to date."""
    inputs = [PINS, CUDA_PINS, ROOT / "pyproject.toml"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in inputs)).hexdigest()
    made_by, installed = read_stamp()
    if (made_by, installed) == (MADE_BY, digest):
        return
    if not importlib.util.find_spec("ensurepip"):
        sys.exit("this Python cannot make virtual environments: apt-get install python3-venv")
    if VENV.is_symlink():  # what it leads to belongs to another folder, and would be emptied
        sys.exit(f"{VENV} is a link to {VENV.resolve()}: remove the link, then run this again")
    STAMP.unlink(missing_ok=True)  # without a stamp .venv counts as incomplete
    install(fresh=made_by != MADE_BY)
    STAMP.write_text(f"{MADE_BY}\n{digest}")


def main():
    with PINS.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second terminal waits until .venv is ready
        try:
            make_ready()
        except subprocess.CalledProcessError as error:
            sys.exit(f"set-up failed: see pip's message above (exit {error.returncode})")
        except KeyboardInterrupt:
            sys.exit(130)


if __name__ == "__main__":
    main()
