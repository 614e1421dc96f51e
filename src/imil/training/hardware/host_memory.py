"""How much of the computer's memory this process may have; a container may grant it less."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
# of the second and of the first version of control groups: the limit, and what is used of it
CGROUP_V2 = "memory.max", "memory.current"
CGROUP_V1 = "memory.limit_in_bytes", "memory.usage_in_bytes"


def granted() -> int | None:
    """Bytes of memory that this process may have; None if unknown."""
    limits = [limit for limit, _ in _groups()]
    if hasattr(os, "sysconf"):  # not on Windows
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(limits, default=None)


def free() -> int:
    """Bytes of it that are left; 0 if unknown.

    What the system holds of files counts as free, for it can be read again.
    """
    left = [limit - used for limit, used in _groups()]
    kilobytes = _values(PROC / "meminfo").get("MemAvailable:", 0)
    return max(0, min([1024 * kilobytes, *left]))


def _groups() -> Iterator[tuple[int, int]]:
    """Limit and use, in bytes, of each control group around this process that has a limit."""
    for line in _text(PROC / "self" / "cgroup").splitlines():
        _, kinds, inner = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        names = CGROUP_V1 if kinds else CGROUP_V2
        innermost = (GROUPS / "memory" if kinds else GROUPS) / inner.lstrip("/")
        for group in (innermost, *innermost.parents):
            limit, used = (_text(group / name).strip() for name in names)
            if limit.isdigit() and used.isdigit():  # "max": none
                held = _values(group / "memory.stat")
                of_files = held.get("active_file", 0) + held.get("inactive_file", 0)
                yield int(limit), int(used) - of_files


def _values(path: Path) -> dict[str, int]:
    """The first number of each line, by the word before it."""
    lines = (line.split() for line in _text(path).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
