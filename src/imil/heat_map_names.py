"""The methods that draw heat-maps: their names in settings and for people, and a run's record."""

from __future__ import annotations

from pathlib import Path

from imil.atomic_files import write_json
from imil.errors import SettingsError
from imil.json_files import damaged_file, read_table

AUTO = "auto"  # relevance for vision transformers whose attention can be read, else Grad-CAM
HEAT_MAP_NAMES = {  # of each method, as people read them
    "grad-cam": "Grad-CAM",
    "relevance": "relevance propagation",
}


def check_heat_map(method: str, layer: str | None = None) -> str:
    """The name of a method, or `auto`.

    Args:
        layer: a layer that the user named; only Grad-CAM is drawn from one.
    Raises: SettingsError: no method has that name, or it contradicts the layer.
    """
    if method not in (AUTO, *HEAT_MAP_NAMES):
        known = ", ".join((AUTO, *HEAT_MAP_NAMES))
        raise SettingsError(f"unknown heat-map method '{method}': expected one of {known}")
    if layer is not None and method not in (AUTO, "grad-cam"):
        raise SettingsError(
            f"heat_map '{method}' and layer '{layer}' contradict each other: Grad-CAM alone is "
            "drawn from one layer; leave out one of them"
        )
    return method


def write_heat_map_method(path: Path, method: str | None) -> None:
    """Record which method drew a run's heat-maps; nothing where it is not known yet."""
    if method is not None:
        write_json(path, {"method": method})


def heat_map_name(path: Path) -> str:
    """The method of a run's record, as people read it; Grad-CAM where there is no record.

    Runs of earlier versions have none: all of their heat-maps were Grad-CAM.

    Raises: DataError: the record is damaged.
    """
    remedy = "delete it, and continue the run"
    if not path.exists():
        return HEAT_MAP_NAMES["grad-cam"]
    method = read_table(path, remedy).get("method")
    if method not in HEAT_MAP_NAMES:
        raise damaged_file(path, remedy)
    return HEAT_MAP_NAMES[method]
