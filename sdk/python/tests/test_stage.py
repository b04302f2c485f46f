"""What users write, run in this process."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from modular_runtime import (
    Context,
    Event,
    Fatal,
    Sink,
    Source,
    Transform,
    compute,
    filter,
    keep,
    sink,
    source,
    transform,
)
from modular_runtime.activity import Ledger
from modular_runtime.answer import Answer, Results
from modular_runtime.event import lines
from modular_runtime.failure import Invalid
from modular_runtime.message import Open
from modular_runtime.opening import open_stage
from modular_runtime.run import steps
from modular_runtime.schema import declared
from modular_runtime.testing import check

EVENTS: list[Event] = [{"type": kind, "value": value} for kind in ("view", "click", "buy") for value in range(20)]
KEPT = [event for event in EVENTS if event["type"] != "view" and event["value"] >= 10]
INVALID_INT = "invalid literal for int() with base 10: 'x'"


def of_events(handler: Callable[[Any], Any]) -> object:
    """A transform from a lambda."""
    return transform(handler)


def of_batches(handler: Callable[[Any], Any]) -> object:
    """A transform of batches from a lambda."""
    return transform(batch=True)(handler)


def elsewhere() -> Any:
    """Raises a `KeyError` that has nothing to do with an event."""
    empty: dict[str, Any] = {}
    return empty["x"]


def answer(
    handler: object,
    events: list[Event],
    columns: dict[str, str],
    output: dict[str, str] | None = None,
    payload_bytes_max: int = 1 << 20,
) -> Answer:
    """What comes of one batch."""
    input = declared(columns)
    assert input is not None
    opened = open_stage(handler, "{}", None, Context("test"))
    working = steps(opened, Open(input=input, output=declared(output) or input), payload_bytes_max)
    [payload] = Results(input, 1 << 30).all(events)
    return working.step(memoryview(payload.join()), len(events), Ledger())


class PerEvent(unittest.TestCase):
    def test_keeping_and_dropping_answers_with_a_selection(self) -> None:
        def rules(event: Event) -> Event | None:
            return event if event["type"] != "view" and event["value"] >= 10 else None

        async def rules_async(event: Event) -> Event | None:
            await asyncio.sleep(0)
            return rules(event)

        def predicate(event: Event) -> bool:
            return rules(event) is not None

        for stage in (transform(rules), transform(rules_async), filter(predicate)):
            self.assertEqual(check(stage, EVENTS), KEPT)
            found = answer(stage, EVENTS, {"type": "string", "value": "int64"})
            self.assertEqual([(payload.form, payload.rows) for payload in found.payloads], [(1, len(KEPT))])
            self.assertEqual((found.events, found.filtered), (60, 60 - len(KEPT)))

    def test_any_other_result_becomes_a_table(self) -> None:
        def changed(event: Event) -> Event:
            event["value"] += 1
            return event

        def replaced(event: Event) -> Event:
            return {"value": event["value"], "type": "new"}

        def several(event: Event) -> list[Event]:
            return [event] * (event["value"] % 3)

        def yields(event: Event) -> Iterator[Event]:
            yield event
            yield {**event, "type": "again"}

        def late(event: Event) -> Event | None:
            # Only the last event but one is changed: what was flagged before has to become events.
            if event["value"] == 18 and event["type"] == "buy":
                return {**event, "value": -1}
            return event if event["value"] % 2 else None

        def renamed(event: Event) -> Event:
            # As many members as before, one of them another.
            value = event.pop("value")
            event["other"] = value
            return {"type": event["type"], "value": event.pop("other")}

        handlers: list[Callable[[Event], Any]] = [changed, replaced, several, yields, late, renamed]
        for handler in handlers:
            with self.subTest(handler=handler.__name__):
                expected: list[Event] = []
                for event in EVENTS:
                    result = handler(dict(event))
                    expected += [] if result is None else [result] if isinstance(result, dict) else list(result)
                self.assertEqual(check(transform(handler), EVENTS), expected)

                async def handler_async(event: Event, handler: Callable[[Event], Any] = handler) -> Any:
                    await asyncio.sleep(0)
                    return handler(event)

                stage = transform(concurrency=3)(handler_async)
                self.assertEqual(check(stage, EVENTS), expected)

    def test_an_error_costs_its_event_only(self) -> None:
        cases: list[tuple[Callable[[Event], Any], str, str]] = [
            (lambda event: event if event["value"] != 3 else int("x"), "ValueError", INVALID_INT),
            (
                lambda event: event if event["value"] != 3 else event["typ"],
                "KeyError",
                "no `typ`: the event has the columns `type`, `value`; `uses:` in the pipeline adds one",
            ),
            (lambda event: event if event["value"] != 3 else elsewhere(), "KeyError", "'x'"),
            (
                lambda event: event if event["value"] != 3 else 7,
                "TypeError",
                "a transform gives an event, None or several events, not `7`",
            ),
            (
                lambda event: event if event["value"] != 3 else [event, 7],
                "TypeError",
                "a transform gives an event, None or several events, not a list with `7`",
            ),
            (
                lambda event: event if event["value"] != 3 else {**event, "value": "x"},
                "TypeError",
                "column `value` is int64, not `str`",
            ),
            (
                lambda event: event if event["value"] != 3 else {"type": "a"},
                "KeyError",
                "the event lacks the column `value`, which must not be null",
            ),
            (
                lambda event: event if event["value"] != 3 else {**event, "more": 1},
                "KeyError",
                "the output has no column `more`; there are `type`, `value`; `output=` or `out:` declares others",
            ),
        ]
        columns = {"type": "string", "value": "int64"}
        for handler, code, message in cases:
            with self.subTest(code=code, message=message):
                events = EVENTS[:10]
                found = answer(transform(handler), events, columns)
                [(cause, rows)] = found.failures.items()
                self.assertEqual((cause.code, cause.message, rows), (code, message, [3]))
                self.assertEqual((sum(payload.rows for payload in found.payloads), found.filtered), (9, 0))
        found = answer(transform(cases[0][0]), EVENTS, columns)
        self.assertEqual([(len(rows), rows[0]) for rows in found.failures.values()], [(3, 3)])
        [cause] = found.failures
        self.assertIn("test_stage.py", cause.detail)
        self.assertNotIn("loops", cause.detail)

    def test_every_event_can_fail(self) -> None:
        def bad(event: Event) -> Event:
            return {**event, "value": "x"}

        found = answer(transform(bad), EVENTS, {"type": "string", "value": "int64"})
        self.assertEqual((list(found.failures.values()), found.payloads), ([list(range(60))], []))

    def test_fatal_ends_the_run(self) -> None:
        def handler(event: Event) -> Event:
            raise Fatal("over")

        async def handler_async(event: Event) -> Event:
            raise Fatal("over")

        for stage in (transform(handler), transform(handler_async)):
            with self.assertRaisesRegex(Fatal, "over"):
                answer(stage, EVENTS, {"type": "string", "value": "int64"})

    def test_absent_members_are_null_where_they_may(self) -> None:
        @transform(output={"a": "int64?", "b": "string"})
        def stage(event: Event) -> Event:
            return {"b": event["type"]}

        self.assertEqual(check(stage, EVENTS[:2]), [{"a": None, "b": "view"}] * 2)

    def test_tables_are_split_to_fit(self) -> None:
        columns = {"type": "string", "value": "int64"}
        for payload_bytes_max in (200, 400, 600):
            found = answer(of_events(lambda event: dict(event)), EVENTS, columns, payload_bytes_max=payload_bytes_max)
            self.assertEqual(sum(payload.rows for payload in found.payloads), len(EVENTS))
            self.assertGreater(len(found.payloads), 1)
            self.assertLessEqual(max(payload.size for payload in found.payloads), payload_bytes_max)
        wide = [{"s": "x" * size} for size in (10, 5000, 20)]
        for stage in (
            of_events(lambda event: dict(event)),
            of_batches(lambda batch: batch.slice(0)),
        ):
            found = answer(stage, wide, {"s": "string"}, payload_bytes_max=1000)
            [(cause, rows)] = found.failures.items()
            self.assertEqual((cause.code, rows), ("TooLarge", [1]))
            self.assertEqual(sum(payload.rows for payload in found.payloads), 2)

    def test_a_selection_that_is_too_long_becomes_tables(self) -> None:
        events = [{"b": True}] * 2000
        for stage in (of_events(lambda event: event), of_batches(lambda batch: batch)):
            found = answer(stage, events, {"b": "bool"}, payload_bytes_max=100)
            self.assertEqual({payload.form for payload in found.payloads}, {0})
            self.assertEqual(sum(payload.rows for payload in found.payloads), 2000)

    def test_text_counts_as_its_lines(self) -> None:
        cases = [(b"", 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"a\n\nb\n", 2), (b" \r\n\t\na\r\n", 1), (b"\n", 0)]
        cases += [(b"a\n b\n", 2), (b"a\n \n", 1), (None, 0), (b" ", 0)]  # type: ignore[list-item]
        for text, count in cases:
            self.assertEqual(lines(text), count, text)
        columns = {"source": "string", "offset": "int64", "text": "binary"}
        events = [{"source": "f", "offset": at, "text": text} for at, (text, _) in enumerate(cases[:7])]
        stage = filter(lambda event: event["offset"] < 4)
        found = answer(stage, events, columns)
        self.assertEqual((found.events, found.filtered), (7, 3))

        @filter(batch=True)
        def batches(batch: Any) -> Any:
            return compute.less(batch["offset"], 4)

        found = answer(batches, events, columns)
        self.assertEqual((found.events, found.filtered), (7, 3))

    def test_events_have_native_values(self) -> None:
        event = {"t": datetime(2026, 1, 1, tzinfo=timezone.utc), "r": b"\0", "f": 0.5, "b": True, "n": None}
        seen: list[Event] = []
        check(transform(seen.append), [event])
        self.assertEqual(seen, [event])


class PerBatch(unittest.TestCase):
    def test_every_kind_of_result(self) -> None:
        mask = compute.and_
        handlers: list[Callable[[Any], Any]] = [
            lambda batch: mask(compute.not_equal(batch["type"], "view"), compute.greater_equal(batch["value"], 10)),
            lambda batch: batch.filter(handlers[0](batch)),
            lambda batch: [batch.filter(handlers[0](batch))],
            lambda batch: (
                each
                for each in [batch.filter(handlers[0](batch)).slice(0, 5), batch.filter(handlers[0](batch)).slice(5)]
            ),
        ]
        for handler in handlers:
            self.assertEqual(check(transform(batch=True)(handler), EVENTS), KEPT)
        self.assertEqual(check(of_batches(lambda batch: None), EVENTS), [])
        self.assertEqual(check(of_batches(lambda batch: batch), EVENTS), EVENTS)
        self.assertEqual(check(filter(batch=True)(handlers[0]), EVENTS), KEPT)

        async def handler_async(batch: Any) -> Any:
            await asyncio.sleep(0)
            return handlers[0](batch)

        self.assertEqual(check(transform(batch=True)(handler_async), EVENTS), KEPT)

    def test_types_are_cast_where_no_value_changes(self) -> None:
        import pyarrow as pa

        rows = 3
        cases: list[tuple[str, Any, list[Any] | type[Exception]]] = [
            ("int64", pa.array([1, 2, 3], pa.int8()), [1, 2, 3]),
            ("int64", pa.array([1, 2, 3], pa.uint64()), [1, 2, 3]),
            ("int64", pa.array([1, 2, 2**63], pa.uint64()), pa.ArrowInvalid),
            ("int64", pa.array([1.0, 2, 3]), TypeError),
            ("int64", pa.array(["1", "2", "3"]), TypeError),
            ("int64", pa.array([1, None, 3]), ValueError),
            ("int64?", pa.array([1, None, 3]), [1, None, 3]),
            ("int64?", pa.nulls(3), [None, None, None]),
            ("int64?", pa.array([0, 0, 1, None, 3]).slice(2), [1, None, 3]),
            ("float64", pa.array([1, 2, 3]), [1.0, 2.0, 3.0]),
            ("float64", pa.array([1, 2, 3], pa.float32()), [1.0, 2.0, 3.0]),
            ("string", pa.array(["a", "b", "ü"], pa.large_string()), ["a", "b", "ü"]),
            ("string", pa.array(["a", "b", "ü"], pa.string_view()), ["a", "b", "ü"]),
            ("string", pa.array(["z", "z", "a", "b", "ü"]).slice(2), ["a", "b", "ü"]),
            ("string", pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
            ("string?", pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
            ("string?", pa.array(["z", "a", None, "a"]).dictionary_encode().slice(1), ["a", None, "a"]),
            (
                "string?",
                pa.DictionaryArray.from_arrays(pa.array([0, 1, 1], pa.uint8()), pa.array(["a", None])),
                ["a", None, None],
            ),
            ("bool", pa.array([True, False, True, True, False]).slice(2), [True, True, False]),
            ("bool", pa.array([1, 0, 1]), TypeError),
            ("binary", pa.array([b"z", b"a", b"b", b"c"]).slice(1), [b"a", b"b", b"c"]),
            ("timestamp", pa.array([0, 1, 2], pa.timestamp("s")), TypeError),
            (
                "timestamp",
                pa.array([0, 1, 2], pa.timestamp("s", "Europe/Berlin")),
                [datetime(1970, 1, 1, 0, 0, second, tzinfo=timezone.utc) for second in range(3)],
            ),
        ]
        for word, array, expected in cases:
            with self.subTest(word=word, type=str(array.type)):

                @transform(batch=True, output={"c": word})
                def stage(batch: Any) -> Any:
                    return pa.RecordBatch.from_arrays([array], ["c"])

                if isinstance(expected, list):
                    self.assertEqual([event["c"] for event in check(stage, [{"n": 1}] * rows)], expected)
                else:
                    self.assertRaises((expected, AssertionError), check, stage, [{"n": 1}] * rows)

    def test_an_error_costs_the_batch(self) -> None:
        import pyarrow as pa

        handlers: list[Callable[[Any], Any]] = [
            lambda batch: 1 // 0,
            lambda batch: 7,
            lambda batch: [7],
            lambda batch: pa.array([True]),
            lambda batch: pa.RecordBatch.from_pydict({"other": [1]}),
        ]
        for handler in handlers:
            found = answer(transform(batch=True)(handler), EVENTS, {"type": "string", "value": "int64"})
            self.assertEqual((list(found.failures.values()), found.payloads), ([list(range(60))], []))
            self.assertEqual(found.filtered, 0)

    def test_what_is_kept_has_to_be_copied(self) -> None:
        class Delay(Transform, batch=True):
            def __init__(self) -> None:
                self.held: list[Any] = []

            def process(self, batch: Any) -> None:
                self.held.append(self.hold(batch))

            def hold(self, batch: Any) -> Any:
                return keep(batch)

            def finish(self) -> list[Any]:
                return self.held

        class Forgetful(Delay):
            def hold(self, batch: Any) -> Any:
                return batch

        self.assertEqual(check(Delay, EVENTS), EVENTS)
        # The overwritten codes are beyond the dictionary.
        with self.assertRaises(Exception):  # noqa: B017
            self.assertEqual(check(Forgetful, EVENTS), EVENTS)


class Declarations(unittest.TestCase):
    def test_config_state_and_context_come_by_name(self) -> None:
        @dataclass
        class Limits:
            least: int = 10

        def rules(event: Event, config: Any, context: Context) -> Event | None:
            self.assertEqual(context.stage, "check")
            return event if event["value"] >= config.least else None

        rules.__annotations__["config"] = Limits
        self.assertEqual(len(check(transform(rules), EVENTS)), 30)
        self.assertEqual(len(check(transform(rules), EVENTS, {"least": 15})), 15)
        with self.assertRaisesRegex(Invalid, "`with` has no member `last`; did you mean `least`?"):
            check(transform(rules), EVENTS, {"last": 1})

        class Restored(Transform):
            def __init__(self, config: dict[str, Any], state: bytes | None) -> None:
                self.seen = (config, state)

            def process(self, event: Event) -> Event:
                return {"type": str(self.seen), "value": 0}

        self.assertEqual(check(Restored, EVENTS[:1], {"a": 1}, state=b"s")[0]["type"], "({'a': 1}, b's')")

        @transform
        def unknown(event: Event, more: int) -> Event:
            return event

        with self.assertRaisesRegex(Invalid, "the parameter `more` is none of"):
            check(unknown, EVENTS)

    def test_filters_cannot_have_other_columns(self) -> None:
        opened = open_stage(filter(bool), "{}", None, Context("test"))
        words = Open(input=declared({"a": "int64"}), output=declared({"b": "int64"}))
        with self.assertRaises(Invalid):
            steps(opened, words, 1000)

    def test_what_is_no_stage(self) -> None:
        for stage in (print, 7, dict, Transform()):
            if not isinstance(stage, Transform):
                self.assertRaises(TypeError, check, stage, EVENTS)

    def test_decorated_functions_can_be_called(self) -> None:
        @transform
        def double(event: Event) -> Event:
            return {"value": 2 * event["value"]}

        self.assertEqual(double({"value": 2}), {"value": 4})

    def test_sources(self) -> None:
        def numbers() -> Iterator[Event]:
            yield from ({"n": n} for n in range(5))

        async def numbers_async() -> AsyncIterator[Event]:
            for n in range(5):
                await asyncio.sleep(0)
                yield {"n": n}

        class Numbers(Source, output={"n": "int64"}):
            def __init__(self, state: bytes | None) -> None:
                self.n = int(state or b"0")

            def events(self) -> Iterator[Event]:
                yield from numbers()

        for stage in (source(numbers), source(numbers_async), Numbers):
            self.assertEqual(check(stage), [{"n": n} for n in range(5)])
            self.assertEqual(check(stage, limit=2), [{"n": n} for n in range(2)])

    def test_sinks(self) -> None:
        seen: list[Any] = []

        async def write(event: Event) -> None:
            await asyncio.sleep(0)
            seen.append(event)

        class Collect(Sink):
            def write(self, event: Event) -> None:
                seen.append(event)

            def commit(self) -> None:
                seen.append("commit")

        for stage, more in ((sink(seen.append), []), (sink(write), []), (Collect, ["commit"])):
            seen.clear()
            self.assertEqual(check(stage, EVENTS), [])
            self.assertEqual(seen, [*EVENTS, *more])
        seen.clear()

        @sink(batch=True)
        def count(batch: Any) -> None:
            seen.append(batch.num_rows)

        check(count, EVENTS)
        self.assertEqual(seen, [60])
