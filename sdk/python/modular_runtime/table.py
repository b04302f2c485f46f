"""Payloads: tables and selections as bytes, and their columns as lists of Python values.

```text
 payload ──Decoder──▶ list of columns: a list of values, or codes with their book of values
 payload ◀──Payload── Piece of each column ◀──Encoder── lists of values
```

Guarantees: what a payload says about its buffers is checked before they are read. A string column comes either way.
Values that do not fit their column are refused with a `Misfit` that names the row.

Refuses: values of another type than the column's, except whole numbers in a float64 column.

Neighbours: `arrow` does the same with Arrow's arrays, `event` has the per-event forms.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from itertools import accumulate, chain, compress, pairwise
from mmap import mmap
from numbers import Integral, Real
from struct import Struct
from typing import Any, NamedTuple

from .failure import ProtocolError
from .schema import Field, Schema, Type

MAGIC = b"MRB1"
HEAD_BYTES = 16
COLUMN_BYTES = 48
BOOK_MAX = 256  # dictionary values of a column
U32_MAX = 2**32 - 1
I32_MAX = 2**31 - 1
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_CODES = bytes(range(256))
_ZEROS = [bytes(length) for length in range(8)]
_BITS = [tuple(bool(byte >> bit & 1) for bit in range(8)) for byte in range(256)]
_COLUMN = "BBH11I"
_COLUMN_VALUES = 14


class TooLarge(Exception):
    """A table does not fit into a payload at all: it has to be split."""


class Misfit(Exception):
    """A value that does not fit its column, with the row it stands in."""

    def __init__(self, row: int, message: str, code: str = "TypeError") -> None:
        super().__init__(message)
        self.row = row
        self.code = code


class Layout(NamedTuple):
    """One column's struct in a payload."""

    coded: bool
    nulls: int
    entries: int
    validity: tuple[int, int]
    values: tuple[int, int]
    offsets: tuple[int, int]
    data: tuple[int, int]


class Piece(NamedTuple):
    """One column to be put into a payload: byte buffers, empty where the column has none."""

    type: int
    coded: bool = False
    nulls: int = 0
    entries: int = 0
    validity: Any = b""
    values: Any = b""
    offsets: Any = b""
    data: Any = b""


class Payload:
    """Bytes to send, in parts; `rows` of a table, or rows kept by a selection."""

    __slots__ = ("form", "parts", "rows", "size")

    def __init__(self, form: int, rows: int, size: int, parts: list[Any]) -> None:
        self.form = form
        self.rows = rows
        self.size = size
        self.parts = parts

    def join(self) -> bytes:
        """All of it."""
        return b"".join(self.parts)

    def write(self, segment: mmap, at: int) -> None:
        """Copies all of it into a slot."""
        for part in self.parts:
            end = at + len(part)
            segment[at:end] = part
            at = end


@lru_cache(maxsize=64)
def _head(columns: int) -> Struct:
    return Struct("<4sIII" + _COLUMN * columns)


class Layouts:
    """Finds the columns of tables of one schema in their payloads."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._head = _head(len(schema.fields))
        self._known: tuple[int, bytes] = (-1, b"")
        self._found: list[Layout] = []

    def of(self, payload: memoryview, rows: int) -> list[Layout]:
        """Where each column lies, checked against the schema, the rows and the payload's length."""
        # Batches of one size often have the same head: what was checked once need not be checked again.
        known = (rows << 32) + len(payload), payload[: self._head.size].tobytes()
        if known != self._known:
            self._found = self._check(payload, rows)
            self._known = known
        return self._found

    def _check(self, payload: memoryview, rows: int) -> list[Layout]:
        fields, size = self._schema.fields, len(payload)
        if size < self._head.size:
            raise ProtocolError(f"a table of {size} bytes is too short for {len(fields)} columns")
        magic, given_rows, columns, reserved, *values = self._head.unpack_from(payload)
        if (magic, given_rows, columns) != (MAGIC, rows, len(fields)):
            raise ProtocolError("a table does not begin as its batch and schema say")
        if reserved:
            raise ProtocolError("a table has something where zeros belong")
        return [
            self._layout(field, rows, size, values[at * _COLUMN_VALUES : (at + 1) * _COLUMN_VALUES])
            for at, field in enumerate(fields)
        ]

    def _layout(self, field: Field, rows: int, size: int, values: list[int]) -> Layout:
        type, coding, zero, nulls, entries, zero_too, *places = values
        if type != field.type or zero or zero_too:
            raise ProtocolError(f"column `{field.name}` of a table is of another type, or has something for zeros")
        buffers = list(zip(places[::2], places[1::2], strict=True))
        for start, length in buffers:
            inside = start + length <= size and (not length or (start >= self._head.size and start % 8 == 0))
            if not inside:
                raise ProtocolError(f"column `{field.name}` of a table has a buffer that lies where none can")
        if nulls > rows or (nulls and not field.nullable):
            raise ProtocolError(f"column `{field.name}` of a table has {nulls} nulls")
        lengths = [length for _, length in buffers]
        if lengths[:3] != _lengths(field, rows, coding, nulls, entries) or (lengths[3] and not lengths[2]):
            raise ProtocolError(f"column `{field.name}` of a table has buffers of other lengths than its rows need")
        return Layout(bool(coding), nulls, entries, *buffers)


def _lengths(field: Field, rows: int, coding: int, nulls: int, entries: int) -> list[int]:
    """How long the validity, the values and the offsets of a column have to be."""
    bits = (rows + 7) // 8
    validity = bits if nulls else 0
    if coding == 1 and field.type == Type.STRING and entries <= BOOK_MAX:
        return [validity, rows, 4 * entries + 4]
    if coding or entries:
        raise ProtocolError(f"column `{field.name}` of a table has the coding {coding} with {entries} values")
    if field.type in (Type.STRING, Type.BINARY):
        return [validity, 0, 4 * rows + 4]
    return [validity, bits if field.type == Type.BOOL else 8 * rows, 0]


class Column(NamedTuple):
    """A column's values row by row; or, if there is a `book`, codes: places in the book."""

    cells: Sequence[Any]
    book: list[str] | None = None
    flawed: bool = False  # there may be `Unreadable` values among the cells

    def values(self) -> Sequence[Any]:
        """The values row by row."""
        return self.cells if self.book is None else [self.book[code] for code in self.cells]


class Decoder:
    """Reads the columns of tables of one schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._layouts = Layouts(schema)
        self._books: list[tuple[bytes, list[str]]] = [(b"", [])] * len(schema.fields)

    def columns(self, payload: memoryview, rows: int) -> list[Column]:
        """The columns of a table, in the order of the schema."""
        found = self._layouts.of(payload, rows)
        return [self._column(at, payload, rows, layout) for at, layout in enumerate(found)]

    def _column(self, at: int, payload: memoryview, rows: int, layout: Layout) -> Column:
        if layout.coded:
            book = self._book(at, payload, layout)
            codes = payload[layout.values[0] : layout.values[0] + rows].tobytes()
            if not layout.nulls:
                self._check_codes(at, codes, book)
                return Column(codes, book)
            valid = self._valid(at, payload, rows, layout)
            self._check_codes(at, bytes(compress(codes, valid)), book)
            return Column([book[code] if there else None for code, there in zip(codes, valid, strict=True)])
        values = _READERS[self._schema.fields[at].type](payload, rows, layout)
        flawed = False
        if layout.nulls:
            valid = self._valid(at, payload, rows, layout)
            values = [value if there else None for value, there in zip(values, valid, strict=True)]
        if self._schema.fields[at].type == Type.TIMESTAMP:
            flawed = any(type(value) is Unreadable for value in values)
        return Column(values, None, flawed)

    def _valid(self, at: int, payload: memoryview, rows: int, layout: Layout) -> list[bool]:
        valid = bools(part(payload, layout.validity), rows)
        if valid.count(False) != layout.nulls:
            raise ProtocolError(f"column `{self._schema.names[at]}` of a table has other nulls than it says")
        return valid

    def _check_codes(self, at: int, codes: bytes, book: list[str]) -> None:
        if codes.translate(None, _CODES[: len(book)]):
            raise ProtocolError(f"a code of column `{self._schema.names[at]}` is beyond its dictionary")

    def _book(self, at: int, payload: memoryview, layout: Layout) -> list[str]:
        # The same dictionary comes with nearly every batch: comparing its bytes is cheaper than reading them.
        key = part(payload, layout.offsets).tobytes() + part(payload, layout.data).tobytes()
        known, book = self._books[at]
        if known != key:
            book = _strings(payload, layout.entries, layout)
            self._books[at] = key, book
        return book


def bools(bitmap: memoryview | bytes, rows: int) -> list[bool]:
    """The first bits of a bitmap."""
    return list(chain.from_iterable([_BITS[byte] for byte in bytes(bitmap)]))[:rows]


def bitmap(flags: bytes) -> bytes:
    """Packs bytes of 0 and 1 into bits, the unused ones 0."""
    length = (len(flags) + 7) // 8
    # Each step joins neighbours: 2, then 4, then 8 flags stand side by side in every byte; every eighth byte is whole.
    bits = int.from_bytes(flags, "little")
    bits |= bits >> 7
    bits |= bits >> 14
    bits |= bits >> 28
    return bits.to_bytes(8 * length, "little")[::8]


def part(payload: memoryview, place: tuple[int, int]) -> memoryview:
    """A buffer of a payload."""
    return payload[place[0] : place[0] + place[1]]


def _words(code: str) -> Callable[[memoryview, int, Layout], list[Any]]:
    def read(payload: memoryview, rows: int, layout: Layout) -> list[Any]:
        return part(payload, layout.values).cast(code).tolist()  # type: ignore[call-overload,no-any-return]

    return read


_int64 = _words("q")


def _bools(payload: memoryview, rows: int, layout: Layout) -> list[Any]:
    return bools(part(payload, layout.values), rows)


def _timestamps(payload: memoryview, rows: int, layout: Layout) -> list[Any]:
    micros = _int64(payload, rows, layout)
    try:
        return [EPOCH + timedelta(0, 0, value) for value in micros]
    except OverflowError:
        return [_timestamp(value) for value in micros]


class Unreadable(NamedTuple):
    """A value that Python has no native value for."""

    message: str


def _timestamp(micros: int) -> datetime | Unreadable:
    try:
        return EPOCH + timedelta(0, 0, micros)
    except OverflowError:
        return Unreadable(f"the timestamp of {micros} us since 1970 is not in the years 1 to 9999")


def _places(payload: memoryview, layout: Layout) -> list[int]:
    offsets: list[int] = part(payload, layout.offsets).cast("i").tolist()
    if offsets[0] != 0 or offsets[-1] != layout.data[1] or offsets != sorted(offsets):
        raise ProtocolError("the offsets of a column do not grow from 0 to the length of its bytes")
    return offsets


def _strings(payload: memoryview, rows: int, layout: Layout) -> list[Any]:
    offsets = _places(payload, layout)
    data = part(payload, layout.data).tobytes()
    try:
        if data.isascii():
            text = data.decode("ascii")
            return [text[start:end] for start, end in pairwise(offsets)]
        return [data[start:end].decode() for start, end in pairwise(offsets)]
    except UnicodeDecodeError as error:
        raise ProtocolError("a string of a table is not UTF-8") from error


def _binaries(payload: memoryview, rows: int, layout: Layout) -> list[Any]:
    offsets = _places(payload, layout)
    data = part(payload, layout.data).tobytes()
    return [data[start:end] for start, end in pairwise(offsets)]


_READERS: dict[int, Callable[[memoryview, int, Layout], list[Any]]] = {
    Type.BOOL: _bools,
    Type.INT64: _int64,
    Type.FLOAT64: _words("d"),
    Type.STRING: _strings,
    Type.BINARY: _binaries,
    Type.TIMESTAMP: _timestamps,
}


def assemble(rows: int, pieces: Sequence[Piece]) -> Payload:
    """Lays a table out. Raises `TooLarge` if it has more bytes than a payload can."""
    head = _head(len(pieces))
    at = head.size
    words: list[Any] = [MAGIC, rows, len(pieces), 0]
    parts: list[Any] = [b""]
    for type, coded, nulls, entries, *buffers in pieces:
        words += (type, coded, 0, nulls, entries, 0)
        for buffer in buffers:
            length = len(buffer)
            if not length:
                words += (0, 0)
                continue
            words += (at, length)
            parts.append(buffer)
            at += length
            if at & 7:
                parts.append(_ZEROS[-at & 7])
                at += -at & 7
    if at > U32_MAX:
        raise TooLarge
    parts[0] = head.pack(*words)
    return Payload(0, rows, at, parts)


def selection(bits: bytes, kept: int) -> Payload:
    """A selection that keeps so many rows of the batch it answers."""
    return Payload(1, kept, len(bits), [bits])


class Encoder:
    """Writes lists of values as tables of one schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._plain_for = [0] * len(schema.fields)

    def table(self, columns: Sequence[Sequence[Any]], rows: int) -> Payload:
        """The table of these columns. Raises `Misfit` for the first value that does not fit its column."""
        fields = self._schema.fields
        return assemble(rows, [self._piece(at, field, columns[at]) for at, field in enumerate(fields)])

    def _piece(self, at: int, field: Field, values: Sequence[Any]) -> Piece:
        classes = set(map(type, values))
        validity = b""
        nulls = 0
        if type(None) in classes:
            if not field.nullable:
                raise Misfit(_first(values, lambda value: value is None), f"column `{field.name}` must not be null")
            classes.discard(type(None))
            flags = bytes([value is not None for value in values])
            nulls = flags.count(0)
            validity = bitmap(flags)
            empty = _EMPTY[field.type]
            values = [empty if value is None else value for value in values]
        allowed = _CLASSES[field.type]
        if not classes <= allowed:
            # Classes that stand for those allowed, such as numpy's numbers, take the slow way.
            likes = _LIKES.get(field.type, tuple(allowed))
            for row, value in enumerate(values):
                if not isinstance(value, likes) or (type(value) is bool and bool not in allowed):
                    raise Misfit(row, f"column `{field.name}` is {field.type.word}, not `{type(value).__name__}`")
        if field.type == Type.STRING:
            return self._string_piece(at, field, values, nulls, validity)
        return _WRITERS[field.type](field, values, nulls, validity)

    def _string_piece(self, at: int, field: Field, values: Sequence[str], nulls: int, validity: bytes) -> Piece:
        if self._plain_for[at]:
            self._plain_for[at] -= 1
        elif len(values) >= 16:
            book = dict.fromkeys(values)
            if len(book) <= min(BOOK_MAX, len(values) // 4):
                codes = dict(zip(book, range(BOOK_MAX)))  # noqa: B905
                offsets, data = _texts(field, list(book), values)
                coded = bytes(map(codes.__getitem__, values))
                return Piece(field.type, True, nulls, len(book), validity, coded, offsets, data)
            # A column of many values stays so: look again only after a while.
            self._plain_for[at] = 32
        offsets, data = _texts(field, values, values)
        return Piece(field.type, False, nulls, 0, validity, b"", offsets, data)


def _first(values: Sequence[Any], test: Callable[[Any], bool]) -> int:
    return next(row for row, value in enumerate(values) if test(value))


def _texts(field: Field, texts: Sequence[str], values: Sequence[str]) -> tuple[memoryview, bytes]:
    joined = "".join(texts)
    if joined.isascii():
        return _offsets(texts), joined.encode()
    encoded = []
    for text in texts:
        try:
            encoded.append(text.encode())
        except UnicodeEncodeError as error:
            row = values.index(text)
            raise Misfit(row, f"column `{field.name}` has a string that is not UTF-8: {error.reason}") from error
    return _offsets(encoded), b"".join(encoded)


def _offsets(values: Sequence[str] | Sequence[bytes]) -> memoryview:
    try:
        return memoryview(array("i", accumulate(map(len, values), initial=0))).cast("B")
    except OverflowError as error:
        raise TooLarge from error


def _bool_piece(field: Field, values: Sequence[bool], nulls: int, validity: bytes) -> Piece:
    return Piece(field.type, False, nulls, 0, validity, bitmap(bytes(values)))


def _int64_piece(field: Field, values: Sequence[int], nulls: int, validity: bytes) -> Piece:
    try:
        words = array("q", values)
    except OverflowError as error:
        row = _first(values, lambda value: not -(2**63) <= value < 2**63)
        raise Misfit(row, f"column `{field.name}` is int64: `{values[row]}` is beyond it") from error
    return Piece(field.type, False, nulls, 0, validity, memoryview(words).cast("B"))


def _float64_piece(field: Field, values: Sequence[float], nulls: int, validity: bytes) -> Piece:
    try:
        words = array("d", values)
    except OverflowError as error:
        row = _first(values, lambda value: isinstance(value, int) and abs(value) >= 2**1024 - 2**970)
        raise Misfit(row, f"column `{field.name}` is float64: `{values[row]}` is beyond it") from error
    return Piece(field.type, False, nulls, 0, validity, memoryview(words).cast("B"))


def _timestamp_piece(field: Field, values: Sequence[datetime], nulls: int, validity: bytes) -> Piece:
    words = array("q")
    for row, value in enumerate(values):
        try:
            since = value - EPOCH
        except TypeError as error:
            message = f"column `{field.name}` is a timestamp: `{value}` has no time zone"
            raise Misfit(row, message) from error
        words.append((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)
    return Piece(field.type, False, nulls, 0, validity, memoryview(words).cast("B"))


def _binary_piece(field: Field, values: Sequence[bytes], nulls: int, validity: bytes) -> Piece:
    data = b"".join(values)
    return Piece(field.type, False, nulls, 0, validity, b"", _offsets(values), data)


_WRITERS: dict[int, Callable[[Field, Sequence[Any], int, bytes], Piece]] = {
    Type.BOOL: _bool_piece,
    Type.INT64: _int64_piece,
    Type.FLOAT64: _float64_piece,
    Type.TIMESTAMP: _timestamp_piece,
    Type.BINARY: _binary_piece,
}
_CLASSES: dict[int, set[type]] = {
    Type.BOOL: {bool},
    Type.INT64: {int},
    Type.FLOAT64: {float, int},
    Type.STRING: {str},
    Type.BINARY: {bytes, bytearray, memoryview},
    Type.TIMESTAMP: {datetime},
}
_LIKES: dict[int, tuple[type, ...]] = {Type.INT64: (Integral,), Type.FLOAT64: (Real,)}
_EMPTY: dict[int, Any] = {
    Type.BOOL: False,
    Type.INT64: 0,
    Type.FLOAT64: 0.0,
    Type.STRING: "",
    Type.BINARY: b"",
    Type.TIMESTAMP: EPOCH,
}
