"""The protobuf messages that are not on the hot path, read and written by hand.

Guarantees: reads fields in any order, skips unknown ones, and refuses bytes that are no message with a
`ProtocolError`. Writes fields in the order of their numbers and leaves out those that have their default.

Neighbours: `frame` puts messages on the socket and has `Batch` and `Credit`, whose bytes have a fixed layout.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from .failure import Cause, ProtocolError
from .schema import Field, Schema, Type

PROTOCOL = 1
NO_BATCH = 2**64 - 1  # as `Batch.offset`: inline; as `input`: caused by no single batch


class Role(IntEnum):
    """What a stage is."""

    SOURCE = 1
    TRANSFORM = 2
    SINK = 3


class Concurrency(IntEnum):
    """Whether several processes of a stage may share its input."""

    STATELESS = 1
    ORDERED = 2


@dataclass(frozen=True)
class BatchPolicy:
    """How many rows a batch should have: `rows`, or 0 for adaptive; a smaller one leaves after `linger_us`."""

    rows: int = 0
    linger_us: int = 0


@dataclass(frozen=True)
class Open:
    """The first message of all: everything a stage needs to know."""

    protocol: int = 0
    generation: int = 0
    stage: str = ""
    config: str = ""
    input: Schema | None = None
    output: Schema | None = None
    window_batches: int = 0
    window_bytes: int = 0
    inline_max: int = 0
    input_segment: int = 0
    output_segment: int = 0
    policy: BatchPolicy | None = None
    state_chunks: int = 0
    replica: int = 0
    replicas: int = 0
    unmeasured: bool = False


@dataclass(frozen=True)
class State:
    """One chunk of a stage's state."""

    index: int
    chunk: bytes


@dataclass(frozen=True)
class Barrier:
    """Asks a stage for its state after all batches before."""

    epoch: int


@dataclass(frozen=True)
class End:
    """There are no more batches; to a source: stop."""


@dataclass(frozen=True)
class Commit:
    """Give the results their final name."""


def to_stage(message: bytes, payload: bytes) -> Open | State | Barrier | End | Commit:
    """Reads a `ToStage` that is neither `Batch` nor `Credit`."""
    kind, body = 0, b""
    for number, value in fields(message):
        # The same message twice is merged, of two different ones the last one counts.
        if number in (1, 4, 5, 6, 7):
            body = body + _bytes(value) if number == kind else _bytes(value)
            kind = number
    if kind == 4:
        return State(_numbers(body).get(1, 0), payload)
    if payload:
        raise ProtocolError("only `Batch` and `State` have payloads")
    if kind == 1:
        return _open(body)
    if kind == 5:
        return Barrier(_numbers(body).get(1, 0))
    if kind in (6, 7):
        _numbers(body)
        return End() if kind == 6 else Commit()
    raise ProtocolError("a message is of no kind that is known")


def ready(sdk: str, role: Role, concurrency: Concurrency, output: Schema | None) -> bytes:
    """The stage is open; `output` is what its code declares, if it does."""
    body = uint(1, PROTOCOL) + text(2, sdk) + uint(3, role) + uint(4, concurrency)
    if output is not None:
        body += block(5, _schema_bytes(output))
    return block(1, body)


def state(index: int) -> bytes:
    """A chunk of state follows as the payload."""
    return block(4, uint(1, index))


def snapshot(epoch: int, chunks: int) -> bytes:
    """All chunks of the state at `epoch` were sent."""
    return block(5, uint(1, epoch) + uint(2, chunks))


def failed(cause: Cause, input: int = 0, rows: Iterable[int] = ()) -> bytes:
    """Events failed, or the whole stage if there are no `rows`."""
    packed = b"".join(map(varint, rows))
    body = uint(1, cause.kind) + text(2, cause.code) + text(3, cause.message) + text(4, cause.detail)
    if input:
        body += b"\x29" + struct.pack("<Q", input)
    if packed:
        body += block(6, packed)
    return block(6, body)


def activity(numbers: Iterable[int]) -> bytes:
    """Where the time went: the message's fields 1 to 10 in order."""
    return block(7, b"".join(uint(1 + at, number) for at, number in enumerate(numbers)))


def done(artifact: str, rows: int) -> bytes:
    """The stage has sent all that it will."""
    return block(8, text(1, artifact) + uint(2, rows))


def committed() -> bytes:
    """The results have their final name."""
    return block(9, b"")


def varint(number: int) -> bytes:
    """A number in protobuf's variable length."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def uint(number: int, value: int) -> bytes:
    """A field of an unsigned number, empty for 0."""
    return varint(number << 3) + varint(value) if value else b""


def block(number: int, value: bytes) -> bytes:
    """A field of bytes or of a message, present even if it is empty."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def text(number: int, value: str) -> bytes:
    """A field of text, empty for the empty text."""
    return block(number, value.encode("utf-8", "replace")) if value else b""


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The number and raw value of each field of a message."""
    at = 0
    while at < len(message):
        key, at = _varint_at(message, at)
        wire = key & 7
        value: int | bytes
        if wire == 0:
            value, at = _varint_at(message, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
            value = int.from_bytes(_slice(message, at, length), "little")
            at += length
        elif wire == 2:
            length, at = _varint_at(message, at)
            value = _slice(message, at, length)
            at += length
        else:
            raise ProtocolError(f"a message has a field of the wire type {wire}")
        yield key >> 3, value


def _varint_at(message: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & NO_BATCH, at
    raise ProtocolError("a message ends inside of a number")


def _slice(message: bytes, at: int, length: int) -> bytes:
    if at + length > len(message):
        raise ProtocolError("a message ends inside of a field")
    return message[at : at + length]


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ProtocolError("a message has a number where a message belongs")
    return value


def _text(value: int | bytes) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError as error:
        raise ProtocolError("a message has text that is not UTF-8") from error


def _numbers(message: bytes) -> dict[int, int]:
    return {number: value for number, value in fields(message) if isinstance(value, int)}


_OPEN_NUMBERS = {
    1: "protocol",
    2: "generation",
    7: "window_batches",
    8: "window_bytes",
    9: "inline_max",
    10: "input_segment",
    11: "output_segment",
    13: "state_chunks",
    14: "replica",
    15: "replicas",
}


def _open(message: bytes) -> Open:
    values: dict[str, object] = {}
    parts: dict[int, bytes] = {}
    for number, value in fields(message):
        if number in _OPEN_NUMBERS and isinstance(value, int):
            values[_OPEN_NUMBERS[number]] = value
        elif number == 16:
            values["unmeasured"] = bool(value)
        elif number in (3, 4):
            values["stage" if number == 3 else "config"] = _text(value)
        elif number in (5, 6, 12):
            parts[number] = parts.get(number, b"") + _bytes(value)
    for number, name in ((5, "input"), (6, "output")):
        if number in parts:
            values[name] = _schema(parts[number])
    if 12 in parts:
        policy = _numbers(parts[12])
        values["policy"] = BatchPolicy(policy.get(1, 0), policy.get(2, 0))
    return Open(**values)  # type: ignore[arg-type]


def _schema(message: bytes) -> Schema:
    return Schema(tuple(_field(_bytes(value)) for number, value in fields(message) if number == 1))


def _field(message: bytes) -> Field:
    name, type, nullable = "", 0, False
    for number, value in fields(message):
        if number == 1:
            name = _text(value)
        elif number == 2 and isinstance(value, int):
            type = value
        elif number == 3:
            nullable = bool(value)
    if type not in set(Type):
        raise ProtocolError(f"column `{name}` has the type number {type}, which is none")
    return Field(name, Type(type), nullable)


def _schema_bytes(schema: Schema) -> bytes:
    return b"".join(
        block(1, text(1, field.name) + uint(2, field.type) + uint(3, field.nullable)) for field in schema.fields
    )
