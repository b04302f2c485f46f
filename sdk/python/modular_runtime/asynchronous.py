"""Handlers and generators that await; imported only by stages that have some, for it loads an event loop.

Guarantees: of a batch's events a bounded number is in work at once, and their order is kept. While an async generator
awaits, what it has given leaves after the linger; snapshots are made where it stands at a `yield`.

Neighbours: `event` and `arrow` gather with it, `source` pumps with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from . import activity
from .failure import Fatal
from .message import BatchPolicy, End
from .source import Emitter, leaves_early, linger_seconds


class Gatherer:
    """Runs an async handler over the events of a batch, a bounded number at once."""

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._loop = asyncio.new_event_loop()

    def __del__(self) -> None:
        self._loop.close()

    def run(self, call: Callable[..., Any], events: Sequence[Any]) -> list[Any]:
        """The result or the exception of each event, in order."""
        return self._loop.run_until_complete(self._all(call, events))

    async def _all(self, call: Callable[..., Any], events: Sequence[Any]) -> list[Any]:
        results: list[Any] = [None] * len(events)
        remaining = enumerate(events)

        async def work() -> None:
            for at, event in remaining:
                try:
                    results[at] = await call(event)
                except Fatal:
                    raise
                except Exception as error:
                    results[at] = error

        await asyncio.gather(*[work() for _ in range(min(self._concurrency, len(events)))])
        return results


class AsyncPump:
    """Takes events from an async generator, in an event loop of its own."""

    def __init__(self, emitter: Emitter, events: AsyncIterator[Any], policy: BatchPolicy) -> None:
        self._emitter = emitter
        self._events = events
        self._linger_seconds = linger_seconds(policy)
        self._early = leaves_early(policy)
        self._queue: list[Any] = []
        self._full = asyncio.Event()
        self._room = asyncio.Event()
        self._resting = False  # the generator waits for room: it stands at a `yield`
        self._pause = False  # a barrier waits for the generator to rest

    def run(self) -> None:
        """Runs until the generator has no more, or `End` comes."""
        asyncio.run(self._main())

    async def _main(self) -> None:
        emitter = self._emitter
        pump = asyncio.ensure_future(self._pump())
        while not emitter.stopped:
            emitter.link.ledger.enter(activity.PROCESS)
            since = emitter.link.ledger.now()
            full = asyncio.ensure_future(self._full.wait())
            await asyncio.wait({full, pump}, timeout=self._linger_seconds, return_when=asyncio.FIRST_COMPLETED)
            full.cancel()
            over = pump.done()
            if self._queue and (self._early or self._resting or over):
                events, self._queue = self._queue, []
                emitter.emit(events, time.monotonic_ns() - since)
            self._listen(over)
            if over:
                pump.result()
                return
            if self._resting:
                self._resting = False
                self._full.clear()
                self._room.set()
        pump.cancel()

    def _listen(self, over: bool) -> None:
        emitter = self._emitter
        emitter.link.look()
        inbox = emitter.link.inbox
        at_rest = (self._resting or over) and not self._queue
        if at_rest or (inbox and isinstance(inbox[0], End)):
            emitter.listen()
            self._pause = False
            if self._resting:
                emitter.make_room()
        elif inbox:
            self._pause = True

    async def _pump(self) -> None:
        emitter, weight = self._emitter, 0
        async for event in self._events:
            self._queue.append(event)
            weight += emitter.weight(event) if emitter.weighs else 1
            if weight >= emitter.target or emitter.batches or self._pause:
                weight = 0
                self._resting = True
                self._room.clear()
                self._full.set()
                await self._room.wait()
