"""The batch form: a handler is called with each batch as a `pyarrow.RecordBatch`.

```text
 payload in the segment ──arrays over its memory──▶ RecordBatch ──handler──▶ RecordBatch, mask, None, several
                                                                     ▼
 payloads ◀─────────────── the arrays' buffers ◀──────────── encoded before the credit
```

Guarantees: nothing is copied on the way in but dictionaries, which are read once and kept while they stay the same. A
batch is lent until the handler returns. An error costs the events of the batch.

Refuses: casts that change values; columns that the output does not have; a mask where the output has other columns.

Neighbours: `table` has the layout, `event` is the other form, `compute` evaluates on codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from . import activity
from .activity import Ledger
from .answer import Answer, split
from .event import gatherer_of, lines
from .failure import Fatal, Invalid, ProtocolError, cause_of
from .opening import Opened
from .schema import Field, Schema, Type
from .table import BOOK_MAX, Layout, Layouts, Misfit, Payload, Piece, assemble, part, selection

# One loop is all that a stage has: threads of a library would only take turns with it.
pa.set_cpu_count(1)
pa.set_io_thread_count(1)

TYPES: dict[int, Any] = {
    Type.BOOL: pa.bool_(),
    Type.INT64: pa.int64(),
    Type.FLOAT64: pa.float64(),
    Type.STRING: pa.string(),
    Type.BINARY: pa.binary(),
    Type.TIMESTAMP: pa.timestamp("us", tz="UTC"),
}
CODED = pa.dictionary(pa.uint8(), pa.string())
_MIN, _MAX, _LENGTH = (pc.get_function(name) for name in ("min", "max", "binary_length"))
FEW_ROWS = 256  # fewer are checked faster without pyarrow
ROWS_MAX = 32_768  # of a batch that no single batch caused


def keep(batch: Any) -> Any:
    """A copy of a batch (or array), which may be held after the handler returned."""
    return batch.copy_to(pa.default_cpu_memory_manager())


class BatchDecoder:
    """Makes record batches over the memory of payloads."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._layouts = Layouts(schema)
        self._books: list[tuple[tuple[bytes, bytes], Any]] = [((b"", b""), None)] * len(schema.fields)
        self._schemas: dict[tuple[bool, ...], Any] = {}

    def batch(self, payload: memoryview, rows: int) -> Any:
        """The record batch that lies in a payload; it is valid as long as the payload's bytes are."""
        found = self._layouts.of(payload, rows)
        base = pa.py_buffer(payload)
        address, buffer = base.address, pa.foreign_buffer
        arrays = []
        for at, (field, layout) in enumerate(zip(self._schema.fields, found, strict=True)):
            validity = None
            if layout.nulls:
                validity = buffer(address + layout.validity[0], layout.validity[1], base)
                if rows - _bits(validity, 0, rows).bit_count() != layout.nulls:
                    raise ProtocolError(f"column `{field.name}` of a table has other nulls than it says")
            if layout.coded:
                codes = [validity, buffer(address + layout.values[0], rows, base)]
                book = self._book(at, payload, layout)
                array = pa.DictionaryArray.from_buffers(CODED, rows, codes, book, layout.nulls)
                _check_codes(field, array, len(book))
            elif field.type in (Type.STRING, Type.BINARY):
                texts = [buffer(address + start, length, base) for start, length in (layout.offsets, layout.data)]
                _check_texts(field, rows, texts)
                array = pa.Array.from_buffers(TYPES[field.type], rows, [validity, *texts], layout.nulls)
            else:
                values = [validity, buffer(address + layout.values[0], layout.values[1], base)]
                array = pa.Array.from_buffers(TYPES[field.type], rows, values, layout.nulls)
            arrays.append(array)
        if not arrays:
            return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
        return pa.RecordBatch.from_arrays(arrays, schema=self._arrow_schema(tuple([layout.coded for layout in found])))

    def _book(self, at: int, payload: memoryview, layout: Layout) -> Any:
        offsets, data = part(payload, layout.offsets).tobytes(), part(payload, layout.data).tobytes()
        known, book = self._books[at]
        if known != (offsets, data):
            texts = [pa.py_buffer(offsets), pa.py_buffer(data)]
            _check_texts(self._schema.fields[at], layout.entries, texts)
            book = pa.Array.from_buffers(pa.string(), layout.entries, [None, *texts], 0)
            self._books[at] = (offsets, data), book
        return book

    def _arrow_schema(self, coded: tuple[bool, ...]) -> Any:
        schema = self._schemas.get(coded)
        if schema is None:
            fields = zip(self._schema.fields, coded, strict=True)
            schema = self._schemas[coded] = pa.schema(
                [pa.field(field.name, CODED if codes else TYPES[field.type], field.nullable) for field, codes in fields]
            )
        return schema


def _check_codes(field: Field, array: Any, entries: int) -> None:
    rows = len(array)
    if entries == BOOK_MAX or not rows:
        return
    if rows <= FEW_ROWS and not array.null_count:
        highest = max(array.buffers()[1].to_pybytes())
    else:
        highest = _MAX.call([array.indices]).as_py()
    if highest is not None and highest >= entries:
        raise ProtocolError(f"a code of column `{field.name}` is beyond its dictionary")


def _check_texts(field: Field, rows: int, texts: list[Any]) -> None:
    """Offsets and bytes that come from elsewhere must not lead out of their buffers."""
    offsets, data = texts
    places = memoryview(offsets)
    if rows <= FEW_ROWS:
        ends = places.cast("B").cast("i").tolist()
        whole = ends[0] == 0 and ends[-1] == data.size and ends == sorted(ends)
    else:
        first, last = (int.from_bytes(place, "little", signed=True) for place in (places[:4], places[-4:]))
        whole = first == 0 and last == data.size
        if whole:
            lengths = _LENGTH.call([pa.Array.from_buffers(pa.binary(), rows, [None, *texts], 0)])
            whole = _MIN.call([lengths]).as_py() >= 0
    if not whole:
        raise ProtocolError(f"the offsets of column `{field.name}` do not grow from 0 to the length of its bytes")
    # Text that is ASCII altogether is UTF-8 wherever it is cut.
    if field.type == Type.STRING and not data.to_pybytes().isascii():
        try:
            pa.Array.from_buffers(pa.string(), rows, [None, *texts], 0).validate(full=True)
        except pa.ArrowInvalid as error:
            raise ProtocolError(f"column `{field.name}` has a string that is not UTF-8: {error}") from error


class BatchTransform:
    """Transforms batches by a handler of batches."""

    def __init__(self, opened: Opened, input: Schema, output: Schema, payload_bytes_max: int) -> None:
        self._call = _caller(opened)
        self._predicate = opened.declaration.predicate
        self._stateless = opened.declaration.stateless
        self._same = input == output
        if self._predicate and not self._same:
            raise Invalid(f"a filter hands events on as they are: its output cannot be `{output}`, its input `{input}`")
        self._decoder = BatchDecoder(input)
        self._text = input.text_column
        self._out = Batches(output, payload_bytes_max)

    def step(self, payload: memoryview, rows: int, ledger: Ledger) -> Answer:
        """Processes a batch."""
        ledger.enter(activity.DECODE)
        batch = self._decoder.batch(payload, rows)
        weights = _weights(batch, self._text)
        answer = Answer(rows if weights is None else sum(weights))
        ledger.enter(activity.PROCESS)
        try:
            result = self._call(batch)
            if not isinstance(result, pa.RecordBatch | pa.Array) and isinstance(result, Iterable):
                result = _mask(result) if _is_numpy(result) else list(result)
            ledger.enter(activity.ENCODE)
            left_out = self._take(batch, result, answer)
        except Fatal:
            raise
        except Exception as error:
            cause = cause_of(error)
            answer.payloads = []
            answer.failures = {cause: list(range(rows))} if rows else {}
            return answer
        if self._stateless:
            if weights is None:
                answer.filtered = left_out
            elif left_out == rows:
                answer.filtered = answer.events
            elif isinstance(result, pa.BooleanArray):
                kept = result.fill_null(False).to_pylist()
                answer.filtered = sum(weight for weight, there in zip(weights, kept, strict=True) if not there)
        return answer

    def finish(self, batches: Iterable[Any]) -> Iterator[Payload]:
        """The payloads of what was held back."""
        for batch in [batches] if isinstance(batches, pa.RecordBatch) else batches:
            yield from self._out.all(batch)

    def _take(self, batch: Any, result: Any, answer: Answer) -> int:
        """Encodes what the handler gave; how many rows were left out, if that can be told."""
        rows: int = batch.num_rows
        if result is None and not self._predicate:
            return rows
        if isinstance(result, pa.BooleanArray):
            return self._select(batch, result, answer)
        if self._predicate:
            raise TypeError(f"a filter of batches gives a mask of booleans, not `{type(result).__name__}`")
        if result is batch and self._same:
            if rows:
                self._send_selection(batch, _ones(rows), rows, answer)
            return 0
        several = result if isinstance(result, list) else [result]
        sent = sum(_rows(each) for each in several)
        for each in several:
            try:
                answer.payloads += self._out.pieces(each)
            except Misfit as misfit:
                if len(several) > 1 or sent != rows:
                    raise
                self._one_by_one(each, misfit, answer)
        return max(0, rows - sent)

    def _one_by_one(self, batch: Any, misfit: Misfit, answer: Answer) -> None:
        """A row is too large for a payload: it fails alone."""
        answer.fail(cause_of(Fatal(str(misfit)))._replace(code=misfit.code, detail=""), misfit.row)
        before = batch.slice(0, misfit.row)
        answer.payloads += self._out.pieces(before)
        start = misfit.row + 1
        try:
            answer.payloads += self._out.pieces(batch.slice(start))
        except Misfit as next_one:
            next_one.row += start
            behind = batch.slice(start)
            next_one.row -= start
            rest = Answer(0)
            self._one_by_one(behind, next_one, rest)
            answer.payloads += rest.payloads
            for cause, rows in rest.failures.items():
                for row in rows:
                    answer.fail(cause, row + start)

    def _select(self, batch: Any, mask: Any, answer: Answer) -> int:
        rows: int = batch.num_rows
        if len(mask) != rows:
            raise ValueError(f"the mask has {len(mask)} values for {rows} rows")
        kept: int = mask.true_count
        if kept:
            validity, values = mask.buffers()
            if rows % 8 or mask.offset or mask.null_count:
                chosen = _bits(values, mask.offset, rows)
                if mask.null_count:
                    chosen &= _bits(validity, mask.offset, rows)
                bits = chosen.to_bytes((rows + 7) // 8, "little")
            else:
                bits = memoryview(values)[: rows // 8].tobytes()
            self._send_selection(batch, bits, kept, answer, mask)
        return rows - kept

    def _send_selection(self, batch: Any, bits: bytes, kept: int, answer: Answer, mask: Any = None) -> None:
        if self._same and len(bits) <= self._out.payload_bytes_max:
            answer.payloads.append(selection(bits, kept))
        else:
            answer.payloads += self._out.pieces(batch if mask is None else batch.filter(mask))


class BatchSink:
    """Hands batches to a handler, whose errors are errors of the stage."""

    def __init__(self, opened: Opened, input: Schema) -> None:
        self._call = _caller(opened)
        self._decoder = BatchDecoder(input)
        self._text = input.text_column

    def step(self, payload: memoryview, rows: int, ledger: Ledger) -> Answer:
        """Processes a batch."""
        ledger.enter(activity.DECODE)
        batch = self._decoder.batch(payload, rows)
        weights = _weights(batch, self._text)
        ledger.enter(activity.PROCESS)
        self._call(batch)
        return Answer(rows if weights is None else sum(weights))


class Batches:
    """Turns record batches into tables of one schema."""

    def __init__(self, schema: Schema, payload_bytes_max: int) -> None:
        self.payload_bytes_max = payload_bytes_max
        self._schema = schema

    def all(self, batch: Any) -> Iterator[Payload]:
        """Payloads of a batch of any size."""
        for start in range(0, _rows(batch), ROWS_MAX):
            yield from self.pieces(batch.slice(start, ROWS_MAX))

    def pieces(self, batch: Any) -> list[Payload]:
        """Payloads of a batch, split only if it does not fit into one."""
        rows = _rows(batch)
        if not rows:
            return []
        names = batch.schema.names
        if sorted(names) != sorted(self._schema.names):
            raise KeyError(f"the batch has the columns `{names}`, the output `{list(self._schema.names)}`")
        arrays = [(field, _fitting(field, batch.column(names.index(field.name)))) for field in self._schema.fields]

        def make(start: int, stop: int) -> Payload:
            whole = stop - start == rows
            return assemble(
                stop - start,
                [_piece(field, array if whole else array.slice(start, stop - start)) for field, array in arrays],
            )

        return list(split(make, rows, self.payload_bytes_max))


def _rows(batch: Any) -> int:
    if not isinstance(batch, pa.RecordBatch):
        kinds = "a `RecordBatch`, a mask of booleans, None or a list of batches"
        raise TypeError(f"a handler of batches gives {kinds}, not `{type(batch).__name__}`")
    rows: int = batch.num_rows
    return rows


def _caller(opened: Opened) -> Callable[[Any], Any]:
    gatherer = gatherer_of(opened)
    if gatherer is None:
        return opened.call

    def call(batch: Any) -> Any:
        [result] = gatherer.run(opened.call, [batch])
        if isinstance(result, Exception):
            raise result
        return result

    return call


def _weights(batch: Any, text: int | None) -> list[int] | None:
    return None if text is None else [lines(value) for value in batch.column(text).to_pylist()]


def _is_numpy(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "numpy"


def _mask(value: Any) -> Any:
    mask = pa.array(value)
    if not isinstance(mask, pa.BooleanArray):
        raise TypeError(f"a mask has booleans, not `{mask.type}`")
    return mask


def _ones(rows: int) -> bytes:
    return ((1 << rows) - 1).to_bytes((rows + 7) // 8, "little")


def _bits(buffer: Any, offset: int, rows: int) -> int:
    """The bits of a bitmap from an offset on, as one number."""
    first = offset // 8
    last = (offset + rows + 7) // 8
    return int.from_bytes(memoryview(buffer)[first:last], "little") >> offset % 8 & (1 << rows) - 1


def _bitmap(buffer: Any, offset: int, rows: int) -> bytes:
    return _bits(buffer, offset, rows).to_bytes((rows + 7) // 8, "little")


def _fitting(field: Field, array: Any) -> Any:
    """The array in a type that a payload has; casts only where no value changes."""
    wanted, given = TYPES[field.type], array.type
    if array.null_count and not field.nullable:
        raise ValueError(f"column `{field.name}` must not be null, {array.null_count} of {len(array)} rows are")
    if given == wanted:
        return array
    types = pa.types
    if types.is_dictionary(given):
        book = array.dictionary
        strings = field.type == Type.STRING and types.is_string(given.value_type)
        if strings and len(book) <= BOOK_MAX and not book.null_count:
            return array if given.index_type == pa.uint8() else array.cast(CODED)
        return _fitting(field, array.dictionary_decode())
    fits = {
        Type.INT64: types.is_integer,
        Type.FLOAT64: lambda type: types.is_integer(type) or types.is_floating(type),
        Type.STRING: lambda type: types.is_large_string(type) or types.is_string_view(type),
        Type.BINARY: lambda type: (
            types.is_large_binary(type) or types.is_fixed_size_binary(type) or types.is_binary_view(type)
        ),
        Type.TIMESTAMP: lambda type: types.is_timestamp(type) and type.tz is not None,
    }
    if types.is_null(given) or fits.get(field.type, types.is_boolean)(given):
        return array.cast(wanted)
    raise TypeError(f"column `{field.name}` is {field.type.word}, not `{given}`")


def _piece(field: Field, array: Any) -> Piece:
    rows, offset, nulls = len(array), array.offset, array.null_count
    buffers = array.buffers()
    validity = _bitmap(buffers[0], offset, rows) if nulls else b""
    if isinstance(array, pa.DictionaryArray):
        book = array.dictionary
        offsets, data = _texts(book)
        codes = memoryview(buffers[1])[offset : offset + rows]
        return Piece(field.type, True, nulls, len(book), validity, codes, offsets, data)
    if field.type == Type.BOOL:
        return Piece(field.type, False, nulls, 0, validity, _bitmap(buffers[1], offset, rows))
    if field.type in (Type.STRING, Type.BINARY):
        offsets, data = _texts(array)
        return Piece(field.type, False, nulls, 0, validity, b"", offsets, data)
    words = memoryview(buffers[1])[8 * offset : 8 * (offset + rows)]
    return Piece(field.type, False, nulls, 0, validity, words)


def _texts(array: Any) -> tuple[Any, Any]:
    """Offsets from 0 on and the bytes of a string or binary array."""
    rows, offset = len(array), array.offset
    _, places, data = array.buffers()
    if not rows or places is None:
        return bytes(4), b""
    offsets = memoryview(places)[4 * offset : 4 * (offset + rows + 1)]
    first = int.from_bytes(offsets[:4], "little")
    last = int.from_bytes(offsets[-4:], "little")
    if first:
        shifted = pa.Array.from_buffers(pa.int32(), rows + 1, [None, places], 0, offset)
        offsets = memoryview(pc.subtract(shifted, pa.scalar(first, pa.int32())).buffers()[1])[: 4 * (rows + 1)]
    return offsets, memoryview(data)[first:last] if data is not None else b""
