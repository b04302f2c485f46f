"""Frames on the socket: message length, payload length, message, payload.

```text
 socket ──recv──▶ buffer ──frames()──▶ Batch, Credit, or any other message as bytes
 socket ◀──send── parts ◀──batch(), credit(), message()
```

Guarantees: one read takes as much as there is, one write hands over all frames since the last. `Batch` and `Credit`
are read and written as structs. A frame that breaks a length limit is refused before its bytes are waited for.

Refuses: to wait for room in the socket while reading; the other side reads always.

Neighbours: `link` counts credit, `message` reads what is not on the hot path.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from .failure import Closed, ProtocolError

MESSAGE_BYTES_MAX = 1 << 20
STATE_BYTES_MAX = 1 << 20
BUFFER_BYTES = 1 << 18

_LENGTHS = Struct("<II")
# The tags stand between the fields: they are part of the fixed layout and are checked with it.
_BATCH = Struct("<II2sBQBQBIBIBIBQ")
_CREDIT = Struct("<II2sBQBIBI")
_BATCH_BYTES = _BATCH.size - 8
_CREDIT_BYTES = _CREDIT.size - 8
_BATCH_TAG = b"\x12\x2a"
_CREDIT_TAG = b"\x1a\x13"


class Batch(NamedTuple):
    """Rows for the other side; `payload` is there if they travel inline."""

    seq: int
    offset: int
    length: int
    rows: int
    form: int
    input: int
    payload: bytes | None


class Credit(NamedTuple):
    """The batch `seq` of the other side is done with."""

    seq: int
    events: int
    filtered: int


class Message(NamedTuple):
    """Any other message, not looked at yet."""

    message: bytes
    payload: bytes


class Reader:
    """Reads frames from a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self.payload_bytes_max = STATE_BYTES_MAX

    def read(self, wait: bool) -> bool:
        """Takes what is there, waiting for something if asked to; False if there was nothing.

        Raises `Closed` at the end of the socket.
        """
        if self._start == self._end:
            self._start = self._end = 0
        elif len(self._buffer) - self._end < BUFFER_BYTES // 2:
            begun = bytes(self._view[self._start : self._end])
            self._start, self._end = 0, len(begun)
            self._view[: self._end] = begun
        try:
            received = self._socket.recv_into(self._view[self._end :], 0, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionError as error:
            raise Closed from error
        if received == 0:
            raise Closed
        self._end += received
        return True

    def frames(self) -> Iterator[Batch | Credit | Message]:
        """The frames that have come in whole."""
        while self._end - self._start >= 8:
            start = self._start
            buffer = self._buffer
            message_bytes, payload_bytes = _LENGTHS.unpack_from(buffer, start)
            end = start + 8 + message_bytes + payload_bytes
            if end > self._end:
                self._make_room(message_bytes, payload_bytes)
                return
            self._start = end
            at = start + 8
            if message_bytes == _BATCH_BYTES and buffer[at] == 0x12:
                yield self._batch(start, payload_bytes)
            elif message_bytes == _CREDIT_BYTES and buffer[at] == 0x1A:
                yield self._credit(start, payload_bytes)
            elif message_bytes and buffer[at] in (0x12, 0x1A):
                raise ProtocolError(f"a `Batch` or `Credit` is {message_bytes} bytes long")
            else:
                self._check(message_bytes, payload_bytes)
                payload_at = at + message_bytes
                yield Message(bytes(buffer[at:payload_at]), bytes(buffer[payload_at:end]))

    def _batch(self, start: int, payload_bytes: int) -> Batch:
        values = _BATCH.unpack_from(self._buffer, start)
        _, _, tag, t1, seq, t2, offset, t3, length, t4, rows, t5, form, t6, cause = values
        if tag != _BATCH_TAG or (t1, t2, t3, t4, t5, t6) != (0x09, 0x11, 0x1D, 0x25, 0x2D, 0x31):
            raise ProtocolError("a `Batch` has other fields than it should, or in another order")
        payload = None
        if offset == 0xFFFF_FFFF_FFFF_FFFF:
            if length != payload_bytes or length > self.payload_bytes_max:
                raise ProtocolError(f"an inline payload of {payload_bytes} bytes, where {length} were announced")
            at = start + _BATCH.size
            payload = bytes(self._buffer[at : at + length])
        elif payload_bytes or offset % 64:
            raise ProtocolError(f"a batch lies at {offset} and has an inline payload of {payload_bytes} bytes")
        if form > 1:
            raise ProtocolError(f"a batch is of the form {form}, which is none")
        return Batch(seq, offset, length, rows, form, cause, payload)

    def _credit(self, start: int, payload_bytes: int) -> Credit:
        _, _, tag, t1, seq, t2, events, t3, filtered = _CREDIT.unpack_from(self._buffer, start)
        if tag != _CREDIT_TAG or (t1, t2, t3) != (0x09, 0x15, 0x1D) or payload_bytes:
            raise ProtocolError("a `Credit` has other fields than it should, or in another order")
        return Credit(seq, events, filtered)

    def _check(self, message_bytes: int, payload_bytes: int) -> None:
        if message_bytes > MESSAGE_BYTES_MAX:
            raise ProtocolError(f"a message of {message_bytes} bytes is longer than {MESSAGE_BYTES_MAX}")
        if payload_bytes > max(self.payload_bytes_max, STATE_BYTES_MAX):
            raise ProtocolError(f"an inline payload of {payload_bytes} bytes is longer than {self.payload_bytes_max}")

    def _make_room(self, message_bytes: int, payload_bytes: int) -> None:
        """Sees to it that the buffer can hold a whole frame and more behind it."""
        self._check(message_bytes, payload_bytes)
        is_batch = self._end - self._start > 8 and self._buffer[self._start + 8] == 0x12
        if is_batch and payload_bytes > self.payload_bytes_max:
            raise ProtocolError(f"an inline payload of {payload_bytes} bytes is longer than {self.payload_bytes_max}")
        frame_bytes = 8 + message_bytes + payload_bytes
        if frame_bytes > len(self._buffer) // 2:
            begun = self._view[self._start : self._end]
            self._buffer = bytearray(2 * frame_bytes)
            self._view = memoryview(self._buffer)
            self._view[: len(begun)] = begun
            self._start, self._end = 0, len(begun)


class Writer:
    """Gathers frames and writes them at once."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._parts: list[bytes] = []
        self.bytes = 0

    def batch(self, seq: int, offset: int, length: int, rows: int, form: int, cause: int, payload: bytes) -> None:
        """Adds a `Batch`; `payload` is empty if it lies in the segment."""
        tag = _BATCH_TAG
        frame = _BATCH.pack(
            _BATCH_BYTES, len(payload), tag, 9, seq, 0x11, offset, 0x1D, length, 0x25, rows, 0x2D, form, 0x31, cause
        )
        self._parts.append(frame)
        self.bytes += len(frame)
        if payload:
            self._parts.append(payload)
            self.bytes += len(payload)

    def credit(self, seq: int, events: int, filtered: int) -> None:
        """Adds a `Credit`."""
        self._parts.append(_CREDIT.pack(_CREDIT_BYTES, 0, _CREDIT_TAG, 9, seq, 0x15, events, 0x1D, filtered))
        self.bytes += 29

    def message(self, message: bytes, payload: bytes = b"") -> None:
        """Adds any other message."""
        self._parts += (_LENGTHS.pack(len(message), len(payload)), message, payload)
        self.bytes += 8 + len(message) + len(payload)

    def flush(self) -> None:
        """Writes all that was added. Raises `Closed` if nobody reads it any more."""
        if self._parts:
            data = b"".join(self._parts)
            self._parts.clear()
            self.bytes = 0
            try:
                self._socket.sendall(data)
            except ConnectionError as error:
                raise Closed from error
