"""What is installed, what this machine has, and what is missing for which feature."""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from imil import __version__
from imil.errors import ImilError

# of the extras of pyproject.toml, in the order in which they are listed
PURPOSES = {
    "": "rounds, stores and readings",
    "train": "imil train, study and predict; your own loop; Lightning",
    "web": "the reading room: imil serve, --reader web",
    "ray": "studies on several machines",
    "postgres": "runs in a PostgreSQL database: --store",
    "slurm": "studies on SLURM: imil study run --slurm",
    "dicom": "DICOM files as images",
    "notebook": "the reading room and runs in a notebook: imil.notebook",
    "tensorboard": "runs in TensorBoard: imil train --logger tensorboard",
    "mlflow": "runs in MLflow: imil train --logger mlflow",
    "wandb": "runs in Weights & Biases: imil train --logger wandb",
    "huggingface": "the Trainer of transformers: imil.huggingface",
    "skorch": "nets of skorch: imil.skorch",
    "fastai": "learners of fastai: imil.fastai",
    "ignite": "trainers of Ignite: imil.ignite",
    "monai": "trainers of MONAI: imil.ignite",
    "torchxrayvision": "networks for chest films: imil train --model torchxrayvision:NAME",
    "keras": "model.fit of Keras 3: imil.keras",
    "deidentify": "DICOM files without names: imil deidentify",
    "dicom-export": "DICOM segmentations and reports: imil export --as dicom-seg",
    "dicomweb": "images from and results to a DICOMweb server: imil fetch",
    "nifti": "slices of NIfTI volumes as images, and masks: imil export --as masks-nifti",
}
NOT_FEATURES = ("all", "dev")
# programs, of which one is enough, and what they are for
PROGRAMS = {
    "browser": (
        ("chromium", "chromium-browser", "google-chrome", "firefox", "open"),
        "reading on this machine; readers on others need one there",
    ),
    "openssl": (("openssl",), "making a certificate for imil serve"),
    "psql": (("psql",), "looking into a PostgreSQL server"),
    "picture viewer": (("xdg-open", "open"), "--reader console shows cases in it"),
}
REQUIREMENT = re.compile(r"^\s*([\w.-]+)\s*(?:\[([\w,.\s-]+)\])?\s*([^;]*?)\s*(?:;\s*(.*))?$")
EXTRA = re.compile(r"""extra\s*==\s*["']([\w.-]+)["']""")

Installed = Callable[[str], str | None]


@dataclass(frozen=True)
class Package:
    """A package that a feature needs.

    Args:
        required: versions, such as `>=2.6`; empty: any.
        installed: version; None: it is not installed.
    """

    name: str
    required: str
    installed: str | None

    @property
    def fits(self) -> bool:
        """Whether it is installed, and not older than required."""
        least = re.search(r">=\s*([\w.]+)", self.required)
        if self.installed is None or least is None:
            return self.installed is not None
        return _numbers(self.installed) >= _numbers(least[1])


@dataclass(frozen=True)
class Feature:
    """What an extra is for, and the packages that it brings."""

    extra: str
    purpose: str
    packages: tuple[Package, ...]

    @property
    def missing(self) -> tuple[Package, ...]:
        """The packages that are not installed, or too old."""
        return tuple(package for package in self.packages if not package.fits)

    @property
    def install(self) -> str:
        """The command that installs what is missing; empty where nothing is."""
        quoted = (f"'{package.name}{package.required}'" for package in self.missing)
        return f"pip install {' '.join(quoted)}" if self.missing else ""


def installed_version(name: str) -> str | None:
    """The version of an installed package; None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def features(
    requirements: Iterable[str], installed: Installed = installed_version
) -> list[Feature]:
    """The features of the package, one for each extra.

    Args:
        requirements: as `importlib.metadata.requires` gives them.
        installed: the version of a package; None: it is not installed.
    """
    named: dict[str, dict[str, str]] = {}
    of_extras: dict[str, list[str]] = {}
    for line in requirements:
        match = REQUIREMENT.match(line)
        if match is None:
            continue
        name, inner, required, marker = match.groups()
        extra = found[1] if (found := EXTRA.search(marker or "")) else ""
        named.setdefault(extra, {})
        if name == "imil":
            of_extras.setdefault(extra, []).extend(re.split(r"\s*,\s*", inner or ""))
        else:
            named[extra][name] = required.strip("() ")
    order = [*PURPOSES, *named]
    return [
        Feature(
            extra,
            PURPOSES.get(extra, extra),
            tuple(
                Package(name, required, installed(name))
                for name, required in sorted(_with_inner(extra, named, of_extras).items())
            ),
        )
        for extra in sorted(named, key=order.index)
        if extra not in NOT_FEATURES
    ]


def _with_inner(
    extra: str, named: dict[str, dict[str, str]], of_extras: dict[str, list[str]]
) -> dict[str, str]:
    """The packages of an extra and of the extras that it brings."""
    result = dict(named.get(extra, {}))
    for inner in of_extras.get(extra, []):
        result |= _with_inner(inner, named, of_extras)
    return result


def what_to_install(module: str, requirements: Iterable[str] | None = None) -> str:
    """A sentence on a package that is missing, with the first extra that brings it.

    Args:
        module: what could not be imported, such as `torch.nn`.
        requirements: as `importlib.metadata.requires` gives them; None: those of imil.

    >>> what_to_install("tomli_w", ['tomli-w>=1.0; extra == "train"'])
    "this needs tomli-w, which is not installed: pip install 'imil[train]'"
    >>> what_to_install("ray.util", [])
    'this needs ray, which is not installed: see `imil doctor`'
    """
    package = module.partition(".")[0].replace("_", "-")
    listed = features(requires("imil") or [] if requirements is None else requirements)
    brings = (one.extra for one in listed if package in [p.name for p in one.packages])
    extra = next(filter(None, brings), "")
    install = f"pip install 'imil[{extra}]'" if extra else "see `imil doctor`"
    return f"this needs {package}, which is not installed: {install}"


def machine(cache: Path | None) -> dict[str, Any]:
    """Device and precision of a run, free memory, and the disk of the cache.

    What cannot be found out has a sentence under `why_not` in place of its values.
    """
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "device": _or_why_not(_device),
        "memory": _or_why_not(_memory),
        "cache": _or_why_not(lambda: _cache(cache)),
    }


def programs(which: Callable[[str], str | None] = shutil.which) -> dict[str, str | None]:
    """The path of each program that imil makes use of; None where there is none."""
    return {
        name: next(filter(None, map(which, names)), None) for name, (names, _) in PROGRAMS.items()
    }


def report(cache: Path | None = None) -> dict[str, Any]:
    """Everything as plain JSON values.

    Args:
        cache: folder of decoded images; None: IMIL_CACHE, or the user's cache folder.
    """
    return {
        "imil": __version__,
        "python": platform.python_version(),
        "features": [_as_dict(feature) for feature in features(requires("imil") or ())],
        "machine": machine(cache),
        "programs": programs(),
    }


def _as_dict(feature: Feature) -> dict[str, Any]:
    return {
        "extra": feature.extra,
        "purpose": feature.purpose,
        "packages": {
            one.name: {"required": one.required, "installed": one.installed, "fits": one.fits}
            for one in feature.packages
        },
        "complete": not feature.missing,
        "install": feature.install,
    }


def _or_why_not(values: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return values()
    except (ImilError, ImportError, OSError, RuntimeError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        return {"why_not": lines[0]}


def _device() -> dict[str, Any]:
    if find_spec("torch") is None:
        return {"why_not": "PyTorch is not installed"}
    import torch

    from imil.training.hardware.device import free_memory, precision, training_device

    device = training_device("auto")
    return {
        "torch": torch.__version__,
        "device": device.type,
        "name": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "precision": "bf16" if precision("auto", device) == "bf16-mixed" else "32",
        "free_bytes": free_memory(device),
    }


def _memory() -> dict[str, Any]:
    from imil.training.hardware.host_memory import free, granted

    return {"free_bytes": free() or None, "granted_bytes": granted()}


def _cache(path: Path | None) -> dict[str, Any]:
    from imil.data.cache_entries import cache_entries
    from imil.data.image_cache import cache_folder

    folder = cache_folder(path)
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    used = sum(entry.bytes for entry in cache_entries(folder))
    free = shutil.disk_usage(there).free
    return {"folder": str(folder), "used_bytes": used, "free_bytes": free}


def _numbers(text: str) -> tuple[int, ...]:
    """The numbers of a version; of `2.13.0+cpu`, 2, 13 and 0."""
    return tuple(int(number) for number in re.findall(r"\d+", text.partition("+")[0])[:3])
