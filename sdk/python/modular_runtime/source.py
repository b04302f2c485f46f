"""The loop of sources: takes events from a generator, makes batches as the policy wants them, and sends them.

```text
 generator ──▶ queue ──▶ batch ──▶ link
                 ▲ after 10 ms without a full batch: the watch takes what is there
```

Guarantees: with `rows: N` every batch has N rows, but the last and those that leave after the linger. Adaptive
batches grow while the receiver is busy or events come fast, and shrink while it is idle; while the generator blocks,
no event waits longer than about 10 ms. Rows of raw text count as their lines.

Refuses: nothing; an error of the generator is an error of the stage.

Neighbours: `run` opens the source, `link` sends.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from . import activity
from .answer import Results
from .event import lines
from .failure import Closed, Fatal, cause_of
from .link import Link
from .message import Barrier, BatchPolicy, End
from .opening import Opened
from .schema import Schema
from .table import Misfit, Payload

LINGER_SECONDS = 0.01
TICK_SECONDS_MIN = 0.001
ROWS_MAX = 32_768
BYTES_MAX = 2 << 20
FAST_NANOS = 1_000_000
SLOW_NANOS = 4_000_000


def pump(link: Link, opened: Opened, conclude: Callable[[], int]) -> None:
    """Runs a source until it has no more, or is told to stop.

    `conclude` says that it is done and gives the exit code; it is called from here if the generator cannot be stopped.
    """
    schema = opened.declaration.output or link.open.output
    assert schema is not None
    policy = link.open.policy or BatchPolicy()
    emitter = Emitter(link, opened, schema, policy)
    events = opened.call()
    if inspect.isasyncgen(events) or isinstance(events, AsyncIterator):
        from .asynchronous import AsyncPump

        AsyncPump(emitter, events, policy).run()
    elif isinstance(events, Iterable):
        Pump(emitter, iter(events), policy, conclude).run()
    else:
        raise Fatal(f"a source gives a generator of events, not `{type(events).__name__}`")


class Emitter:
    """Makes batches of events and sends them; knows how many rows the next one should have."""

    def __init__(self, link: Link, opened: Opened, schema: Schema, policy: BatchPolicy) -> None:
        self.link = link
        self.stopped = False
        self.target = policy.rows or 1
        self._adaptive = policy.rows == 0
        self._instance = opened.instance
        self._opened = opened
        self._text = schema.names[schema.text_column] if schema.text_column is not None else None
        if opened.declaration.batch:
            from .arrow import Batches

            self._results: Any = Batches(schema, link.payload_bytes_max)
            self._rows_max = self.target if policy.rows else ROWS_MAX
        else:
            self._results = Results(schema, link.payload_bytes_max)

    @property
    def batches(self) -> bool:
        """Whether the source gives whole batches."""
        return self._opened.declaration.batch

    def weight(self, event: Any) -> int:
        """How many rows an event counts as."""
        return max(1, lines(event.get(self._text))) if self._text is not None and isinstance(event, dict) else 1

    @property
    def weighs(self) -> bool:
        """Whether events count as more than one row."""
        return self._text is not None and not self.batches

    def emit(self, events: list[Any], took_nanos: int) -> None:
        """Sends events; `took_nanos` is how long it took to gather them."""
        link = self.link
        busy = link.unpaid > 0
        link.ledger.enter(activity.ENCODE)
        size = 0
        try:
            for payload in self._payloads(events):
                size += payload.size
                link.send(payload)
                link.ledger.enter(activity.ENCODE)
        except Misfit as misfit:
            raise Fatal(f"an event of the source cannot be sent: {misfit}") from misfit
        if self._adaptive and events:
            self._adapt(len(events), size, took_nanos, busy)
        if link.ledger.due():
            self.report()
        link.flush()

    def _payloads(self, events: list[Any]) -> Iterator[Payload]:
        if not self.batches:
            yield from self._results.pieces(events)
            return
        for batch in events:
            for start in range(0, batch.num_rows, self._rows_max):
                yield from self._results.pieces(batch.slice(start, self._rows_max))

    def _adapt(self, rows: int, size: int, took_nanos: int, busy: bool) -> None:
        if busy or took_nanos < FAST_NANOS:
            if rows >= self.target:
                room = max(1, BYTES_MAX * rows // max(size, 1))
                self.target = min(2 * self.target, ROWS_MAX, room)
        elif took_nanos > SLOW_NANOS:
            self.target = max(1, self.target // 2)

    def report(self) -> None:
        """Tells the runtime where the time went and how far the source is."""
        self.link.report(getattr(self._instance, "bytes_read", 0), getattr(self._instance, "bytes_total", 0))

    def make_room(self) -> None:
        """Waits until another batch may be sent, before its events are asked for: a snapshot meanwhile has them all."""
        while self.link.full and not self.stopped:
            self.link.wait_for_credit()
            self._answer()

    def listen(self) -> None:
        """Takes in what the runtime has sent. Only while the generator rests: snapshots have to fit what was sent."""
        self.link.look()
        self._answer()

    def _answer(self) -> None:
        while self.link.inbox:
            item = self.link.inbox.popleft()
            if isinstance(item, Barrier):
                self.link.ledger.enter(activity.PROCESS)
                self.link.state(item.epoch, self._opened.snapshot())
            elif isinstance(item, End):
                self.stopped = True


class Pump:
    """Takes events from a generator, which may block; a watch looks after what waits meanwhile."""

    def __init__(
        self, emitter: Emitter, events: Iterator[Any], policy: BatchPolicy, conclude: Callable[[], int]
    ) -> None:
        self._emitter = emitter
        self._events = events
        self._conclude = conclude
        self._tick_seconds = max(linger_seconds(policy) / 2, TICK_SECONDS_MIN)
        self._early = leaves_early(policy)
        self._queue: deque[Any] = deque()
        self._taken = 0  # events that the watch took from the queue
        self._turn = 0  # counts how often the generator was asked
        self._inside = False  # the generator runs
        self._lock = threading.Lock()
        self._over = threading.Event()

    def run(self) -> None:
        """Runs until the generator has no more, or `End` comes."""
        threading.Thread(target=self._watch, name="linger", daemon=True).start()
        try:
            while self._round():
                pass
        finally:
            self._over.set()

    def _round(self) -> bool:
        """Asks for a batch and sends it; False after the last one."""
        emitter, queue = self._emitter, self._queue
        with self._lock:
            emitter.link.ledger.enter(activity.PROCESS)
            since = emitter.link.ledger.now()
            self._turn += 1
            self._inside = True
        try:
            more = self._fill(emitter.target)
        finally:
            # What the generator gave before an error was given.
            with self._lock:
                self._inside = False
                took_nanos = time.monotonic_ns() - since
                events = list(queue)
                queue.clear()
                emitter.emit(events, took_nanos)
        emitter.listen()
        if more:
            emitter.make_room()
        return more and not emitter.stopped

    def _fill(self, target: int) -> bool:
        emitter, queue = self._emitter, self._queue
        if not emitter.weighs:
            wanted = 1 if emitter.batches else target
            taken = self._taken
            queue.extend(islice(self._events, wanted))
            return len(queue) + self._taken - taken == wanted
        weight = 0
        for event in self._events:
            queue.append(event)
            weight += emitter.weight(event)
            if weight >= target:
                return True
        return False

    def _watch(self) -> None:
        seen = 0
        try:
            while not self._over.wait(self._tick_seconds):
                if self._inside and self._turn == seen:
                    with self._lock:
                        if self._inside and self._turn == seen:
                            self._look_after()
                seen = self._turn
        except Closed:
            os._exit(1)
        except BaseException as error:
            with contextlib.suppress(Closed):
                self._emitter.link.fail(cause_of(error))
            os._exit(1)

    def _look_after(self) -> None:
        """The generator has not come to a full batch for a while: sends what it has given so far."""
        emitter, queue = self._emitter, self._queue
        emitter.link.look()
        end = bool(emitter.link.inbox) and isinstance(emitter.link.inbox[0], End)
        if end or (self._early and not emitter.link.full):
            events = [queue.popleft() for _ in range(len(queue))]
            self._taken += len(events)
            if events:
                emitter.emit(events, SLOW_NANOS)
        if end:
            # A generator that blocks cannot be stopped; the process can end without it.
            code = self._conclude()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        emitter.link.ledger.enter(activity.PROCESS)


def linger_seconds(policy: BatchPolicy) -> float:
    """How long an event may wait for others."""
    return policy.linger_us / 1e6 if policy.linger_us else LINGER_SECONDS


def leaves_early(policy: BatchPolicy) -> bool:
    """Whether a batch may leave before it is full: not with a fixed number of rows and no linger."""
    return policy.rows == 0 or policy.linger_us > 0
