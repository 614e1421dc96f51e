"""Memory that is kept from step to step."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from imil.training.hardware.malloc_settings import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        [bytearray(b"x") * (40 << 20) for _ in range(2)]  # above 32 MiB each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults())
keep_freed_memory()
faults()  # they are asked for once more, and kept
print(faults())
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc",
    reason="tunes the memory allocator of glibc, which is not this system's C library",
)
@pytest.mark.slow  # in a process that imports PyTorch anew
def test_kept_buffers_are_not_requested_again():
    output = subprocess.check_output([sys.executable, "-c", PROGRAM], text=True)
    before, after = map(int, output.split())  # pages that the kernel hands out
    assert before > 100_000
    assert after < 100
