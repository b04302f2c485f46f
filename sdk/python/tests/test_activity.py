"""When the ledger changes from one activity to another: the whole sequence, for conversations that are written down.

Each letter is one call of `enter`, which is one look at the clock: Receive, Decode, Process, Encode, Send, sTarved,
Backpressured. A call that is missing, or one too many, shows; so does one that is made for each event.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
import unittest
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, ClassVar, cast
from unittest import mock

import pyarrow as pa

from modular_runtime import Event, Sink, Source, Transform, activity, asynchronous, source, transform
from modular_runtime import filter as event_filter
from modular_runtime.activity import Ledger, Unmeasured
from modular_runtime.link import Link
from modular_runtime.message import NO_BATCH, BatchPolicy, block, uint
from modular_runtime.run import Process

from . import reference
from .peer import BATCH, CREDIT, open_message
from .test_conformance import NUMBERED, numbered

LETTERS = "RDPESTB"
COLUMNS = {"n": "int64?", "s": "string?"}
# The package has a function of the same name.
SOURCE_LOOP = sys.modules["modular_runtime.source"]


class Tracing(Ledger):
    """Writes down what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.trace = ""

    def start(self) -> None:
        super().start()
        self.trace = ""

    def enter(self, activity: int) -> None:
        super().enter(activity)
        self.trace += LETTERS[activity]


class Clock:
    """A clock that moves when it is looked at, by so little that nothing is ever late."""

    def __init__(self) -> None:
        self.looks = 0

    def monotonic_ns(self) -> int:
        self.looks += 1
        return self.looks

    def process_time_ns(self) -> int:
        return 0


class Script:
    """A socket whose other end says these parts and is gone.

    Before each part, and before the end, there is nothing to read: only who waits gets on.
    """

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = list(parts)
        self._said = b""

    def recv_into(self, room: memoryview, _: int, flags: int) -> int:
        if not self._said:
            if flags & socket.MSG_DONTWAIT:
                raise BlockingIOError
            self._said = self._parts.pop(0) if self._parts else b""
        size = min(len(room), len(self._said))
        room[:size], self._said = self._said[:size], self._said[size:]
        return size

    def sendall(self, data: bytes) -> None:
        """Takes what the stage says; what it says is for other tests."""


def framed(words: bytes, payload: bytes = b"") -> bytes:
    return struct.pack("<II", len(words), len(payload)) + words + payload


def opened(**values: Any) -> bytes:
    return framed(open_message(**{"window_batches": 4, "window_bytes": 1 << 30, "inline_max": 1 << 26} | values))


def batch(seq: int, rows: int) -> bytes:
    payload = reference.encode(NUMBERED, numbered(0, rows))
    words = (b"\x12\x2a", 9, seq, 0x11, NO_BATCH, 0x1D, len(payload), 0x25, rows, 0x2D, 0, 0x31, NO_BATCH)
    return framed(BATCH.pack(*words), payload)


def credit(seq: int) -> bytes:
    return framed(CREDIT.pack(b"\x1a\x13", 9, seq, 0x15, 0, 0x1D, 0))


BARRIER, END = framed(block(5, uint(1, 1))), framed(block(6, b""))


def lived(stage: object, parts: Sequence[bytes], code: int = 0, unmeasured: bool = False) -> str:
    """The ledger's changes in a life of `stage` in which the runtime says these parts."""
    link = Link(cast(socket.socket, Script(parts)), -1, -1)
    ledger = link.ledger = Tracing()
    clock = Clock()
    with (
        mock.patch.object(activity, "time", clock),
        mock.patch.object(SOURCE_LOOP, "time", clock),
        mock.patch.object(asynchronous, "time", clock),
    ):
        assert Process(link, stage).run() == code
        assert isinstance(link.ledger, Unmeasured) == unmeasured
    return ledger.trace


@event_filter
def kept(event: Event) -> bool:
    return True


@transform
def changed(event: Event) -> Event:
    return {"n": event["n"], "s": "new"}


@transform(batch=True)
def whole(batch: Any) -> Any:
    return batch


@transform(batch=True)
def twice(batch: Any) -> list[Any]:
    return [batch, batch]


class Held(Transform):
    def process(self, event: Event) -> None:
        return None

    def snapshot(self) -> bytes:
        return b"state"

    def finish(self) -> Iterator[Event]:
        yield {"n": 1, "s": "last"}


class Events(Sink):
    def write(self, event: Event) -> None:
        pass


class Batches(Sink, batch=True):
    def write(self, batch: Any) -> None:
        pass


def events(count: int) -> list[Event]:
    return [{"n": n, "s": "new"} for n in range(count)]


@source(output=COLUMNS)
def three() -> Iterator[Event]:
    yield from events(3)


@source(output=COLUMNS, batch=True)
def three_at_once() -> Iterator[Any]:
    yield pa.RecordBatch.from_pylist(events(3))


@source(output=COLUMNS)
async def three_awaited() -> AsyncIterator[Event]:
    for event in events(3):
        yield event


class Counted(Source, output=COLUMNS):
    def events(self) -> Iterator[Event]:
        yield from events(3)

    def snapshot(self) -> bytes:
        return b"state"


@source(output=COLUMNS)
def blocked() -> Iterator[Event]:
    first, *others = events(4)
    yield first
    Watched.look(2)
    yield from others


class Watched:
    """Stands for `threading`: the watch of a source looks when the generator says so, and in its thread."""

    Lock = threading.Lock
    watch: ClassVar[Callable[[], None]]
    looks: ClassVar[int]

    class Event:
        def wait(self, _: float) -> bool:
            Watched.looks -= 1
            return Watched.looks < 0

        def set(self) -> None:
            """Nobody waits."""

    class Thread:
        def __init__(self, target: Callable[[], None], name: str, daemon: bool) -> None:
            Watched.watch = target

        def start(self) -> None:
            """Not yet."""

    @classmethod
    def look(cls, times: int) -> None:
        cls.looks = times
        cls.watch()


class Changes(unittest.TestCase):
    """Each stage with few and with many events in a batch."""

    def lived(self, stage: object, rows: int, output: bool = True, unmeasured: bool = False) -> str:
        """A batch, a barrier, another batch and the end, all at once."""
        opening = opened(input=NUMBERED, output=NUMBERED if output else None, unmeasured=unmeasured)
        said = [opening, batch(0, rows), BARRIER, batch(1, rows), END]
        return lived(stage, [b"".join(said)], 0 if output else 1, unmeasured)

    def check(self, stage: object, expected: str, output: bool = True) -> None:
        for rows in (3, 300):
            self.assertEqual(self.lived(stage, rows, output), expected, rows)

    def test_events_that_go_on(self) -> None:
        self.check(kept, "SSDPEESSPSSDPEESSPPSSSSRT")

    def test_events_that_change(self) -> None:
        self.check(changed, "SSDPEESSPSSDPEESSPPSSSSRT")

    def test_batches(self) -> None:
        self.check(whole, "SSDPEESSPSSDPEESSPPSSSSRT")

    def test_a_state_and_an_end(self) -> None:
        self.check(Held, "SSDPESPSSDPESPESPPSSSSRT")

    def test_a_sink_of_events(self) -> None:
        self.check(Events, "SSDPSPSSDPSPPSSSSRT", output=False)

    def test_a_sink_of_batches(self) -> None:
        self.check(Batches, "SSDPSPSSDPSPPSSSSRT", output=False)

    def test_an_unmeasured_stage_has_no_changes(self) -> None:
        for stage, output in ((kept, True), (whole, True), (Events, False)):
            self.assertEqual(self.lived(stage, 3, output, unmeasured=True), "")


class Waits(unittest.TestCase):
    """Transforms that have to wait."""

    def test_for_batches(self) -> None:
        parts = [opened(input=NUMBERED, output=NUMBERED), batch(0, 3), batch(1, 3) + END]
        self.assertEqual(lived(kept, parts), "SSRTRDPEESSRSTRDPEESSPPSSSSRT")

    def test_for_credit(self) -> None:
        opening = opened(input=NUMBERED, output=NUMBERED, window_batches=1)
        parts = [opening + batch(0, 3), credit(0), credit(1) + END]
        self.assertEqual(lived(twice, parts), "SSDPEESSBRESSRSTRPPPSSRT")


class Sources(unittest.TestCase):
    """Sources, none of whose batches waits for more events unless that is what the case is about."""

    def check(
        self, stage: object, expected: str, parts: Sequence[bytes] = (), window_batches: int = 4, linger_us: int = 0
    ) -> None:
        policy = BatchPolicy(rows=2, linger_us=linger_us)
        opening = opened(output=NUMBERED, policy=policy, window_batches=window_batches)
        with mock.patch.object(SOURCE_LOOP, "threading", Watched):
            self.assertEqual(lived(stage, [opening, *parts]), expected)

    def test_of_events(self) -> None:
        self.check(three, "SSPEESESRPEESESRPPSSRT")

    def test_of_batches(self) -> None:
        self.check(three_at_once, "SSPEESEESESRPERPPSSRT")

    def test_that_awaits(self) -> None:
        # Its linger is the only real time here, and never over.
        self.check(three_awaited, "SSPEESESRRPEESESRRPPSSRT", linger_us=600_000_000)

    def test_that_waits_for_credit(self) -> None:
        self.check(three, "SSPEESESRBRPEESESRPPSSRT", [credit(0)], window_batches=1)

    def test_asked_for_its_state(self) -> None:
        self.check(Counted, "SSPEESESRBRPSSPEESESRPPSSRT", [BARRIER + credit(0)], window_batches=1)

    def test_whose_generator_blocks(self) -> None:
        """Its watch looks twice: after the first time it knows that nothing has come since."""
        self.check(blocked, "SSPREESESPEESESRPEESESRPERPPSSRT", linger_us=1)
