"""No more threads than the cores that a process may use."""

import os
import subprocess
import sys

import pytest

PRINT = """
import os
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{count}])
from hybridsent.scoring.processes import default_workers
from hybridsent.support.machine import cores
print(cores(), default_workers("cpu"), default_workers("cuda"))"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
@pytest.mark.parametrize(
    ("count", "processes", "printed"),
    [(1, None, "1 0 1"), (2, None, "2 1 2"), (2, "2", "1 0 1"), (1, "2", "1 0 1")],
)
def test_cores_are_those_allowed_shared_by_the_processes_of_a_launch(count, processes, printed):
    if len(os.sched_getaffinity(0)) < count:
        pytest.skip("this machine has too few cores")
    launch = {"LOCAL_WORLD_SIZE": processes} if processes else {}
    command = [sys.executable, "-c", PRINT.format(count=count)]
    found = subprocess.run(
        command, env={**os.environ, **launch}, capture_output=True, check=True, text=True
    )
    assert found.stdout.split("\n")[0] == printed
