"""Freed memory stays in processes that train or score on a CPU."""

import subprocess
import sys
from platform import libc_ver

import pytest

pytestmark = pytest.mark.skipif(libc_ver()[0] != "glibc", reason="not the C library of GNU")

COUNT = """
import resource
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(64 << 20)
before = faults()
for _ in range(10):
    bytearray(64 << 20)
print(faults() - before)"""
STARTS = {
    "function": "from hybridsent import keep_freed_memory\nkeep_freed_memory()",
    "train": "from hybridsent.training.arguments import parse_arguments\n"
    "parse_arguments(['--use_cpu', 'true'])",
    "predict": "from hybridsent.scoring.processes import start_process\nstart_process('cpu', 1)",
}


def faults(start):
    """How often the system had to find a page for ten blocks of 64 MB, each freed before the next."""
    words = [sys.executable, "-c", start + COUNT]
    printed = subprocess.run(words, capture_output=True, check=True, text=True).stdout
    return int(printed.splitlines()[-1])


def test_without_it_the_system_clears_each_block_anew():
    assert faults("") > 100


@pytest.mark.parametrize("way", STARTS)
def test_freed_blocks_are_used_again(way):
    assert faults(STARTS[way]) < 100
