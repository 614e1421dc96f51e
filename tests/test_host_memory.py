"""How much memory a process may have, on machines and in containers that are not this one."""

import os

import pytest

from imil.training.hardware import host_memory

HERE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Writes the files in which Linux tells of memory: 8,000 kB are available."""
    monkeypatch.setattr(host_memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(host_memory, "GROUPS", tmp_path / "groups")

    def write(**files):
        files["proc/meminfo"] = "MemFree: 1 kB\nMemAvailable:  8000 kB\n"
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def test_without_a_container_it_is_the_computers(machine):
    machine()
    assert host_memory.granted() == HERE
    assert host_memory.free() == 8_192_000


@pytest.mark.parametrize("inner", ["", "job/step/"])
def test_a_container_grants_what_it_or_one_around_it_does(machine, inner):
    machine(
        **{
            "proc/self/cgroup": "0::/job/step\n",
            "groups/job/step/memory.max": "max\n",
            "groups/job/step/memory.current": "10\n",
            f"groups/{inner}memory.max": "5000\n",
            f"groups/{inner}memory.current": "3000\n",
            f"groups/{inner}memory.stat": "anon 1200\nactive_file 700\ninactive_file 100\n",
        }
    )
    assert host_memory.granted() == 5000
    assert host_memory.free() == 5000 - 3000 + 800


def test_control_groups_of_the_first_version_are_known_too(machine):
    machine(
        **{
            "proc/self/cgroup": "3:cpu,cpuacct:/a\n7:memory:/docker/a\n",
            "groups/memory/memory.limit_in_bytes": "5000\n",  # as it is seen from within
            "groups/memory/memory.usage_in_bytes": "6000\n",
        }
    )
    assert host_memory.granted() == 5000
    assert host_memory.free() == 0


def test_a_system_that_says_nothing_has_none_to_give(tmp_path, monkeypatch):
    monkeypatch.setattr(host_memory, "PROC", tmp_path)
    assert host_memory.free() == 0
