"""When the ledger changes from one activity to another: the whole sequence, for conversations that never wait.

Each letter is one call of `enter`, which is one look at the clock: Receive, Decode, Process, Encode, Send, sTarved,
Backpressured. A call that is missing, or one too many, shows; so does one that is made for each event.
"""

from __future__ import annotations

import socket
import struct
import unittest
from collections.abc import Iterator
from typing import Any
from unittest import mock

from modular_runtime import Event, Sink, Transform, activity, transform
from modular_runtime import filter as event_filter
from modular_runtime.activity import Ledger, Unmeasured
from modular_runtime.link import Link
from modular_runtime.message import NO_BATCH, block, uint
from modular_runtime.run import Process

from . import reference
from .peer import BATCH, open_message
from .test_conformance import NUMBERED, numbered

LETTERS = "RDPESTB"
BARRIER, END = block(5, uint(1, 1)), block(6, b"")


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


def framed(words: bytes, payload: bytes = b"") -> bytes:
    return struct.pack("<II", len(words), len(payload)) + words + payload


def conversation(rows: int, output: bool, unmeasured: bool) -> bytes:
    """`Open`, a batch, a barrier, another batch, the end."""
    columns = {"input": NUMBERED, "output": NUMBERED if output else None}
    said = open_message(**columns, window_batches=4, window_bytes=1 << 30, inline_max=1 << 26, unmeasured=unmeasured)
    payload = reference.encode(NUMBERED, numbered(0, rows))
    frames = [framed(said)]
    for seq, then in enumerate((BARRIER, END)):
        batch = (b"\x12\x2a", 9, seq, 0x11, NO_BATCH, 0x1D, len(payload), 0x25, rows, 0x2D, 0, 0x31, NO_BATCH)
        frames += [framed(BATCH.pack(*batch), payload), framed(then)]
    return b"".join(frames)


def lived(stage: object, rows: int, output: bool = True, unmeasured: bool = False) -> str:
    """The ledger's changes in a life of `stage`."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
    ours.sendall(conversation(rows, output, unmeasured))
    ours.shutdown(socket.SHUT_WR)
    link = Link(theirs, -1, -1)
    ledger = link.ledger = Tracing()
    with mock.patch.object(activity, "time", Clock()), ours, theirs:
        code = Process(link, stage).run()
        assert code == (1 if isinstance(stage, type) and issubclass(stage, Sink) else 0), ours.recv(1 << 20)
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


class Changes(unittest.TestCase):
    """Each stage with few and with many events in a batch."""

    def check(self, stage: object, expected: str, output: bool = True) -> None:
        for rows in (3, 300):
            self.assertEqual(lived(stage, rows, output), expected, rows)

    def test_events_that_go_on(self) -> None:
        self.check(kept, "SSDPEESSPSSDPEESSPPPSSR")

    def test_events_that_change(self) -> None:
        self.check(changed, "SSDPEESSPSSDPEESSPPPSSR")

    def test_batches(self) -> None:
        self.check(whole, "SSDPEESSPSSDPEESSPPPSSR")

    def test_a_state_and_an_end(self) -> None:
        self.check(Held, "SSDPESPSSDPESPESPPPSSR")

    def test_a_sink_of_events(self) -> None:
        self.check(Events, "SSDPSPSSDPSPPPSSR", output=False)

    def test_a_sink_of_batches(self) -> None:
        self.check(Batches, "SSDPSPSSDPSPPPSSR", output=False)

    def test_an_unmeasured_stage_has_no_changes(self) -> None:
        for stage, output in ((kept, True), (whole, True), (Events, False)):
            self.assertEqual(lived(stage, 3, output, unmeasured=True), "")
