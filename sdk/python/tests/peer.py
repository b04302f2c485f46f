"""Plays the runtime: starts a stage as a process, feeds it and keeps what it answers.

It checks on the way what always holds: numbers without gaps, the window, what comes before a credit, and that nobody
looks at a slot after its credit, by overwriting it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from modular_runtime import message
from modular_runtime.message import NO_BATCH, BatchPolicy, block, fields, text, uint
from modular_runtime.schema import Schema
from modular_runtime.segment import Slots

from . import reference

ROOT = Path(__file__).parent.parent
WAIT_SECONDS = 60
Rows: TypeAlias = list[tuple[Any, ...]]
BATCH = struct.Struct("<2sBQBQBIBIBIBQ")
CREDIT = struct.Struct("<2sBQBIBI")
ACTIVITY = 7


@dataclass
class Setting:
    """How the runtime carries batches."""

    input_segment: int = 1 << 22
    output_segment: int = 1 << 22
    inline_max: int = 64
    window_batches: int = 4
    window_bytes: int = 1 << 22


SHM = Setting()
INLINE = Setting(input_segment=0, output_segment=0, inline_max=1 << 20)


@dataclass
class Output:
    """A batch that the stage sent."""

    rows: int
    form: int
    input: int
    payload: bytes
    inline: bool


@dataclass
class Failure:
    """A `Failed` message."""

    kind: int = 0
    code: str = ""
    message: str = ""
    detail: str = ""
    input: int = 0
    rows: list[int] = field(default_factory=list)


@dataclass
class Ready:
    """A `Ready` message."""

    protocol: int = 0
    sdk: str = ""
    role: int = 0
    concurrency: int = 0
    output: Schema | None = None


def open_message(**values: Any) -> bytes:
    """The bytes of a `ToStage` with `Open`."""
    body = uint(1, values.get("protocol", 1)) + uint(2, 7) + text(3, "stage") + text(4, values.get("config", "{}"))
    for number, name in ((5, "input"), (6, "output")):
        if values.get(name) is not None:
            body += block(number, message._schema_bytes(values[name]))
    for number, name in enumerate(
        ("window_batches", "window_bytes", "inline_max", "input_segment", "output_segment"), 7
    ):
        body += uint(number, values.get(name, 0))
    policy = values.get("policy")
    if policy is not None:
        body += block(12, uint(1, policy.rows) + uint(2, policy.linger_us))
    body += uint(13, values.get("state_chunks", 0)) + uint(15, 1) + uint(16, values.get("unmeasured", 0))
    return block(1, body)


class Peer:
    """A stage's process and the runtime's end of its link."""

    def __init__(
        self,
        command: Sequence[str],
        input: Schema | None = None,
        output: Schema | None = None,
        config: str = "{}",
        setting: Setting = SHM,
        state: Sequence[bytes] = (),
        policy: BatchPolicy | None = None,
        credit: bool = True,
        protocol: int = 1,
        opened: bool = True,
    ) -> None:
        self.setting = setting
        self.credits: dict[int, tuple[int, int]] = {}
        self.outputs: list[Output] = []
        self.failures: list[Failure] = []
        self.states: list[bytes] = []
        self.snapshots: list[tuple[int, int]] = []
        self.activities: list[list[int]] = []
        self.done: tuple[str, int] | None = None
        self.ready: Ready | None = None
        self.committed = False
        self.problem: BaseException | None = None
        self._auto_credit = credit
        self._unpaid: dict[int, int] = {}
        self._in_slots: dict[int, tuple[int, int]] = {}
        self._sent = 0
        self._slots = Slots(setting.input_segment)
        self._changed = threading.Condition()
        self._write_lock = threading.Lock()
        self._closed = False
        self._socket, theirs = socket.socketpair()
        self._segments = [os.memfd_create("input"), os.memfd_create("output")]
        os.ftruncate(self._segments[0], setting.input_segment)
        os.ftruncate(self._segments[1], setting.output_segment)
        numbers = [theirs.fileno(), *self._segments]
        place = "socket={},input={},output={}".format(*numbers)
        environment = os.environ | {"MODRUN_STAGE": place, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            pass_fds=numbers,
        )
        theirs.close()
        self._reader = threading.Thread(target=self._read_all, daemon=True)
        self._reader.start()
        if opened:
            words = vars(setting) | {"config": config, "input": input, "output": output, "policy": policy}
            self.write(open_message(**words, protocol=protocol, state_chunks=len(state)))
            for index, chunk in enumerate(state):
                self.write(block(4, uint(1, index)), chunk)

    def write(self, words: bytes, payload: bytes = b"") -> None:
        """Sends a frame."""
        self.write_raw(struct.pack("<II", len(words), len(payload)) + words + payload)

    def write_raw(self, data: bytes) -> None:
        """Sends bytes; what becomes of a stage that has ended before is told by what it said."""
        with self._write_lock, contextlib.suppress(ConnectionError):
            self._socket.sendall(data)

    def send(self, payload: bytes, rows: int) -> int:
        """Sends a batch as soon as the window has room; gives its number."""
        setting = self.setting
        self.wait(lambda: self.ready and self._sent - len(self.credits) < setting.window_batches)
        seq, offset, inline = self._sent, NO_BATCH, payload
        self._sent += 1
        if len(payload) > setting.inline_max and setting.input_segment:
            slot: int | None = None

            def found() -> bool:
                nonlocal slot
                slot = self._slots.take(len(payload))
                return slot is not None

            self.wait(found)
            assert slot is not None
            offset, inline = slot, b""
            os.pwrite(self._segments[0], payload, offset)
            self._in_slots[seq] = offset, len(payload)
        batch = BATCH.pack(b"\x12\x2a", 9, seq, 0x11, offset, 0x1D, len(payload), 0x25, rows, 0x2D, 0, 0x31, NO_BATCH)
        self.write(batch, inline)
        return seq

    def give_credit(self, seq: int) -> None:
        """Gives credit for a batch of the stage."""
        with self._changed:
            self._unpaid.pop(seq)
        self.write(CREDIT.pack(b"\x1a\x13", 9, seq, 0x15, 0, 0x1D, 0))

    def barrier(self, epoch: int) -> None:
        """Asks for the state."""
        self.write(block(5, uint(1, epoch)))

    def end(self) -> None:
        """Says that there is no more."""
        self.write(block(6, b""))

    def commit(self) -> None:
        """Says that the run has succeeded."""
        self.write(block(7, b""))

    def wait(self, test: Callable[[], Any]) -> None:
        """Waits until something holds; fails if the stage's end comes first."""
        held = False

        def over() -> bool:
            nonlocal held
            held = held or bool(test())
            return held or self._closed or self.problem is not None

        with self._changed:
            self._changed.wait_for(over, WAIT_SECONDS)
            if self.problem:
                raise self.problem
            assert held, f"the stage did not do what was waited for; failures: {self.failures}"

    def close(self) -> tuple[int, str, str]:
        """Ends the link; the exit code, stdout and stderr of the process."""
        self._socket.shutdown(socket.SHUT_WR)
        out, err = self.process.communicate(timeout=WAIT_SECONDS)
        self._reader.join(WAIT_SECONDS)
        self._socket.close()
        for segment in self._segments:
            os.close(segment)
        if self.problem:
            raise self.problem
        return self.process.returncode, out.decode(), err.decode()

    def _read_all(self) -> None:
        try:
            stream = self._socket.makefile("rb")
            while head := stream.read(8):
                message_bytes, payload_bytes = struct.unpack("<II", head)
                words, payload = stream.read(message_bytes), stream.read(payload_bytes)
                with self._changed:
                    self._take(words, payload)
                    self._changed.notify_all()
        except ConnectionError:
            pass
        except BaseException as error:
            self.problem = error
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _take(self, words: bytes, payload: bytes) -> None:
        [(number, value)] = fields(words)
        assert isinstance(value, bytes)
        assert self.done is None or number in (3, 9), "after `Done` come only `Credit` and `Committed`"
        if number == 2:
            self._take_batch(words, payload)
            return
        assert number == 4 or not payload
        if number == 3:
            tag, t1, seq, t2, events, t3, filtered = CREDIT.unpack(words)
            assert (tag, t1, t2, t3) == (b"\x1a\x13", 9, 0x15, 0x1D) and seq == len(self.credits)
            self.credits[seq] = events, filtered
            if seq in self._in_slots:
                offset, length = self._in_slots.pop(seq)
                os.pwrite(self._segments[0], b"\xa5" * length, offset)
                self._slots.free(offset)
            return
        found = list(fields(value))
        numbers = {key: value for key, value in found if isinstance(value, int)}
        texts = {key: value for key, value in found if isinstance(value, bytes)}
        words_of = {key: value.decode() for key, value in texts.items() if number in (1, 6, 8) and key not in (5, 6)}
        if number == 1:
            output = message._schema(texts[5]) if 5 in texts else None
            self.ready = Ready(numbers.get(1, 0), words_of[2], numbers[3], numbers[4], output)
        elif number == 4:
            assert numbers.get(1, 0) == len(self.states)
            self.states.append(payload)
        elif number == 5:
            self.snapshots.append((numbers.get(1, 0), numbers.get(2, 0)))
        elif number == 6:
            rows, at = [], 0
            packed = texts.get(6, b"")
            while at < len(packed):
                row, at = message._varint_at(packed, at)
                rows.append(row)
            assert not rows or numbers.get(5, 0) == len(self.credits), "rows fail before their batch's credit"
            self.failures.append(
                Failure(
                    numbers.get(1, 0),
                    words_of.get(2, ""),
                    words_of.get(3, ""),
                    words_of.get(4, ""),
                    numbers.get(5, 0),
                    rows,
                )
            )
        elif number == ACTIVITY:
            self.activities.append([numbers.get(key, 0) for key in range(1, 11)])
        elif number == 8:
            self.done = words_of.get(1, ""), numbers.get(2, 0)
        else:
            assert number == 9 and self.done is not None
            self.committed = True

    def _take_batch(self, words: bytes, payload: bytes) -> None:
        tag, t1, seq, t2, offset, t3, length, t4, rows, t5, form, t6, cause = BATCH.unpack(words)
        assert (tag, t1, t2, t3, t4, t5, t6) == (b"\x12\x2a", 9, 0x11, 0x1D, 0x25, 0x2D, 0x31)
        assert seq == len(self.outputs) and self.ready
        assert cause == NO_BATCH or cause == len(self.credits), "what a batch causes comes before its credit"
        inline = offset == NO_BATCH
        assert inline == (length <= self.setting.inline_max or not self.setting.output_segment)
        if inline:
            assert len(payload) == length <= self.setting.inline_max
        else:
            assert not payload and offset % 64 == 0 and offset + length <= self.setting.output_segment
            payload = os.pread(self._segments[1], length, offset)
        self._unpaid[seq] = length
        single = len(self._unpaid) == 1
        assert single or len(self._unpaid) <= self.setting.window_batches
        assert single or sum(self._unpaid.values()) <= self.setting.window_bytes
        self.outputs.append(Output(rows, form, cause, payload, inline))
        if self._auto_credit:
            self.give_credit(seq)


def conformance(stage: str, form: str = "event", **values: Any) -> Peer:
    """A peer of one of the stages under test."""
    return Peer([str(ROOT / "conformance.py"), stage, form], **values)


def rows_of(outputs: Sequence[Output], batches: Sequence[Rows], columns: Schema) -> Rows:
    """The rows that a stage sent, tables and selections alike."""
    found: Rows = []
    for output in outputs:
        if output.form == 0:
            rows = reference.decode(columns, output.payload)
        else:
            table = batches[output.input]
            flags = reference._flags(output.payload, len(table))
            rows = [row for row, kept in zip(table, flags, strict=True) if kept]
        assert len(rows) == output.rows
        found += rows
    return found
