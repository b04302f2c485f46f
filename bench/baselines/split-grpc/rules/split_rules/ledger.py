"""Where this process's time goes.

One thread serves the stream and is always in one of three phases: receiving, processing or sending. The
work of gRPC's own threads cannot be timed from Python, but its CPU time can be read: what the whole process
spends while the handler receives is the cost of receiving, what it spends while the handler sends the cost of
sending, and the rest of the wall time of both is waiting. What gRPC's threads spend while the handler is at
work is read-ahead, so it counts as receiving. The clocks are read at the turn of a phase, never per event.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from typing import TypeVar

from split_rules.generated.split_pb2 import StageReport

M = TypeVar("M")


class Phase(enum.Enum):
    """What the handler's thread is in the middle of."""

    RECEIVE = enum.auto()
    PROCESS = enum.auto()
    SEND = enum.auto()


class Ledger:
    """The times and traffic of the one stream."""

    def __init__(self) -> None:
        """Start with everything at zero."""
        self._wall = dict.fromkeys(Phase, 0.0)
        self._cpu = dict.fromkeys(Phase, 0.0)
        self._read_ahead = 0.0
        self._serialise = 0.0
        self._deserialise = 0.0
        self._traffic = {"events_in": 0, "events_out": 0, "batches_in": 0, "batches_out": 0}
        self._is_closed = False

    def open(self) -> None:
        """Begin the window, receiving."""
        self._phase = Phase.RECEIVE
        self._last = self._clocks()

    def enter(self, phase: Phase) -> None:
        """Close the current phase and begin `phase`."""
        now = self._clocks()
        wall, cpu, thread = (after - before for after, before in zip(now, self._last, strict=True))
        self._wall[self._phase] += wall
        if self._phase is Phase.PROCESS:
            self._cpu[self._phase] += thread
            self._read_ahead += max(cpu - thread, 0.0)
        else:
            self._cpu[self._phase] += cpu
        self._phase = phase
        self._last = now

    def close(self) -> None:
        """End the window."""
        self.enter(Phase.RECEIVE)
        self._is_closed = True

    def count_in(self, events: int) -> None:
        """Count a batch that came in."""
        self._traffic["batches_in"] += 1
        self._traffic["events_in"] += events

    def count_out(self, events: int) -> None:
        """Count a batch that went out."""
        self._traffic["batches_out"] += 1
        self._traffic["events_out"] += events

    def serialising(self, serialise: Callable[[M], bytes]) -> Callable[[M], bytes]:
        """Return `serialise`, timed."""

        def timed(message: M) -> bytes:
            start = time.perf_counter()
            data = serialise(message)
            self._serialise += time.perf_counter() - start
            return data

        return timed

    def deserialising(self, deserialise: Callable[[bytes], M]) -> Callable[[bytes], M]:
        """Return `deserialise`, timed."""

        def timed(data: bytes) -> M:
            start = time.perf_counter()
            message = deserialise(data)
            self._deserialise += time.perf_counter() - start
            return message

        return timed

    def report(self) -> StageReport | None:
        """Return the closed window's report."""
        if not self._is_closed:
            return None
        send, receive = self._cpu[Phase.SEND], self._cpu[Phase.RECEIVE]
        transport_wall = self._wall[Phase.SEND] + self._wall[Phase.RECEIVE]
        return StageReport(
            **self._traffic,
            window_seconds=sum(self._wall.values()),
            process_seconds=self._wall[Phase.PROCESS],
            serialise_seconds=self._serialise,
            write_seconds=max(send - self._serialise, 0.0),
            read_seconds=max(receive - self._deserialise, 0.0) + self._read_ahead,
            deserialise_seconds=self._deserialise,
            waiting_seconds=max(transport_wall - send - receive, 0.0),
        )

    @staticmethod
    def _clocks() -> tuple[float, float, float]:
        return time.perf_counter(), time.process_time(), time.thread_time()
