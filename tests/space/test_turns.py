"""Turns: one at a time, the urgent first, no one forgotten."""

import threading

import pytest

from hybridsent_space.turns import PATIENT, URGENT, Turns


def waiting(turns, count):
    while len(turns._waiting) < count:
        threading.Event().wait(0.001)


def test_urgent_before_patient_and_first_come_first_served():
    turns, order, threads = Turns(), [], []

    def work(name, urgency):
        with turns.take(urgency):
            order.append(name)

    with turns.take(PATIENT):
        for i, (name, urgency) in enumerate(
            [("table 1", PATIENT), ("table 2", PATIENT), ("post 1", URGENT), ("post 2", URGENT)]
        ):
            threads.append(threading.Thread(target=work, args=(name, urgency)))
            threads[-1].start()
            waiting(turns, i + 1)
        assert order == []
    for thread in threads:
        thread.join()
    assert order == ["post 1", "post 2", "table 1", "table 2"]


def test_a_turn_that_fails_is_given_back():
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.take(URGENT):
        _ = 1 / 0
    with turns.take(PATIENT):
        pass


def test_never_two_at_once():
    turns, inside, most = Turns(), [], []

    def work(urgency):
        for _ in range(50):
            with turns.take(urgency):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work, args=(i % 2,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 400
    assert max(most) == 1
