"""The link to the runtime: frames, segments, windows and the ledger of the stage's loop in one place.

```text
 socket ──▶ inbox (Batch, Barrier, End, Commit in order; Credit at once frees its slot)
 send() ──▶ waits for room in the window and the segment, reading all the while ──▶ writer ──flush()──▶ socket
```

Guarantees: neither more batches nor more bytes than the window allows are without credit. Replies leave together,
but none waits while there is nothing more to read, nor longer than `HELD_NANOS`.

Refuses: messages that make no sense where they come, with a `ProtocolError`.

Neighbours: `frame` and `segment` below, `run` and `source` above.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from typing import TypeAlias

from . import activity, message
from .activity import Ledger, Unmeasured
from .answer import Answer
from .failure import Cause, ProtocolError
from .frame import STATE_BYTES_MAX, Batch, Credit, Message, Reader, Writer
from .message import NO_BATCH, PROTOCOL, Barrier, Commit, End, Open, State
from .segment import Slots, map_input, map_output
from .table import Payload

Item: TypeAlias = Batch | Barrier | End | Commit

HELD_NANOS = 500_000
HELD_BYTES = 1 << 18


class Link:
    """A stage's end of the protocol."""

    def __init__(self, connection: socket.socket, input_descriptor: int, output_descriptor: int) -> None:
        self.ledger = Ledger()
        self.open = Open()
        self.inbox: deque[Item] = deque()
        self._descriptors = input_descriptor, output_descriptor
        self._reader = Reader(connection)
        self._writer = Writer(connection)
        self._held_since = 0
        self._sent = 0
        self._unpaid: dict[int, tuple[int, int]] = {}  # size and offset of batches without credit, by their number
        self._unpaid_bytes = 0
        self._received = 0

    def accept(self) -> bytes | None:
        """Waits for `Open` and the state that follows; gives the state, if there is one."""
        first = self._first()
        if not isinstance(first, Open):
            raise ProtocolError(f"the first message is `{type(first).__name__}`, not `Open`")
        self.open = first
        if first.unmeasured:
            self.ledger = Unmeasured()
        self._reader.payload_bytes_max = first.inline_max
        chunks: list[bytes] = []
        while len(chunks) < first.state_chunks:
            chunk = self._first()
            if not isinstance(chunk, State) or chunk.index != len(chunks):
                raise ProtocolError(f"chunk {len(chunks)} of the state is missing")
            chunks.append(chunk.chunk)
        if first.protocol == PROTOCOL:
            self._map()
        return b"".join(chunks) if chunks else None

    def _first(self) -> object:
        while True:
            for frame in self._reader.frames():
                if not isinstance(frame, Message):
                    raise ProtocolError(f"a `{type(frame).__name__}` came before `Ready`")
                return message.to_stage(*frame)
            self._reader.read(wait=True)

    def _map(self) -> None:
        sizes = self.open.input_segment, self.open.output_segment
        self._input = memoryview(map_input(self._descriptors[0], sizes[0])) if sizes[0] else memoryview(b"")
        self._output = map_output(self._descriptors[1], sizes[1]) if sizes[1] else None
        self._slots = Slots(sizes[1])

    @property
    def payload_bytes_max(self) -> int:
        """The longest payload that can be sent at all."""
        return max(self.open.output_segment, self.open.inline_max)

    @property
    def unpaid(self) -> int:
        """How many batches are without credit."""
        return len(self._unpaid)

    def begin(self, ready: bytes) -> None:
        """Says that the stage is open; time counts from here."""
        self.ledger.start()
        self.say(ready)
        self._sort()

    @property
    def full(self) -> bool:
        """Whether the window has no room for another batch."""
        used = self._unpaid_bytes >= self.open.window_bytes
        return bool(self._unpaid) and (used or len(self._unpaid) >= self.open.window_batches)

    def next(self) -> Item:
        """The next thing to do, in order; waits for it. Raises `Closed` at the end of the socket."""
        waited = False
        while not self.inbox:
            self.ledger.enter(activity.RECEIVE)
            if waited or self._reader.read(wait=False):
                self._sort()
                waited = False
            else:
                self.flush()
                self.ledger.enter(activity.STARVED)
                waited = self._reader.read(wait=True)
        return self.inbox.popleft()

    def look(self) -> None:
        """Takes in what is there, without waiting."""
        self.ledger.enter(activity.RECEIVE)
        if self._reader.read(wait=False):
            self._sort()

    def wait_for_credit(self) -> None:
        """Waits until something comes in."""
        self.flush()
        self.ledger.enter(activity.BACKPRESSURED)
        self._reader.read(wait=True)
        self.ledger.enter(activity.RECEIVE)
        self._sort()

    def _sort(self) -> None:
        for frame in self._reader.frames():
            if isinstance(frame, Credit):
                self._credited(frame)
            elif isinstance(frame, Batch):
                if frame.seq != self._received:
                    raise ProtocolError(f"batch {frame.seq} came where {self._received} was to come")
                self._received += 1
                self.inbox.append(frame)
            else:
                item = message.to_stage(*frame)
                if isinstance(item, Open | State):
                    raise ProtocolError(f"`{type(item).__name__}` came after `Ready`")
                self.inbox.append(item)

    def _credited(self, credit: Credit) -> None:
        paid = self._unpaid.pop(credit.seq, None)
        if paid is None:
            raise ProtocolError(f"credit for batch {credit.seq}, which has none to get")
        size, offset = paid
        self._unpaid_bytes -= size
        if offset != NO_BATCH:
            self._slots.free(offset)

    def payload(self, batch: Batch) -> memoryview:
        """The bytes of a batch's table; they are lent until its credit is sent."""
        if batch.form != 0:
            raise ProtocolError(f"a batch of the form {batch.form} came in, where only tables can")
        if batch.payload is not None:
            return memoryview(batch.payload)
        end = batch.offset + batch.length
        if end > len(self._input):
            raise ProtocolError(f"a batch at {batch.offset} with {batch.length} bytes is not in the input segment")
        return self._input[batch.offset : end]

    def send(self, payload: Payload, cause: int = NO_BATCH) -> None:
        """Sends a batch that the batch `cause` caused, as soon as window and segment have room for it."""
        size = payload.size
        window = self.open
        while self._unpaid and (
            len(self._unpaid) >= window.window_batches or self._unpaid_bytes + size > window.window_bytes
        ):
            self.wait_for_credit()
        offset, inline = NO_BATCH, b""
        output = None if size <= window.inline_max else self._output
        if output is not None:
            while (slot := self._slots.take(size)) is None:
                self.wait_for_credit()
            offset = slot
        self.ledger.enter(activity.ENCODE)
        if output is None:
            inline = payload.join()
        else:
            payload.write(output, offset)
        self.ledger.enter(activity.SEND)
        self._hold()
        self._writer.batch(self._sent, offset, size, payload.rows, payload.form, cause, inline)
        self._unpaid[self._sent] = size, offset
        self._unpaid_bytes += size
        self._sent += 1

    def answer(self, batch: Batch, answer: Answer) -> None:
        """Sends all that a batch caused, then its credit."""
        for payload in answer.payloads:
            self.send(payload, batch.seq)
        self.ledger.enter(activity.SEND)
        self._hold()
        for cause, rows in answer.failures.items():
            self._writer.message(message.failed(cause, batch.seq, rows))
        self._writer.credit(batch.seq, answer.events, answer.filtered)
        self.settle()

    def settle(self) -> None:
        """Lets go of what was held for too long, and reports activity if it is time."""
        if self.ledger.due():
            self.report()
        if self._writer.bytes > HELD_BYTES or self.ledger.now() - self._held_since > HELD_NANOS:
            self.flush()

    def _hold(self) -> None:
        if not self._writer.bytes:
            self._held_since = self.ledger.now()

    def report(self, bytes_read: int = 0, bytes_total: int = 0) -> None:
        """Adds an `Activity`."""
        self._writer.message(message.activity(self.ledger.report(bytes_read, bytes_total)))

    def state(self, epoch: int, state: bytes | None) -> None:
        """Sends the state as chunks; empty state is one chunk, no state is none."""
        starts = range(0, max(len(state), 1), STATE_BYTES_MAX) if state is not None else range(0)
        for index, start in enumerate(starts):
            assert state is not None
            self._writer.message(message.state(index), bytes(state[start : start + STATE_BYTES_MAX]))
        self.say(message.snapshot(epoch, len(starts)))

    def say(self, words: bytes) -> None:
        """Sends a message at once, with all that was held."""
        self.ledger.enter(activity.SEND)
        self._writer.message(words)
        self.flush()

    def fail(self, cause: Cause) -> None:
        """Says that the stage has failed."""
        self.say(message.failed(cause))

    def flush(self) -> None:
        """Writes all that is held."""
        if self._writer.bytes:
            self.ledger.enter(activity.SEND)
            self._writer.flush()


def inherited(place: str) -> Link:
    """The link over the descriptors that `MODRUN_STAGE` names: `socket=N,input=N,output=N`."""
    try:
        numbers = {name: int(number) for name, _, number in (part.partition("=") for part in place.split(","))}
        descriptors = [numbers[name] for name in ("socket", "input", "output")]
    except (ValueError, KeyError) as error:
        raise ProtocolError(f"`MODRUN_STAGE` is `{place}`, not `socket=N,input=N,output=N`") from error
    for descriptor in descriptors:
        # Programs that the stage starts must not keep the link open.
        os.set_inheritable(descriptor, False)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=descriptors[0])
    connection.setblocking(True)
    return Link(connection, descriptors[1], descriptors[2])
