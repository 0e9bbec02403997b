"""A folder is one run's at a time, until that run is over, however it ends."""

import os
import signal
import subprocess
import sys

import pytest

from datasets_scripts import PostsError
from hybridsent.support.locking import LOCK, FolderLock, one_run_in

HOLD = """
import sys
from hybridsent.support.locking import one_run_in
with one_run_in(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
print("left", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def require_refused(folder):
    with (
        pytest.raises(PostsError, match="another run is writing here") as caught,
        one_run_in(folder),
    ):
        raise AssertionError("let in")
    assert str(caught.value).startswith(f"{folder}: ")


def test_let_in_once_the_other_run_has_left(holder, tmp_path):
    require_refused(tmp_path / "out")
    holder.stdin.write(b"\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == b"left\n"
    with one_run_in(tmp_path / "out"):
        assert [file.name for file in (tmp_path / "out").iterdir()] == [LOCK]


def test_let_in_once_the_other_run_was_killed(holder, tmp_path):
    require_refused(tmp_path / "out")
    holder.kill()
    holder.wait()
    with one_run_in(tmp_path / "out"):
        pass


def test_the_processes_of_one_run_share_it(tmp_path):
    first, other = FolderLock(tmp_path), FolderLock(tmp_path)
    for lock in (first, first, other):
        lock.join() if (tmp_path / LOCK).exists() else lock.claim()
    for lock in (first, other):  # refused until the last of them has left
        require_refused(tmp_path)
        lock.release()
    with one_run_in(tmp_path):
        assert [file.name for file in tmp_path.iterdir()] == [LOCK]


def test_what_a_killed_process_of_a_run_left_is_no_run(tmp_path):
    (tmp_path / f"{LOCK}-7").touch()
    with one_run_in(tmp_path):
        assert [file.name for file in tmp_path.iterdir()] == [LOCK]


def test_a_forked_worker_that_lives_on_holds_no_lock(tmp_path):
    code = f"""
import os, time
from hybridsent.support.locking import FolderLock
lock = FolderLock({str(tmp_path)!r})
lock.claim()
if not os.fork():
    print(os.getpid(), flush=True)  # it runs, and so has let go of what it inherited
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        worker = int(process.stdout.readline())
        require_refused(tmp_path)
        process.kill()
        process.wait()
        with one_run_in(tmp_path):
            os.kill(worker, signal.SIGKILL)


def test_what_is_in_the_way_is_named(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(PostsError, match=r"out: cannot be written\n  - .*File exists"):
        FolderLock(tmp_path / "out").claim()
    with pytest.raises(PostsError, match="out/deeper: cannot be written"):
        FolderLock(tmp_path / "out" / "deeper").claim()
