"""Sources as processes."""

from __future__ import annotations

import json
import unittest

from modular_runtime.message import NO_BATCH, BatchPolicy

from .peer import INLINE, SHM, Peer, Rows, Setting, conformance, rows_of
from .test_table import schema

NARROW = Setting(input_segment=1 << 16, output_segment=1 << 16, inline_max=0, window_batches=3, window_bytes=20_000)
FORMS = ("event", "batch")


class Sources(unittest.TestCase):
    """Batches out."""

    COLUMNS = schema({"n": "int64", "s": "string"})

    def expected(self, start: int, stop: int) -> Rows:
        return [(n, f"s{n % 10}") for n in range(start, stop)]

    def test_numbers(self) -> None:
        policies = [None, BatchPolicy(), BatchPolicy(rows=7), BatchPolicy(rows=100, linger_us=50_000)]
        for stage, form in (("numbers", "event"), ("numbers", "batch"), ("async_numbers", "event")):
            for policy in policies:
                for setting in (NARROW, INLINE) if policy is None else (SHM,):
                    with self.subTest(stage=stage, form=form, policy=policy):
                        peer = conformance(stage, form, config='{"count": 2500}', setting=setting, policy=policy)
                        peer.wait(lambda: peer.done)
                        self.assertEqual(peer.close()[0], 0)
                        self.assertEqual(rows_of(peer.outputs, [], self.COLUMNS), self.expected(0, 2500))
                        self.assertEqual({output.input for output in peer.outputs}, {NO_BATCH})
                        sizes = [output.rows for output in peer.outputs]
                        if policy and policy.rows == 7 and form == "event":
                            self.assertEqual(sizes, [7] * 357 + [1])

    def test_end_and_state(self) -> None:
        for form in FORMS:
            with self.subTest(form=form):
                first = conformance("endless", form)
                first.wait(lambda: len(first.outputs) > 20)
                first.barrier(3)
                first.wait(lambda: first.snapshots)
                first.end()
                first.wait(lambda: first.done)
                self.assertEqual(first.close()[0], 0)
                found = rows_of(first.outputs, [], self.COLUMNS)
                self.assertEqual(found, self.expected(0, len(found)))
                position = int(b"".join(first.states))
                self.assertLessEqual(position, len(found))
                config = json.dumps({"count": position + 100})
                second = conformance("numbers", form, config=config, state=first.states)
                second.wait(lambda: second.done)
                second.close()
                self.assertEqual(rows_of(second.outputs, [], self.COLUMNS), self.expected(position, position + 100))

    def test_without_credit_a_source_stands_still(self) -> None:
        peer = conformance("endless", credit=False)
        peer.wait(lambda: len(peer.outputs) == 4)
        peer.give_credit(2)
        peer.wait(lambda: len(peer.outputs) == 5)
        self.assertEqual(peer.close()[0], 1)
        self.assertEqual(len(peer.outputs), 5)

    def test_an_error_ends_it(self) -> None:
        peer = conformance("fail_source", config='{"count": 100, "fail": 60}')
        peer.wait(lambda: peer.failures)
        self.assertEqual(peer.close()[0], 1)
        self.assertEqual([(f.kind, f.code, f.message, f.rows) for f in peer.failures], [(4, "RuntimeError", "dry", [])])
        self.assertEqual(rows_of(peer.outputs, [], self.COLUMNS), self.expected(0, 60))

    BLOCKED = """
import asyncio, threading, time
from modular_runtime import run, source
@source(output={"n": "int64"})
def blocked():
    yield from ({"n": n} for n in range(1000))
    threading.Event().wait()
@source(output={"n": "int64"})
async def blocked_async():
    for n in range(1000):
        yield {"n": n}
    await asyncio.Event().wait()
run(NAME)
"""

    def test_events_leave_while_the_generator_blocks(self) -> None:
        for name in ("blocked", "blocked_async"):
            for linger_us in (0, 20_000):
                policy = BatchPolicy(rows=900, linger_us=linger_us) if linger_us else BatchPolicy()
                with self.subTest(name=name, policy=policy):
                    peer = Peer(["-c", self.BLOCKED.replace("NAME", name)], policy=policy)
                    peer.wait(lambda: sum(output.rows for output in peer.outputs) == 1000)
                    peer.end()
                    peer.wait(lambda: peer.done)
                    self.assertEqual(peer.close()[0], 0)
            peer = Peer(["-c", self.BLOCKED.replace("NAME", name)], policy=BatchPolicy(rows=900))
            peer.wait(lambda: peer.outputs)
            self.assertEqual([output.rows for output in peer.outputs], [900])
            self.assertEqual(peer.close()[0], 1)

    TEXT = """
from modular_runtime import run, source
@source(output={"source": "string", "offset": "int64", "text": "binary"})
def texts():
    for offset in range(0, 60, 6):
        yield {"source": "f", "offset": offset, "text": TEXT}
run(texts)
"""

    def test_rows_of_text_count_as_lines(self) -> None:
        for text, sizes in ((b"a\nb\nc\n", [1] * 10), (b"a\n", [3, 3, 3, 1]), (b"a\nb\n", [2] * 5)):
            peer = Peer(["-c", self.TEXT.replace("TEXT", repr(text))], policy=BatchPolicy(rows=3))
            peer.wait(lambda: peer.done)
            peer.close()
            self.assertEqual([output.rows for output in peer.outputs], sizes)
