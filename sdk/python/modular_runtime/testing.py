"""Runs a stage on a few events in the process of a test, as the runtime would.

```python
assert check(rules, [{"type": "click", "value": 10}]) == [{"type": "click", "value": 10}]
```

Guarantees: events take the way of a run, through payloads and back; a batch that was lent is overwritten when its
handler has returned, so that a `keep` which is missing shows. What a handler raised is raised again.

Neighbours: `opening`, `event` and `arrow` do the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

from .activity import Ledger
from .answer import Answer, Results
from .event import Events
from .message import Open, Role
from .opening import Opened, open_stage
from .run import steps
from .schema import Field, Schema, Type, declared
from .stage import Context, Event, Sink, Transform, declaration_of
from .table import Payload

PAYLOAD_BYTES_MAX = 2**32 - 1
_TYPES: list[tuple[type | tuple[type, ...], Type]] = [
    (bool, Type.BOOL),
    (int, Type.INT64),
    (float, Type.FLOAT64),
    (str, Type.STRING),
    ((bytes, bytearray, memoryview), Type.BINARY),
    (datetime, Type.TIMESTAMP),
]


def check(
    stage: object,
    events: Iterable[Event] = (),
    config: Mapping[str, Any] | None = None,
    *,
    input: Mapping[str, str] | None = None,
    state: bytes | None = None,
    limit: int = 1000,
) -> list[Event]:
    """The events that a stage makes of `events`, with those that it holds back until the end.

    The input's columns are those of the events, unless `input={"type": "string", ...}` declares them. A source gives
    at most `limit` events. A sink is prepared and committed and gives none.
    """
    declaration = declaration_of(stage)
    given = list(events)
    columns = None if declaration.role == Role.SOURCE else declared(input) or schema_of(given)
    output = declaration.output or columns
    text = json.dumps(config or {})
    opened = open_stage(stage, text, state, Context("check", columns, output))
    if columns is None:
        return _from_source(opened, limit)
    raised: list[Exception] = []
    opened = replace(opened, call=_recording(opened, raised))
    words = Open(config=text, input=columns, output=output)
    working: Any = steps(opened, words, PAYLOAD_BYTES_MAX)
    made: list[Event] = []
    for payload in Results(columns, PAYLOAD_BYTES_MAX).all(given):
        answer, payloads = _lend(working, payload)
        _raise(raised, answer)
        made += _taken(payloads, output, payload, columns)
    if isinstance(opened.instance, Transform):
        held_back = opened.instance.finish()
        for payload in working.finish(held_back) if held_back is not None else ():
            made += _read(payload.join(), payload.rows, output)
    if isinstance(opened.instance, Sink):
        opened.instance.prepare()
        opened.instance.commit()
    return made


def schema_of(events: Sequence[Event]) -> Schema:
    """The columns that events have; one that is absent or None somewhere may be null."""
    names = dict.fromkeys(name for event in events for name in event)
    return Schema(tuple(_field(name, [event.get(name) for event in events]) for name in names))


def _field(name: str, values: list[Any]) -> Field:
    nullable = None in values
    found = {type for value in values if value is not None for kind, type in _TYPES[:1] if isinstance(value, kind)}
    for value in values:
        if value is None or isinstance(value, bool):
            continue
        type = next((type for kind, type in _TYPES if isinstance(value, kind)), None)
        if type is None:
            raise TypeError(f"column `{name}` cannot hold `{value!r}`")
        found.add(type)
    if found == {Type.INT64, Type.FLOAT64}:
        found = {Type.FLOAT64}
    if len(found) > 1:
        raise TypeError(f"column `{name}` has values of the types {', '.join(sorted(type.word for type in found))}")
    return Field(name, found.pop() if found else Type.STRING, nullable)


def _lend(working: Any, payload: Payload) -> tuple[Answer, list[tuple[bytes, Payload]]]:
    lent = bytearray(payload.join())
    answer: Answer = working.step(memoryview(lent), payload.rows, Ledger())
    payloads = [(made.join(), made) for made in answer.payloads]
    lent[:] = b"\xa5" * len(lent)
    return answer, payloads


def _recording(opened: Opened, raised: list[Exception]) -> Callable[..., Any]:
    call = opened.call

    def record(event: Any) -> Any:
        try:
            return call(event)
        except Exception as error:
            raised.append(error)
            raise

    async def record_async(event: Any) -> Any:
        try:
            return await call(event)
        except Exception as error:
            raised.append(error)
            raise

    return record_async if opened.is_async else record


def _raise(raised: list[Exception], answer: Answer) -> None:
    if raised:
        raise raised[0]
    for cause in answer.failures:
        raise AssertionError(f"{cause.code}: {cause.message}")


def _taken(
    payloads: list[tuple[bytes, Payload]], output: Schema | None, input: Payload, columns: Schema
) -> Iterator[Event]:
    for data, payload in payloads:
        if payload.form == 0:
            yield from _read(data, payload.rows, output)
        else:
            events = _read(input.join(), input.rows, columns)
            yield from (event for row, event in enumerate(events) if data[row // 8] >> row % 8 & 1)


def _read(data: bytes, rows: int, schema: Schema | None) -> list[Event]:
    assert schema is not None
    reader = Events(schema)
    columns = reader.decode(memoryview(data), rows)
    return reader.dicts(columns, reader.rows(columns, rows))


def _from_source(opened: Opened, limit: int) -> list[Event]:
    given = opened.call()
    if isinstance(given, AsyncIterator):
        given = asyncio.run(_first(given, limit))
    found = list(islice(given, limit))
    if opened.declaration.batch:
        found = [event for batch in found for event in batch.to_pylist()][:limit]
    schema = opened.declaration.output or schema_of(found)
    return [
        event
        for payload in Results(schema, PAYLOAD_BYTES_MAX).all(found)
        for event in _read(payload.join(), payload.rows, schema)
    ]


async def _first(events: AsyncIterator[Any], limit: int) -> list[Any]:
    found = []
    async for event in events:
        found.append(event)
        if len(found) >= limit:
            break
    with contextlib.suppress(AttributeError):
        await events.aclose()  # type: ignore[attr-defined]
    return found
