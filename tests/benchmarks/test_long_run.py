"""What the long run calls growth, watched on programs that grow and on one that does not."""

import sys

import pytest

from benchmarks.long_run import compare, watch

GROWING = """
import signal, sys, threading, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
kept = []
while True:
    kept.append({})
    time.sleep(0.02)
"""
KINDS = {
    "nothing": "None",
    "memory": "bytearray(1 << 20)",
    "handles": "open(__file__)",
    "threads": "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
}


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr("benchmarks.long_run.PAUSE", 0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_what_grows_is_noticed(kind, often, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(GROWING.format(KINDS[kind]))
    samples = list(watch([sys.executable, script], 3))
    assert len(samples) >= 10
    rows, grown = compare("phase", samples)
    assert grown == (kind != "nothing")
    numbers = {row.split(" | ")[1]: row.split(" | ")[2:5] for row in rows}
    grew = {name for name, (first, _, last) in numbers.items() if float(last) > 1.2 * float(first)}
    expected = {"memory": "memory, MiB", "handles": "file handles", "threads": "threads"}
    assert grew == {expected[kind]} if kind in expected else not grew


def test_a_program_that_ends_of_itself_is_an_error(often):
    with pytest.raises(RuntimeError, match="ended with 3"):
        list(watch([sys.executable, "-c", "raise SystemExit(3)"], 20))
