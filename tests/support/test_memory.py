"""Freed memory stays in the process."""

import subprocess
import sys
from platform import libc_ver

import pytest

TOUCH = """import resource, sys
from hybridsent import keep_freed_memory
sys.argv[1] == "kept" and keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(64 << 20)
before = faults()
for _ in range(10):
    bytearray(64 << 20)
print(faults() - before)"""


def faults(way):
    """How often the system had to find a page for ten blocks of 64 MB, each freed before the next."""
    words = [sys.executable, "-c", TOUCH, way]
    return int(subprocess.run(words, capture_output=True, check=True, text=True).stdout)


@pytest.mark.skipif(libc_ver()[0] != "glibc", reason="not the C library of GNU")
def test_blocks_that_were_freed_are_not_cleared_anew_by_the_system():
    assert faults("kept") < 1000 < faults("as ever")
