"""Tables in the words of the protocol, value by value: slow, and too simple to be wrong."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from modular_runtime.schema import Field, Schema, Type

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICROSECOND = timedelta(microseconds=1)
FIXED = {Type.INT64: "<q", Type.FLOAT64: "<d", Type.TIMESTAMP: "<q"}


def encode(schema: Schema, rows: Sequence[Sequence[Any]], coded: bool = False) -> bytes:
    """The payload of a table; strings as codes if `coded`."""
    head = b"MRB1" + struct.pack("<III", len(rows), len(schema.fields), 0)
    body = b""
    base = 16 + 48 * len(schema.fields)
    for at, field in enumerate(schema.fields):
        values = [row[at] for row in rows]
        nulls = values.count(None)
        coding, entries = 0, 0
        fixed, offsets, data = b"", b"", b""
        if field.type == Type.STRING and coded:
            coding = 1
            book = sorted({value for value in values if value is not None})
            entries = len(book)
            fixed = bytes(0 if value is None else book.index(value) for value in values)
            offsets, data = _texts([text.encode() for text in book])
        elif field.type in (Type.STRING, Type.BINARY):
            offsets, data = _texts([_bytes(value) for value in values])
        elif field.type == Type.BOOL:
            fixed = _bits([bool(value) for value in values])
        else:
            fixed = b"".join(struct.pack(FIXED[field.type], _word(field, value)) for value in values)
        validity = _bits([value is not None for value in values]) if nulls else b""
        head += struct.pack("<BBHIII", field.type, coding, 0, nulls, entries, 0)
        for buffer in (validity, fixed, offsets, data):
            head += struct.pack("<II", base + len(body), len(buffer))
            body += buffer + bytes(-len(buffer) % 8)
    return head + body


def decode(schema: Schema, payload: bytes) -> list[tuple[Any, ...]]:
    """The rows of a table; whatever the protocol forbids is an `AssertionError`."""
    magic, rows, count, zero = struct.unpack_from("<4sIII", payload)
    assert (magic, count, zero) == (b"MRB1", len(schema.fields), 0)
    columns = []
    end = 16 + 48 * count
    for at, field in enumerate(schema.fields):
        type, coding, zero, nulls, entries, zero2, *places = struct.unpack_from("<BBHIII8I", payload, 16 + 48 * at)
        assert (type, zero, zero2) == (field.type, 0, 0)
        buffers = []
        for start, length in zip(places[::2], places[1::2], strict=True):
            assert start % 8 == 0 and start + length <= len(payload)
            if length:
                assert start >= end and not any(payload[end:start]), "bytes between buffers are 0"
                end = start + length
            buffers.append(payload[start : start + length])
        validity, fixed, offsets, data = buffers
        if nulls:
            assert field.nullable
            valid = _flags(validity, rows)
        else:
            assert validity == b""
            valid = [True] * rows
        assert valid.count(False) == nulls
        values: list[Any]
        if coding:
            assert field.type == Type.STRING and entries <= 256 and len(fixed) == rows
            book = [text.decode() for text in _split(offsets, data, entries)]
            values = [book[code] if there else None for code, there in zip(fixed, valid, strict=True)]
        elif field.type in (Type.STRING, Type.BINARY):
            assert fixed == b"" and entries == 0
            texts = _split(offsets, data, rows)
            values = [text.decode() for text in texts] if field.type == Type.STRING else list(texts)
        elif field.type == Type.BOOL:
            values = list(_flags(fixed, rows))
        else:
            assert len(fixed) == 8 * rows
            values = [value for (value,) in struct.iter_unpack(FIXED[field.type], fixed)]
            if field.type == Type.TIMESTAMP:
                values = [EPOCH + value * MICROSECOND for value in values]
        columns.append([value if there else None for value, there in zip(values, valid, strict=True)])
    assert not any(payload[end:])
    return list(zip(*columns, strict=True)) if columns else [()] * rows


def _word(field: Field, value: Any) -> Any:
    if value is None:
        return 0
    return (value - EPOCH) // MICROSECOND if field.type == Type.TIMESTAMP else value


def _bytes(value: str | bytes | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""


def _texts(texts: list[bytes]) -> tuple[bytes, bytes]:
    places = [sum(len(text) for text in texts[:count]) for count in range(len(texts) + 1)]
    return struct.pack(f"<{len(places)}i", *places), b"".join(texts)


def _split(offsets: bytes, data: bytes, count: int) -> list[bytes]:
    places = struct.unpack(f"<{count + 1}i", offsets)
    assert places[0] == 0 and places[-1] == len(data) and sorted(places) == list(places)
    return [data[places[at] : places[at + 1]] for at in range(count)]


def _bits(flags: list[bool]) -> bytes:
    out = bytearray((len(flags) + 7) // 8)
    for at, flag in enumerate(flags):
        out[at // 8] |= flag << at % 8
    return bytes(out)


def _flags(bits: bytes, rows: int) -> list[bool]:
    assert len(bits) == (rows + 7) // 8
    flags = [bool(bits[at // 8] >> at % 8 & 1) for at in range(8 * len(bits))]
    assert not any(flags[rows:]), "unused bits are 0"
    return flags[:rows]
