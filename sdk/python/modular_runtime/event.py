"""The per-event form: a handler is called with each event of a batch as a dict.

```text
 payload ─decode▶ columns ─loop▶ flags ────────▶ selection      (events kept as they were, or dropped)
                            └──▶ results ─encode▶ tables        (anything else)
```

Guarantees: the order of events is kept. An error costs its event only, and so does a result that does not fit the
output's columns. Where the output has the input's columns, events that were only kept or dropped make no table.

Refuses: results that are neither an event, nor None, nor several events.

Neighbours: `loops` generates the loops, `table` reads and writes columns, `run` sends what comes out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import compress, repeat
from typing import TYPE_CHECKING, Any

from . import activity, loops
from .activity import Ledger
from .answer import Answer, Results
from .failure import Cause, Described, Fatal, Invalid, Kind
from .opening import Opened
from .schema import Schema
from .stage import Event
from .table import Column, Decoder, Payload, Unreadable, bitmap, selection

if TYPE_CHECKING:
    from .asynchronous import Gatherer


def gatherer_of(opened: Opened) -> Gatherer | None:
    """What runs an async handler; None for others, which need not load an event loop."""
    if not opened.is_async:
        return None
    from .asynchronous import Gatherer

    return Gatherer(opened.declaration.concurrency)


class Events:
    """The events of batches of one schema, and the loops over them."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._decoder = Decoder(schema)

    def decode(self, payload: memoryview, rows: int) -> list[Column]:
        """The columns of a batch."""
        return self._decoder.columns(payload, rows)

    def weights(self, columns: list[Column]) -> list[int] | None:
        """How many events each row is, if the rows are raw text; blank lines are none."""
        at = self.schema.text_column
        return None if at is None else [lines(text) for text in columns[at].values()]

    def rows(self, columns: list[Column], count: int) -> Iterator[Any]:
        """The cells of each row."""
        return zip(*[column.cells for column in columns], strict=True) if columns else repeat((), count)

    def loop(
        self,
        form: int,
        columns: list[Column],
        rows: Iterator[Any],
        call: Callable[..., Any],
        flags: list[int],
        fail: Callable[[Exception, Event], None],
        gather: Callable[[Event], None] | None = None,
        several: Callable[[Any], int] | None = None,
    ) -> Any:
        """Runs a generated loop."""
        coded = tuple([column.book is not None for column in columns])
        books = [column.book for column in columns if column.book is not None]
        return loops.loop(form, self.schema.names, coded)(rows, call, flags, fail, books, gather, several)

    def dicts(self, columns: list[Column], rows: Iterator[Any]) -> list[Event]:
        """Events as a list."""
        found: list[Event] = []
        self.loop(loops.COLLECT, columns, rows, _nothing, [], _nothing, found.append)
        return found


def _nothing(*_: Any) -> None:
    """Stands for what a loop does not call."""


_BLANK_BEGIN = re.compile(rb"^[ \t\r]|\n[ \t\r\n]|^\n")


def lines(text: bytes | None) -> int:
    """The lines of a text that are not blank."""
    if not text:
        return 0
    if _BLANK_BEGIN.search(text) is None:
        return text.count(b"\n") + (text[-1] != 0x0A)
    return sum(1 for line in text.split(b"\n") if line.strip(b" \t\r"))


class EventTransform:
    """Transforms batches by a handler of events."""

    def __init__(self, opened: Opened, input: Schema, output: Schema, payload_bytes_max: int) -> None:
        declaration = opened.declaration
        self._call = opened.call
        self._events = Events(input)
        self._keeps = input == output
        self._predicate = declaration.predicate
        self._stateless = declaration.stateless
        if self._predicate and not self._keeps:
            raise Invalid(f"a filter hands events on as they are: its output cannot be `{output}`, its input `{input}`")
        self._described = Described(input.names)
        self._out = Results(output, payload_bytes_max)
        self._gatherer = gatherer_of(opened)

    def step(self, payload: memoryview, rows: int, ledger: Ledger) -> Answer:
        """Processes a batch."""
        ledger.enter(activity.DECODE)
        columns = self._events.decode(payload, rows)
        weights = self._events.weights(columns)
        answer = Answer(rows if weights is None else sum(weights))
        ledger.enter(activity.PROCESS)
        work = _Work(self, columns, rows, answer)
        work.run()
        ledger.enter(activity.ENCODE)
        if work.results is None:
            self._select(columns, bytes(work.flags), answer)
        elif work.results:
            answer.payloads = self._out.payloads(work.results, work.flags, answer)
        if self._stateless:
            answer.filtered = self._filtered(work, answer, weights)
        return answer

    def finish(self, events: Iterable[Event]) -> Iterator[Payload]:
        """The payloads of what was held back."""
        return self._out.all(events)

    def _select(self, columns: list[Column], flags: bytes, answer: Answer) -> None:
        kept = flags.count(1)
        if not kept:
            return
        chosen = selection(bitmap(flags), kept)
        if chosen.size <= self._out.payload_bytes_max:
            answer.payloads = [chosen]
            return
        events = self._events.dicts(columns, compress(self._events.rows(columns, len(flags)), flags))
        answer.payloads = self._out.payloads(events, list(flags), answer)

    def _filtered(self, work: _Work, answer: Answer, weights: list[int] | None) -> int:
        """How many events were dropped on purpose: nothing came of them, and they did not fail."""
        if weights is None:
            if work.results is None and answer.payloads and answer.payloads[0].form:
                dropped = len(work.flags) - answer.payloads[0].rows
            else:
                dropped = work.flags.count(0)
            failed = sum(not work.flags[row] for rows in answer.failures.values() for row in rows)
            return dropped - failed
        failed_rows = {row for rows in answer.failures.values() for row in rows}
        return sum(weights[row] for row, count in enumerate(work.flags) if not count and row not in failed_rows)


class _Work:
    """One batch on its way through the handler."""

    def __init__(self, transform: EventTransform, columns: list[Column], rows: int, answer: Answer) -> None:
        self._transform = transform
        self._columns = columns
        self._rows = rows
        self._answer = answer
        self.flags: list[int] = []  # for each row so far, how many events came of it
        # The events that came of the rows so far; None while all were kept as they are, or dropped.
        self.results: list[Event] | None = None if transform._keeps else []

    def run(self) -> None:
        """Calls the handler with all events."""
        events, columns = self._transform._events, self._columns
        rows = events.rows(columns, self._rows)
        if any(column.flawed for column in columns):
            cells = list(rows)
            for row, values in enumerate(cells):
                flaw = next((value for value in values if type(value) is Unreadable), None)
                if flaw is not None:
                    self._some(iter(cells[len(self.flags) : row]))
                    self._answer.fail(Cause(Kind.STAGE, "OverflowError", flaw.message), row)
                    self.flags.append(0)
            rows = iter(cells[len(self.flags) :])
        self._some(rows)

    def _some(self, rows: Iterator[Any]) -> None:
        transform = self._transform
        if transform._gatherer is not None:
            self._some_async(rows, transform._gatherer)
            return
        loop = transform._events.loop
        if transform._predicate:
            loop(loops.PREDICATE, self._columns, rows, transform._call, self.flags, self._fail)
            return
        while self.results is None:
            odd = loop(loops.KEEP, self._columns, rows, transform._call, self.flags, self._fail)
            if odd is None:
                return
            self._take(*odd)
        # A handler that changes one event changes more of them: the next batch begins with a table.
        transform._keeps = False
        results = self._gathered()
        loop(loops.TABLE, self._columns, rows, transform._call, self.flags, self._fail, results.append, self._several)

    def _some_async(self, rows: Iterator[Any], gatherer: Gatherer) -> None:
        transform = self._transform
        cells = list(rows)
        events = transform._events.dicts(self._columns, iter(cells))
        books = [column.book for column in self._columns]
        names = transform._events.schema.names
        for row, result in enumerate(gatherer.run(transform._call, events)):
            event = events[row]
            if isinstance(result, Exception):
                self._fail(result, event)
                self.flags.append(0)
            elif transform._predicate:
                self.flags.append(1 if result else 0)
            elif result is event and self.results is None and len(event) == len(names):
                values = [value if book is None else book[value] for value, book in zip(cells[row], books, strict=True)]
                if all(event.get(name, self) is value for name, value in zip(names, values, strict=True)):
                    self.flags.append(1)
                else:
                    self._take(event, result)
            else:
                self._take(event, result)

    def _take(self, event: Event, result: Any) -> None:
        """Takes any result; what was only flagged so far has to become events."""
        if result is None:
            self.flags.append(0)
            return
        try:
            if type(result) is dict:
                self._gathered().append(result)
                self.flags.append(1)
            else:
                self.flags.append(self._several(result))
        except Fatal:
            raise
        except Exception as error:
            self._fail(error, event)
            self.flags.append(0)

    def _gathered(self) -> list[Event]:
        if self.results is None:
            events = self._transform._events
            kept = compress(events.rows(self._columns, self._rows), self.flags)
            self.results = events.dicts(self._columns, kept)
        return self.results

    def _several(self, result: Any) -> int:
        try:
            several = list(result) if not isinstance(result, dict) else [dict(result)]
        except TypeError as error:
            if isinstance(result, Iterable):
                raise
            raise TypeError(f"a transform gives an event, None or several events, not `{result!r}`") from error
        for event in several:
            if not isinstance(event, dict):
                raise TypeError(f"a transform gives an event, None or several events, not a list with `{event!r}`")
        self._gathered().extend(several)
        return len(several)

    def _fail(self, error: Exception, event: Event) -> None:
        if isinstance(error, Fatal):
            raise error
        self._answer.fail(self._transform._described.cause(error, event), len(self.flags))


class EventSink:
    """Hands the events of batches to a handler, whose errors are errors of the stage."""

    def __init__(self, opened: Opened, input: Schema) -> None:
        self._call = opened.call
        self._events = Events(input)
        self._gatherer = gatherer_of(opened)

    def step(self, payload: memoryview, rows: int, ledger: Ledger) -> Answer:
        """Processes a batch."""
        ledger.enter(activity.DECODE)
        columns = self._events.decode(payload, rows)
        weights = self._events.weights(columns)
        answer = Answer(rows if weights is None else sum(weights))
        for column in columns:
            if column.flawed:
                raise Fatal(next(value.message for value in column.cells if type(value) is Unreadable))
        ledger.enter(activity.PROCESS)
        cells = self._events.rows(columns, rows)
        if self._gatherer is None:
            self._events.loop(loops.EACH, columns, cells, self._call, [], _nothing)
            return answer
        for result in self._gatherer.run(self._call, self._events.dicts(columns, cells)):
            if isinstance(result, Exception):
                raise result
        return answer
