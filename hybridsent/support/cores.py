"""Cores of the CPU."""

import os


def cores() -> int:
    """Return how many cores each process of a launch has on its machine, 1 at least.

    A cpuset or `taskset` may allow fewer cores than the machine has, and more threads than cores would
    wait for each other. Those allowed are shared by the launch: where it binds each process to cores
    of its own, say how many (`--cpu_threads`).
    """
    allowed = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    count = len(allowed(0)) if allowed else os.cpu_count() or 1
    return max(1, count // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
