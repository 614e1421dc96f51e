"""Which rank this process is, as its launcher says: torchrun, srun, or none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from imil.errors import SettingsError
from imil.settings import TrainSettings

FIRST_PORT, PORTS = 20_000, 10_000  # of SLURM jobs: below the ports that Linux gives out


@dataclass(frozen=True)
class Placement:
    """A process among those of a training.

    Args:
        rank: from 0.
        size: number of ranks.
        local_rank: among those of its machine, from 0.
        host, port: where the ranks meet; "" and 0 where rank 0 starts the others itself.
        launcher_listens: whether the launcher serves that address, not rank 0.
    """

    rank: int
    size: int
    local_rank: int
    host: str = ""
    port: int = 0
    launcher_listens: bool = False


ALONE = Placement(0, 1, 0)


def place(
    settings: TrainSettings, environment: Mapping[str, str]
) -> tuple[TrainSettings, Placement]:
    """Which rank this process is; and the settings, with the numbers that torchrun gives.

    Raises: SettingsError: as `find_placement`.
    """
    placement = find_placement(settings.devices, settings.nodes, environment)
    if placement.size == settings.devices * settings.nodes:
        return settings, placement
    local = int(environment.get("LOCAL_WORLD_SIZE", placement.size))
    numbers = {"devices": local, "nodes": max(1, placement.size // local)}
    return settings.model_copy(update=numbers), placement


def find_placement(devices: int, nodes: int, environment: Mapping[str, str]) -> Placement:
    """Which rank this process is.

    Args:
        devices: for each machine, as asked for.
        nodes: machines, as asked for; both are 1 where nobody asked: torchrun then says how many.
        environment: variables of this process.
    Raises: SettingsError: the launcher started another number, or several nodes have none.
    """
    size = devices * nodes
    if {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= environment.keys():
        return _of_torchrun(size, environment)
    if size == 1:  # SLURM's variables are there in any job: they change nothing
        return ALONE
    tasks = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if tasks == size:
        return _of_slurm(size, environment)
    if tasks > 1:
        raise SettingsError(
            f"srun started {tasks} tasks, and {_asked(devices, nodes)} needs {size}: give srun "
            f"--ntasks={size}"
        )
    if nodes > 1:
        raise SettingsError(
            f"{_asked(devices, nodes)} needs {size} processes on {nodes} machines, which imil "
            "cannot start itself: start it with srun or torchrun (docs/clusters.md)"
        )
    return Placement(0, size, 0)


def _of_torchrun(size: int, environment: Mapping[str, str]) -> Placement:
    started = int(environment["WORLD_SIZE"])
    if size not in (1, started):
        raise SettingsError(
            f"the launcher started {started} processes (WORLD_SIZE), and --devices and --nodes ask "
            f"for {size}: give the same numbers, or leave --devices and --nodes out"
        )
    rank = int(environment["RANK"])
    return Placement(
        rank,
        started,
        int(environment.get("LOCAL_RANK", rank)),
        environment["MASTER_ADDR"],
        int(environment["MASTER_PORT"]),
        environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
    )


def _of_slurm(size: int, environment: Mapping[str, str]) -> Placement:
    job = int(environment["SLURM_JOB_ID"]) + int(environment.get("SLURM_STEP_ID", 0))
    return Placement(
        int(environment["SLURM_PROCID"]),
        size,
        int(environment["SLURM_LOCALID"]),
        environment.get("MASTER_ADDR") or first_host(environment["SLURM_STEP_NODELIST"]),
        int(environment.get("MASTER_PORT", FIRST_PORT + job % PORTS)),
    )


def first_host(nodes: str) -> str:
    """The first machine of a list as SLURM writes it.

    >>> first_host("gpu[03-05,9],login1"), first_host("node7,node9"), first_host("a[1,2]-ib")
    ('gpu03', 'node7', 'a1-ib')
    """
    found = re.match(r"([^\[,]*)(?:\[(\w+)[^\]]*\])?([^,\[]*)", nodes)
    return "".join(part or "" for part in found.groups()) if found else nodes


def _asked(devices: int, nodes: int) -> str:
    return f"--devices {devices}" + (f" --nodes {nodes}" if nodes > 1 else "")
