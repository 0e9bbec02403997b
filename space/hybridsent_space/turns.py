"""Who may use the model next: one post goes before a table, and nobody waits for a whole table."""

import heapq
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

URGENT, PATIENT = 0, 1


class Turns:
    """A lock that is handed to the most urgent who waits, first come first served among equals.

    Two passes of a model at once would share the cores badly: each would take several times as long.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[tuple[int, int]] = []
        self._numbers = itertools.count()
        self._taken = False

    @contextmanager
    def take(self, urgency: int) -> Iterator[None]:
        """Wait for a turn and hold it.

        Args:
            urgency: `URGENT` or `PATIENT`.
        """
        place = (urgency, next(self._numbers))
        with self._changed:
            heapq.heappush(self._waiting, place)
            self._changed.wait_for(lambda: not self._taken and self._waiting[0] == place)
            heapq.heappop(self._waiting)
            self._taken = True
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()
