"""A command ends with one message: ours as it is, a library's with where it came from."""

import errno
import json
import os
import re
import signal
import sys
import threading
import time
from importlib import import_module

import pytest
import torch
import torch.multiprocessing as multiprocessing
from file_limit import limited_files
from safetensors.torch import save_file

from datasets_scripts import PostsError
from hybridsent.publishing.publish import PublishError
from hybridsent.support.command_line import run_command


def said_by(run, capsys, **given):
    status = run_command(run, **given)
    said = capsys.readouterr()
    assert not said.out
    return status, said.err


def test_a_command_that_ends_well_says_nothing(capsys):
    assert said_by(lambda: None, capsys) == (0, "")


@pytest.mark.parametrize(
    "error", [PublishError("m: has no card"), PostsError.about("posts.csv", "no posts in it")]
)
def test_our_own_error_is_its_message_and_nothing_more(error, capsys):
    # This file is not in the package: raise it as if from there.
    code = compile("raise error", "run_train.py", "exec")
    names = {"__name__": "hybridsent.run", "error": error}
    assert said_by(lambda: exec(code, names), capsys) == (1, f"error: {error}\n")


def test_the_error_of_a_library_says_which_and_how_to_see_more(capsys):
    status, said = said_by(lambda: json.loads("{"), capsys)
    assert status == 1
    assert said.startswith("error: Expecting property name")
    assert said.endswith("(JSONDecodeError from json; --debug shows how it came about.)\n")


def test_a_package_of_an_extra_that_is_absent_is_named_with_what_to_type(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "imagehash", None)
    monkeypatch.delitem(sys.modules, "datasets_scripts.similar", raising=False)
    status, said = said_by(lambda: import_module("datasets_scripts.similar"), capsys)
    assert status == 1
    assert said.endswith("Type: pip install 'hybridsent[audit]'\n")


def test_an_error_without_words_is_named(capsys):
    assert said_by(lambda: next(iter(())), capsys)[1].startswith("error: StopIteration\n")


def test_a_file_that_the_system_refuses_is_named(tmp_path, capsys):
    status, said = said_by(lambda: (tmp_path / "no" / "such").open(), capsys)
    assert (status, said.count("\n")) == (1, 1)
    assert f"No such file or directory: '{tmp_path}/no/such'" in said


def test_debug_raises(capsys):
    with pytest.raises(json.JSONDecodeError):
        run_command(lambda: json.loads("{"), debug=True)
    assert not capsys.readouterr().err


def test_an_interrupt_is_no_error(capsys):
    def run():
        raise KeyboardInterrupt

    assert said_by(run, capsys) == (130, "Interrupted.\n")


WRITERS = {
    "python": lambda file: file.write_bytes(bytes(10_000)),
    "safetensors": lambda file: save_file({"a": torch.zeros(10_000)}, file),
    "torch": lambda file: torch.save({"a": torch.zeros(10_000)}, file),
}


@pytest.mark.parametrize("library", WRITERS)
def test_a_full_disk_is_told_as_one_whichever_library_met_it(library, tmp_path, capsys):
    """A limit on the size of files stands for the disk: the system refuses the write all the same."""
    with limited_files(5_000):
        status, said = said_by(lambda: WRITERS[library](tmp_path / "weights"), capsys)
    assert status == 1
    assert "Disk full." in said


def test_a_full_disk_is_seen_behind_another_error(capsys):
    def run():
        try:
            raise OSError(errno.ENOSPC, "No space left on device", "answers")
        except OSError as error:
            raise RuntimeError("the writer failed") from error

    assert "Disk full." in said_by(run, capsys)[1]


def test_causes_in_a_circle_are_looked_at_once(capsys):
    def run():
        try:
            raise RuntimeError("the writer failed")
        except RuntimeError as error:
            other = ValueError("no number")
            other.__cause__ = error
            raise error from other

    assert said_by(run, capsys)[1].startswith("error: the writer failed\n")


def test_memory_that_is_used_up_is_told_with_advice(capsys):
    status, said = said_by(lambda: torch.zeros(1).expand(10**14).contiguous(), capsys)
    assert status == 1
    assert re.search(r"can't allocate memory.*\nOut of memory: try a smaller batch size.", said)


def hand_over_a_tensor(queue):
    queue.put(torch.zeros(1000))
    time.sleep(600)


def kill_dead(worker):
    worker.kill()
    worker.join()


def kill_while_it_is_asked(worker):
    os.kill(worker.pid, signal.SIGSTOP)  # the system takes the connection, and nobody answers
    threading.Timer(0.5, worker.kill).start()


@pytest.mark.parametrize("end", [kill_dead, kill_while_it_is_asked])
def test_a_worker_that_dies_while_it_hands_a_batch_over_is_told_as_such(end, capsys):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    worker = context.Process(target=hand_over_a_tensor, args=(queue,))
    worker.start()
    while queue.empty():
        time.sleep(0.01)
    end(worker)
    status, said = said_by(queue.get, capsys)
    worker.join()
    assert status == 1
    # First what the system says: refused, reset, a broken pipe, or the end of what can be read.
    assert re.match(r"error: .+\nA worker process died", said)


def test_a_lost_connection_to_another_machine_is_no_dead_worker(capsys):
    def run():
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    assert "worker" not in said_by(run, capsys)[1]
