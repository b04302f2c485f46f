"""The ledger of a stage's loop: at every moment it is in exactly one activity.

Guarantees: the cells sum to the time since `start`. Clocks are read when the activity changes, never per event; a
stage that is `Unmeasured` reads none for its ledger.

Neighbours: `link` and the loops of `run` and `source` enter activities, `message` carries the numbers.
"""

from __future__ import annotations

import time

RECEIVE, DECODE, PROCESS, ENCODE, SEND, STARVED, BACKPRESSURED = range(7)
REPORT_NANOS = 1_000_000_000


class Ledger:
    """Where the loop's time went, in nanoseconds."""

    def __init__(self) -> None:
        self.cells = [0] * 7
        self.activity = PROCESS
        self.start()

    def start(self) -> None:
        """Forgets what was before: time counts from `Ready`."""
        self.cells = [0] * 7
        self.since = time.monotonic_ns()
        self._reported = self.since
        self._cpu = time.process_time_ns()

    def enter(self, activity: int) -> None:
        """Closes the activity before and begins this one."""
        now = time.monotonic_ns()
        self.cells[self.activity] += now - self.since
        self.since = now
        self.activity = activity

    def due(self) -> bool:
        """Whether it is time for a report."""
        return self.now() - self._reported >= REPORT_NANOS

    def now(self) -> int:
        """The time, as it was when the activity began: a moment ago."""
        return self.since

    def report(self, bytes_read: int = 0, bytes_total: int = 0) -> list[int]:
        """The fields of an `Activity` message, in order."""
        self.enter(self.activity)
        self._reported = self.now()
        return [*self.cells, time.process_time_ns() - self._cpu, bytes_read, bytes_total]


class Unmeasured(Ledger):
    """Where no account is wanted: all cells stay 0."""

    def enter(self, activity: int) -> None:
        """Does nothing."""

    def now(self) -> int:
        """The time."""
        return time.monotonic_ns()
