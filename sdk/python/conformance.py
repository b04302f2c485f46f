"""The stages under test: `conformance.py STAGE FORM` runs one of those that `conformance/STAGES.md` describes.

Written as a user would write them, with what the SDK gives to users.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any

from modular_runtime import Context, Event, Fatal, JsonLines, Sink, Source, Transform, keep, run, source, transform
from modular_runtime import filter as event_filter

BATCH_ROWS = 1000
INT64_MAX = 2**63 - 1


@dataclass
class N:
    n: int


@dataclass
class Times:
    times: int


@transform
def echo(event: Event) -> Event:
    return event


@transform(batch=True)
def echo_batch(batch: Any) -> Any:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays(batch.columns, schema=batch.schema) if batch.num_columns else batch


@event_filter
def keep_even(event: Event) -> bool:
    return event["n"] is not None and event["n"] % 2 == 0


def _even(batch: Any) -> Any:
    import pyarrow.compute as pc

    return pc.equal(pc.bit_wise_and(batch["n"], 1), 0)


@event_filter(batch=True)
def keep_even_batch(batch: Any) -> Any:
    return _even(batch)


@transform
def select(event: Event) -> Event | None:
    return event if event["n"] is not None and event["n"] % 2 == 0 else None


@transform(batch=True)
def select_batch(batch: Any) -> Any:
    return _even(batch)


@transform
def duplicate(event: Event, config: Times) -> list[Event]:
    return [event] * config.times


@transform(batch=True)
def duplicate_batch(batch: Any, config: Times) -> Any:
    import pyarrow as pa

    if config.times == 0:
        return None
    rows = [row for row in range(batch.num_rows) for _ in range(config.times)]
    return batch.take(pa.array(rows, pa.int64()))


DERIVED = {"n2": "int64?", "s2": "string?", "x2": "float64?", "b2": "bool?", "t2": "timestamp?", "r2": "binary?"}


@transform(output=DERIVED)
def derive(event: Event) -> Event:
    n, s, x, b, t, r = (event[name] for name in "nsxbtr")
    return {
        "n2": None if n is None or n == INT64_MAX else n + 1,
        "s2": None if s is None else s + "!",
        "x2": None if x is None else x / 2,
        "b2": None if b is None else not b,
        "t2": None if t is None else t + timedelta(seconds=1),
        "r2": None if r is None else r[::-1],
    }


@transform(batch=True, output=DERIVED)
def derive_batch(batch: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    n = pc.if_else(pc.equal(batch["n"], INT64_MAX), pa.scalar(None, pa.int64()), batch["n"])
    s = batch["s"].cast(pa.string())
    columns = {
        "n2": pc.add(n, 1),
        "s2": pc.binary_join_element_wise(s, "!", ""),
        "x2": pc.divide(batch["x"], 2.0),
        "b2": pc.invert(batch["b"]),
        "t2": pc.add(batch["t"].cast(pa.int64()), 1_000_000).cast(pa.timestamp("us", tz="UTC")),
        "r2": pc.binary_reverse(batch["r"]),
    }
    return pa.RecordBatch.from_pydict(columns)


@transform
def fail_on(event: Event, config: N) -> Event:
    if event["n"] == config.n:
        raise ValueError(f"bad n: {config.n}")
    return event


@transform(batch=True)
def fail_batch(batch: Any, config: N) -> Any:
    if config.n in batch["n"].to_pylist():
        raise ValueError(f"bad n: {config.n}")
    return batch


class FatalOn(Transform):
    def __init__(self, config: N) -> None:
        self._n = config.n

    def process(self, event: Event) -> Event:
        if event["n"] == self._n:
            raise Fatal(f"bad n: {self._n}")
        return event


class FatalOnBatch(Transform, batch=True):
    def __init__(self, config: N) -> None:
        self._n = config.n

    def process(self, batch: Any) -> Any:
        if self._n in batch["n"].to_pylist():
            raise Fatal(f"bad n: {self._n}")
        return batch


class FailOpen(Transform):
    def __init__(self) -> None:
        raise RuntimeError("no luck")


class FailFinish(Transform):
    def process(self, event: Event) -> Event:
        return event

    def finish(self) -> None:
        raise RuntimeError("too late")


class FailFinishBatch(FailFinish, batch=True):
    pass


class Count(Transform, output={"key": "string?", "count": "int64"}):
    def __init__(self, state: bytes | None) -> None:
        self._counts: dict[str | None, int] = {}
        at = 0
        while state and at < len(state):
            length, count = struct.unpack_from("<iQ", state, at)
            at += 12
            key = None if length < 0 else state[at : at + length].decode()
            self._counts[key] = count
            at += max(length, 0)

    def process(self, event: Event) -> None:
        key = event["s"]
        self._counts[key] = self._counts.get(key, 0) + 1

    def finish(self) -> Iterator[Event]:
        for key in sorted(self._counts, key=lambda key: b"" if key is None else b"\1" + key.encode()):
            yield {"key": key, "count": self._counts[key]}

    def snapshot(self) -> bytes:
        chunks = []
        for key, count in self._counts.items():
            data = b"" if key is None else key.encode()
            chunks.append(struct.pack("<iQ", -1 if key is None else len(data), count) + data)
        return b"".join(chunks)


class CountBatch(Count, batch=True):
    def process(self, batch: Any) -> None:
        for pair in batch["s"].value_counts().to_pylist():
            self._counts[pair["values"]] = self._counts.get(pair["values"], 0) + pair["counts"]

    def finish(self) -> Any:
        import pyarrow as pa

        rows = list(super().finish())
        schema = pa.schema([("key", pa.string()), pa.field("count", pa.int64(), False)])
        return [pa.RecordBatch.from_pylist(rows, schema=schema)]


class Sum(Transform, batch=True, output={"sum": "int64"}):
    def __init__(self, state: bytes | None) -> None:
        self._sum = int.from_bytes(state, "little", signed=True) if state else 0

    def process(self, batch: Any) -> Any:
        import pyarrow as pa

        if not batch.num_rows:
            return None
        self._sum += sum(batch["n"].to_pylist())
        if not -(2**63) <= self._sum <= INT64_MAX:
            raise Fatal(f"the sum `{self._sum}` is beyond int64")
        return pa.RecordBatch.from_pydict({"sum": pa.array([self._sum], pa.int64())})

    def snapshot(self) -> bytes:
        return self._sum.to_bytes(9, "little", signed=True)


class Delay(Transform, batch=True):
    def __init__(self) -> None:
        self._held: Any = None

    def process(self, batch: Any) -> Any:
        before, self._held = self._held, keep(batch)
        return before

    def finish(self) -> Any:
        return [] if self._held is None else [self._held]


@dataclass
class Nested:
    a: str


@dataclass
class Config:
    text: str
    number: float
    whole: int
    flag: bool
    list: list[Any]
    nested: Nested


CONFIGURED = {
    "text": "string",
    "number": "float64",
    "whole": "int64",
    "flag": "bool",
    "list": "int64",
    "nested": "string",
}


def _configured(config: Config) -> Event:
    return {
        "text": config.text,
        "number": config.number,
        "whole": config.whole,
        "flag": config.flag,
        "list": len(config.list),
        "nested": config.nested.a,
    }


@transform(output=CONFIGURED)
def config(event: Event, config: Config) -> Event:
    return _configured(config)


@transform(batch=True, output=CONFIGURED)
def config_batch(batch: Any, config: Config) -> Any:
    import pyarrow as pa

    return pa.RecordBatch.from_pylist([_configured(config)] * batch.num_rows) if batch.num_rows else None


class Log(Transform, stateless=True):
    def __init__(self) -> None:
        logger = logging.getLogger("conformance")
        logger.error("an error")
        logger.warning("a warning")
        logger.info("an information")
        logger.debug("a detail")
        print("printed")

    def process(self, event: Any) -> Any:
        return event


class LogBatch(Log, batch=True):
    pass


NUMBERED = {"n": "int64", "s": "string"}


@dataclass
class Range:
    count: int = INT64_MAX
    fail: int = -1


class Numbers(Source, output=NUMBERED):
    def __init__(self, config: Range, state: bytes | None) -> None:
        self._n = int(state) if state else 0
        self._config = config

    def events(self) -> Any:
        while self._n < self._config.count:
            n = self._n
            if n == self._config.fail:
                raise RuntimeError("dry")
            self._n += 1
            yield {"n": n, "s": f"s{n % 10}"}

    def snapshot(self) -> bytes:
        return str(self._n).encode()


class NumbersBatch(Numbers, batch=True):
    def events(self) -> Any:
        import pyarrow as pa

        while self._n < self._config.count:
            stop = min(self._n + BATCH_ROWS, self._config.count)
            if self._n <= self._config.fail < stop:
                stop = self._config.fail
                if stop == self._n:
                    raise RuntimeError("dry")
            values = range(self._n, stop)
            self._n = stop
            yield pa.RecordBatch.from_pydict(
                {"n": pa.array(values, pa.int64()), "s": pa.array([f"s{n % 10}" for n in values])}
            )


@source(output=NUMBERED)
async def numbers_async(config: Range) -> AsyncIterator[Event]:
    for n in range(config.count):
        if n % 64 == 0:
            await asyncio.sleep(0)
        yield {"n": n, "s": f"s{n % 10}"}


class FailSink(Sink):
    def write(self, event: Event) -> None:
        raise OSError("disk on fire")


class FailSinkBatch(FailSink, batch=True):
    pass


@dataclass
class Sleep:
    sleep_ms: float


@dataclass
class Spin:
    micros: int


@transform(batch=True)
def slow(batch: Any, config: Sleep) -> Any:
    time.sleep(config.sleep_ms / 1000)
    return batch


def _spun(micros: int) -> int:
    begin, end = time.monotonic_ns(), time.thread_time_ns() + 1000 * micros
    while time.thread_time_ns() < end:
        pass
    return time.monotonic_ns() - begin


SPUN = {"s": "string?", "wall": "int64"}


@transform(output=SPUN)
def spin(event: Event, config: Spin) -> Event:
    return {"s": event["s"], "wall": _spun(config.micros)}


@transform(batch=True, output=SPUN)
def spin_batch(batch: Any, config: Spin) -> Any:
    import pyarrow as pa

    walls = [_spun(config.micros)] + [0] * (batch.num_rows - 1)
    return pa.RecordBatch.from_arrays([batch["s"], pa.array(walls, pa.int64())], names=["s", "wall"])


class SlowEnd(Transform):
    def __init__(self, config: Sleep) -> None:
        self._seconds = config.sleep_ms / 1000

    def process(self, event: Any) -> Any:
        return event

    def snapshot(self) -> bytes:
        time.sleep(self._seconds)
        return b""

    def finish(self) -> list[Any]:
        time.sleep(self._seconds)
        return []


class SlowEndBatch(SlowEnd, batch=True):
    pass


class SlowSink(Sink, batch=True):
    def __init__(self, config: Sleep) -> None:
        self._seconds = config.sleep_ms / 1000

    def write(self, batch: Any) -> None:
        if self._seconds:
            time.sleep(self._seconds)

    def prepare(self) -> None:
        time.sleep(self._seconds)


@dataclass
class SlowRange(Range, Sleep):
    pass


class SlowNumbers(Numbers):
    def __init__(self, config: SlowRange, state: bytes | None) -> None:
        super().__init__(config, state)
        self._seconds = config.sleep_ms / 1000

    def events(self) -> Any:
        for event in super().events():
            if event["n"] % 10 == 0:
                time.sleep(self._seconds)
            yield event

    def snapshot(self) -> bytes:
        time.sleep(self._seconds)
        return super().snapshot()


class SlowNumbersBatch(SlowNumbers, batch=True):
    def events(self) -> Any:
        import pyarrow as pa

        while ten := list(islice(Numbers.events(self), 10)):
            time.sleep(self._seconds)
            yield pa.RecordBatch.from_pylist(ten)


class Async(Transform, stateless=True):
    def __init__(self, context: Context) -> None:
        self._events = 0

    async def process(self, event: Event) -> Event:
        self._events += 1
        await asyncio.sleep((self._events * 7 % 5) / 2000)
        return event


STAGES: dict[str, tuple[object, object]] = {
    "echo": (echo, echo_batch),
    "keep_even": (keep_even, keep_even_batch),
    "select": (select, select_batch),
    "duplicate": (duplicate, duplicate_batch),
    "derive": (derive, derive_batch),
    "fail_on": (fail_on, fail_on),
    "fail_batch": (fail_batch, fail_batch),
    "fatal_on": (FatalOn, FatalOnBatch),
    "fail_open": (FailOpen, FailOpen),
    "fail_finish": (FailFinish, FailFinishBatch),
    "count": (Count, CountBatch),
    "sum": (Sum, Sum),
    "delay": (Delay, Delay),
    "config": (config, config_batch),
    "log": (Log, LogBatch),
    "numbers": (Numbers, NumbersBatch),
    "endless": (Numbers, NumbersBatch),
    "fail_source": (Numbers, NumbersBatch),
    "lines": (JsonLines, JsonLines),
    "fail_sink": (FailSink, FailSinkBatch),
    "slow": (slow, slow),
    "slow_end": (SlowEnd, SlowEndBatch),
    "slow_numbers": (SlowNumbers, SlowNumbersBatch),
    "slow_sink": (SlowSink, SlowSink),
    "spin": (spin, spin_batch),
    "async": (Async, Async),
    "async_numbers": (numbers_async, numbers_async),
}

if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    form = sys.argv[2] if len(sys.argv) > 2 else "event"
    if name not in STAGES or form not in ("event", "batch"):
        print(f"usage: conformance.py STAGE [event|batch], where STAGE is {', '.join(STAGES)}", file=sys.stderr)
        sys.exit(64)
    run(STAGES[name][form == "batch"])
