"""What comes of a batch, on its way to payloads of a bounded size.

Guarantees: a payload has at most the bytes that the link can carry; what is larger is split by rows. An event that
does not fit its columns, or no payload, fails alone.

Neighbours: `event` and `arrow` make answers, `link` sends them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from .failure import Cause, Kind
from .schema import Schema
from .stage import Event
from .table import Encoder, Misfit, Payload, TooLarge


class Answer:
    """What came of a batch: payloads to send, rows that failed, and counts for its credit."""

    __slots__ = ("events", "failures", "filtered", "payloads")

    def __init__(self, events: int) -> None:
        self.events = events
        self.filtered = 0
        self.payloads: list[Payload] = []
        self.failures: dict[Cause, list[int]] = {}

    def fail(self, cause: Cause, row: int) -> None:
        """Counts a row that failed; rows that failed with equal words are one message."""
        self.failures.setdefault(cause, []).append(row)


class Results:
    """Turns events into tables of one schema."""

    ROWS_MAX = 16_384  # of a table that no single batch caused

    def __init__(self, schema: Schema, payload_bytes_max: int) -> None:
        self.payload_bytes_max = payload_bytes_max
        self._schema = schema
        self._encoder = Encoder(schema)

    def all(self, events: Iterable[Event]) -> Iterator[Payload]:
        """Payloads of any number of events. A `Misfit` has the row in its batch of `ROWS_MAX`."""
        remaining = iter(events)
        while some := list(islice(remaining, self.ROWS_MAX)):
            yield from self.pieces(some)

    def payloads(self, events: list[Event], counts: list[int], answer: Answer) -> list[Payload]:
        """Payloads of the events that came of a batch's rows; rows whose events do not fit fail."""
        try:
            return list(self.pieces(events))
        except Misfit:
            pass
        # Rare, and there may be many: each event for itself, then those that are left.
        origins = [row for row, count in enumerate(counts) for _ in range(count)]
        causes: dict[int, Cause] = {}
        for event, row in zip(events, origins, strict=True):
            try:
                list(self.pieces([event]))
            except Misfit as misfit:
                causes.setdefault(row, Cause(Kind.STAGE, misfit.code, str(misfit)))
        for row, cause in sorted(causes.items()):
            answer.fail(cause, row)
        return list(self.pieces([event for event, row in zip(events, origins, strict=True) if row not in causes]))

    def pieces(self, events: list[Event]) -> Iterator[Payload]:
        """The table of some events, split so that each part fits into a payload."""
        if not events:
            return
        columns = self._columns(events)

        def make(start: int, stop: int) -> Payload:
            return self._encoder.table(_cut(columns, start, stop), stop - start)

        yield from split(make, len(events), self.payload_bytes_max)

    def _columns(self, events: list[Event]) -> Sequence[Sequence[Any]]:
        names = self._schema.names
        try:
            columns = [[event[name] for event in events] for name in names]
            if sum(map(len, events)) == len(names) * len(events):
                return columns
        except KeyError:
            pass
        for row, event in enumerate(events):
            for name in event:
                if name not in names:
                    known = ", ".join(f"`{name}`" for name in names) or "none"
                    raise Misfit(
                        row,
                        f"the output has no column `{name}`; there are {known}; `output=` or `out:` declares others",
                        "KeyError",
                    )
            for field in self._schema.fields:
                if field.name not in event and not field.nullable:
                    raise Misfit(row, f"the event lacks the column `{field.name}`, which must not be null", "KeyError")
        return [[event.get(name) for event in events] for name in names]


def split(make: Callable[[int, int], Payload], rows: int, payload_bytes_max: int) -> Iterator[Payload]:
    """Payloads of at most so many bytes for the rows 0 to `rows`. Raises `Misfit` for a row that is too large."""
    waiting = [(0, rows)]
    while waiting:
        start, stop = waiting.pop()
        try:
            payload = make(start, stop)
        except TooLarge:
            payload = None
        except Misfit as misfit:
            misfit.row += start
            raise
        if payload is not None and payload.size <= payload_bytes_max:
            yield payload
        elif stop - start > 1:
            middle = (start + stop) // 2
            waiting += ((middle, stop), (start, middle))
        else:
            size = f"{payload.size} bytes" if payload else "more than 4 GiB"
            raise Misfit(start, f"the event takes {size}, a payload at most {payload_bytes_max}", "TooLarge")


def _cut(columns: Sequence[Sequence[Any]], start: int, stop: int) -> Sequence[Sequence[Any]]:
    if columns and start == 0 and stop == len(columns[0]):
        return columns
    return [column[start:stop] for column in columns]
