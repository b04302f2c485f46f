"""Runs a stage as the process that `modrun` started: opens it, then takes what comes until the link ends.

```text
 Open, State ──▶ open_stage ──▶ Ready
 Batch ──▶ step ──▶ Batch*, Failed*, Credit         Barrier ──▶ State*, Snapshot
 End ──▶ finish or prepare ──▶ Activity, Done       Commit ──▶ commit ──▶ Committed         EOF ──▶ exit
```

Guarantees: an error while opening, finishing, snapshotting, in a source or in a sink ends the process with 1, and the
runtime is told why. The end of the socket ends it at once: with 0 if the stage is done, otherwise with 1.

Neighbours: `link` has the protocol, `event` and `arrow` process batches, `source` is the loop of sources.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn, Protocol, cast

from . import logging, message
from .activity import PROCESS, Ledger
from .answer import Answer
from .event import EventSink, EventTransform
from .failure import Closed, Fatal, Invalid, cause_of
from .frame import Batch
from .link import Link, inherited
from .message import PROTOCOL, Barrier, Commit, Concurrency, End, Role
from .opening import Opened, open_stage
from .source import pump
from .stage import Context, Prepared, Sink, Transform, declaration_of
from .table import Misfit, Payload
from .version import SDK

START_HINT = "this program is a stage: `modrun run` starts it (MODRUN_STAGE is not set)"


class Steps(Protocol):
    """What processes batches."""

    def step(self, payload: memoryview, rows: int, ledger: Ledger) -> Answer:
        """Processes one."""


class Transforms(Steps, Protocol):
    """What transforms batches."""

    def finish(self, held_back: Iterable[Any], /) -> Iterator[Payload]:
        """The payloads of what was held back."""


def run(stage: object) -> NoReturn:
    """Runs a stage; the process ends with it."""
    place = os.environ.pop("MODRUN_STAGE", None)
    if place is None:
        print(START_HINT, file=sys.stderr)
        sys.exit(2)
    logging.install()
    code = Process(inherited(place), stage).run()
    sys.stdout.flush()
    sys.exit(code)


class Process:
    """One life of a stage."""

    def __init__(self, link: Link, stage: object) -> None:
        self._link = link
        self._stage = stage
        self._ended = False

    def run(self) -> int:
        """Runs it and gives the exit code."""
        link = self._link
        try:
            opened = self._open()
            if opened.declaration.role == Role.SOURCE:
                pump(link, opened, lambda: self._conclude(opened))
            else:
                self._work(opened)
            return self._conclude(opened)
        except Closed:
            return 0 if self._ended else 1
        except BaseException as error:
            with contextlib.suppress(Closed):
                link.fail(cause_of(error))
            return 1

    def _open(self) -> Opened:
        link = self._link
        state = link.accept()
        words = link.open
        if words.protocol != PROTOCOL:
            raise Invalid(f"the runtime speaks version {words.protocol} of the protocol, this stage version {PROTOCOL}")
        declaration = declaration_of(self._stage)
        output = declaration.output or words.output
        context = Context(
            words.stage, words.input, output, words.policy, words.generation, words.replica, words.replicas
        )
        opened = open_stage(self._stage, words.config, state, context)
        check_role(opened, words)
        self._steps = None if declaration.role == Role.SOURCE else steps(opened, words, link.payload_bytes_max)
        gc.collect()
        gc.freeze()
        concurrency = Concurrency.STATELESS if declaration.stateless else Concurrency.ORDERED
        link.begin(message.ready(SDK, declaration.role, concurrency, declaration.output))
        return opened

    def _work(self, opened: Opened) -> None:
        """Takes batches until the end."""
        link, steps = self._link, self._steps
        assert steps is not None
        while True:
            item = link.next()
            if isinstance(item, Batch):
                link.answer(item, steps.step(link.payload(item), item.rows, link.ledger))
            elif isinstance(item, Barrier):
                link.ledger.enter(PROCESS)
                link.state(item.epoch, opened.snapshot())
            elif isinstance(item, End):
                link.ledger.enter(PROCESS)
                self._finish(opened)
                return

    def _finish(self, opened: Opened) -> None:
        held_back = opened.instance.finish() if isinstance(opened.instance, Transform) else None
        if held_back is None:
            return
        transform = cast(Transforms, self._steps)
        try:
            for payload in transform.finish(held_back):
                self._link.send(payload)
                self._link.ledger.enter(PROCESS)
        except Misfit as misfit:
            raise Fatal(f"an event of `finish` cannot be sent: {misfit}") from misfit

    def _conclude(self, opened: Opened) -> int:
        """Says that the stage is done, and takes what comes then."""
        try:
            self._done(opened)
            while True:
                self._rest(opened)
        except Closed:
            return 0 if self._ended else 1

    def _done(self, opened: Opened) -> None:
        link, instance = self._link, opened.instance
        link.ledger.enter(PROCESS)
        prepared = instance.prepare() if isinstance(instance, Sink) else None
        prepared = prepared or Prepared()
        # Its account includes the sending of all that it has sent.
        link.flush()
        link.report(getattr(instance, "bytes_read", 0), getattr(instance, "bytes_total", 0))
        link.say(message.done(prepared.artifact, prepared.rows))
        self._ended = opened.declaration.role != Role.SINK

    def _rest(self, opened: Opened) -> None:
        """Takes what comes after `Done`."""
        if isinstance(self._link.next(), Commit) and opened.declaration.role == Role.SINK:
            if isinstance(opened.instance, Sink):
                opened.instance.commit()
            self._link.say(message.committed())
            self._ended = True


def check_role(opened: Opened, words: message.Open) -> None:
    """Refuses a stage that stands where it cannot."""
    role = opened.declaration.role
    output = opened.declaration.output or words.output
    if role != Role.SOURCE and words.input is None:
        raise Invalid(f"the stage is a {role.name.lower()}, but no stage stands before it in the pipeline")
    if role == Role.SOURCE and words.input is not None:
        raise Invalid("the stage is a source, but another stage stands before it in the pipeline")
    if role != Role.SINK and output is None:
        raise Invalid("the columns of the output are not known: declare them with `output=` or `out:`")


def steps(opened: Opened, words: message.Open, payload_bytes_max: int) -> Steps:
    """What processes the batches of a transform or sink."""
    declaration = opened.declaration
    assert words.input is not None
    output = declaration.output or words.output
    if declaration.role == Role.SINK:
        if not declaration.batch:
            return EventSink(opened, words.input)
        from .arrow import BatchSink

        return BatchSink(opened, words.input)
    assert output is not None
    if not declaration.batch:
        return EventTransform(opened, words.input, output, payload_bytes_max)
    from .arrow import BatchTransform

    return BatchTransform(opened, words.input, output, payload_bytes_max)
