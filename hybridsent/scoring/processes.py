"""The processes of a run: how they start, agree, and divide the cores of a machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from hybridsent.support.errors import PostsError
from hybridsent.support.machine import cores, keep_freed_memory

PATIENCE = timedelta(days=30)  # processes end at different times; the first wait for the last
Found = TypeVar("Found")


def start_process(device: str | None, cpu_threads: int | None) -> PartialState:
    """Meet the other processes of this run.

    Args:
        device: What the user asked for.
        cpu_threads: Threads of a model on the CPU; None means this process's part of the cores.

    Returns:
        Which process this is, of how many, and its device.

    Raises:
        RuntimeError: The processes did not meet; each would score everything.
    """
    on_cpu = device == "cpu" or not torch.accelerator.is_available()
    state = PartialState(cpu=on_cpu, timeout=PATIENCE)
    if state.num_processes != int(os.environ.get("WORLD_SIZE", "1")):
        raise RuntimeError("The processes did not meet: see configs/accelerate/ for what works.")
    if state.device.type == "cpu":
        torch.set_num_threads(cpu_threads or cores())
        keep_freed_memory()
    return state


def default_workers(device: str) -> int:
    """Return how many processes decode images for one model.

    Decoding takes about a tenth of the time that a model of the quickstart's size takes on the CPU, and
    beside it on one core would only cost; an accelerator is as hungry as all cores can feed.
    """
    if device == "cpu":
        return min(cores() - 1, max(1, cores() // 8))
    return min(8, cores())


def from_first_process(state: PartialState, find: Callable[[], Found]) -> Found:
    """Return in every process what the first one finds.

    Args:
        state: The processes; each of them must call this.
        find: Called in the first process only.

    Returns:
        The result of `find`, in all of them.

    Raises:
        PostsError: That of `find`, in the first process; the others end silently.
    """
    found: list[Any] = [None]
    if state.is_main_process:
        try:
            found = [find()]
        except PostsError as error:
            found = [error]
    broadcast_object_list(found)
    if isinstance(found[0], PostsError):
        if not state.is_main_process:
            state.destroy_process_group()
            sys.exit(1)
        raise found[0]
    return found[0]
