"""The stages under test as processes, against a runtime that the test plays."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from modular_runtime.message import block, uint
from modular_runtime.schema import Schema

from . import reference
from .peer import CREDIT, INLINE, ROOT, SHM, Peer, Rows, Setting, conformance, rows_of
from .test_table import SCHEMAS, random_rows, schema

NARROW = Setting(input_segment=1 << 16, output_segment=1 << 16, inline_max=0, window_batches=3, window_bytes=20_000)
WIDE = Setting(inline_max=1 << 16, window_batches=64)
SETTINGS = {"shm": SHM, "inline": INLINE, "narrow": NARROW, "wide": WIDE}
FORMS = ("event", "batch")
NUMBERED = schema({"n": "int64?", "s": "string?"})
SPUN = schema({"s": "string?", "wall": "int64"})


def numbered(start: int, stop: int) -> Rows:
    """Rows of `n` and `s`."""
    return [(None if n % 7 == 3 else n, f"s{n % 10}") for n in range(start, stop)]


class Transforms(unittest.TestCase):
    """Batches in, batches out."""

    def run_stage(
        self,
        stage: str,
        form: str,
        batches: Sequence[Rows],
        columns: Schema,
        output: Schema | None = None,
        coded: bool = False,
        code: int = 0,
        **values: Any,
    ) -> tuple[Peer, Rows]:
        """Runs a stage to its end."""
        peer = conformance(stage, form, input=columns, output=output or columns, **values)
        for table in batches:
            peer.send(reference.encode(columns, table, coded), len(table))
        peer.end()
        peer.wait(lambda: peer.done)
        self.assertEqual(len(peer.credits), len(batches))
        self.assertEqual(peer.close()[0], code)
        return peer, rows_of(peer.outputs, batches, output or columns)

    def test_echo_of_every_type(self) -> None:
        for at, (name, setting) in enumerate(SETTINGS.items()):
            for form in FORMS:
                for columns in (SCHEMAS[at % 2], SCHEMAS[-1]):
                    with self.subTest(setting=name, form=form, columns=str(columns)):
                        batches = [random_rows(columns, rows, rows) for rows in (0, 1, 7, 8, 9, 200, 0, 65)]
                        coded = at % 2 == 1
                        peer, found = self.run_stage("echo", form, batches, columns, coded=coded, setting=setting)
                        self.assertEqual(found, [row for table in batches for row in table])
                        self.assertEqual([peer.credits[seq] for seq in range(8)], [(len(t), 0) for t in batches])
                        self.assertEqual(peer.failures, [])

    def test_keeping_and_dropping(self) -> None:
        batches = [numbered(0, 100), [], numbered(100, 101), numbered(101, 1000), [(1, None)] * 9]
        expected = [row for table in batches for row in table if row[0] is not None and row[0] % 2 == 0]
        for stage in ("keep_even", "select"):
            for form in FORMS:
                for name, setting in SETTINGS.items():
                    with self.subTest(stage=stage, form=form, setting=name):
                        peer, found = self.run_stage(stage, form, batches, NUMBERED, setting=setting)
                        self.assertEqual(found, expected)
                        self.assertEqual({output.form for output in peer.outputs}, {1})
                        events, filtered = (sum(credit[at] for credit in peer.credits.values()) for at in (0, 1))
                        self.assertEqual((events, events - filtered), (1009, len(expected)))

    def test_several(self) -> None:
        batches = [numbered(0, 100), [], numbered(100, 300)]
        for form in FORMS:
            for times, setting in ((0, SHM), (1, NARROW), (3, SHM), (50, NARROW)):
                with self.subTest(form=form, times=times):
                    config = json.dumps({"times": times})
                    peer, found = self.run_stage("duplicate", form, batches, NUMBERED, config=config, setting=setting)
                    self.assertEqual(found, [row for table in batches for row in table for _ in range(times)])
                    self.assertEqual(sum(filtered for _, filtered in peer.credits.values()), 300 * (times == 0))

    def test_derive(self) -> None:
        words = ("int64", "string", "float64", "bool", "timestamp", "binary")
        columns = schema({name: word + "?" for name, word in zip("nsxbtr", words, strict=True)})
        output = schema({name + "2": word + "?" for name, word in zip("nsxbtr", words, strict=True)})
        table = [row for row in random_rows(columns, 300, 1) if row[4] is None or row[4].year < 9999]
        table += [(2**63 - 1, "", 0.0, False, reference.EPOCH, b"ab"), (None,) * 6]
        expected = [
            (
                None if n is None or n == 2**63 - 1 else n + 1,
                None if s is None else s + "!",
                None if x is None else x / 2,
                None if b is None else not b,
                None if t is None else t + timedelta(seconds=1),
                None if r is None else bytes(reversed(r)),
            )
            for n, s, x, b, t, r in table
        ]
        for form in FORMS:
            for coded in (False, True):
                with self.subTest(form=form, coded=coded):
                    peer, found = self.run_stage("derive", form, [table], columns, output, coded)
                    self.assertEqual(found, expected)
                    assert peer.ready
                    self.assertEqual(peer.ready.output, output)

    def test_errors_of_events(self) -> None:
        batches = [numbered(0, 100), numbered(100, 200) + numbered(152, 153), numbered(200, 300)]
        peer, found = self.run_stage("fail_on", "event", batches, NUMBERED, config='{"n": 152}')
        self.assertEqual(found, [row for table in batches for row in table if row[0] != 152])
        [failure] = peer.failures
        self.assertEqual((failure.kind, failure.code, failure.message), (4, "ValueError", "bad n: 152"))
        self.assertEqual((failure.input, failure.rows), (1, [52, 100]))
        self.assertIn("in fail_on", failure.detail)
        self.assertEqual(peer.credits, {0: (100, 0), 1: (101, 0), 2: (100, 0)})
        peer, found = self.run_stage("fail_batch", "batch", batches, NUMBERED, config='{"n": 152}')
        self.assertEqual(found, batches[0] + batches[2])
        self.assertEqual([(f.input, f.rows, f.message) for f in peer.failures], [(1, [*range(101)], "bad n: 152")])

    def test_state(self) -> None:
        output = schema({"key": "string?", "count": "int64"})
        batches = [[(None, f"k{n % 5}"), (n, None), (1, "é")] for n in range(20)]
        expected = [(None, 20), *[(f"k{n}", 4) for n in range(5)], ("é", 20)]
        for form in FORMS:
            with self.subTest(form=form):
                first = conformance("count", form, input=NUMBERED, output=output)
                for table in batches[:7]:
                    first.send(reference.encode(NUMBERED, table), 3)
                first.barrier(9)
                first.wait(lambda: first.snapshots)
                self.assertEqual((first.snapshots, len(first.credits)), ([(9, len(first.states))], 7))
                self.assertEqual(first.close()[0], 1)
                _, found = self.run_stage("count", form, batches[7:], NUMBERED, output, state=first.states)
                self.assertEqual(found, expected)

    def test_sum(self) -> None:
        columns, output = schema({"n": "int64"}), schema({"sum": "int64"})
        batches: list[Rows] = [[(1,), (2,)], [], [(-10,)], [(2**62,)]]
        _, found = self.run_stage("sum", "batch", batches, columns, output)
        self.assertEqual(found, [(3,), (-7,), (2**62 - 7,)])
        _, found = self.run_stage(
            "sum", "batch", batches, columns, output, state=[(-5).to_bytes(9, "little", signed=True)]
        )
        self.assertEqual(found[0], (-2,))

    def test_large_state_travels_in_chunks(self) -> None:
        output = schema({"key": "string?", "count": "int64"})
        table = [(0, f"{n:0100}") for n in range(30_000)]
        setting = Setting(input_segment=1 << 23, window_bytes=1 << 23)
        first = conformance("count", input=NUMBERED, output=output, setting=setting)
        first.send(reference.encode(NUMBERED, table[:1]), 1)
        for start in range(1, len(table), 3000):
            first.send(_plain(table[start : start + 3000]), len(table[start : start + 3000]))
        first.barrier(1)
        first.wait(lambda: first.snapshots)
        first.close()
        self.assertGreater(len(first.states), 3)
        self.assertLessEqual(max(map(len, first.states)), 1 << 20)
        _, found = self.run_stage("count", "event", [], NUMBERED, output, state=first.states)
        self.assertEqual(found, [(key, 1) for _, key in table])

    def test_keep(self) -> None:
        batches = [numbered(start, start + 50) for start in range(0, 500, 50)]
        for setting in (SHM, INLINE, NARROW):
            _, found = self.run_stage("delay", "batch", batches, NUMBERED, coded=True, setting=setting)
            self.assertEqual(found, [row for table in batches for row in table])

    def test_config(self) -> None:
        config = '{"text": "ü", "number": 1.5, "whole": 9007199254740993, "flag": true, '
        config += '"list": [1, 2], "nested": {"a": "b"}}'
        words = {"text": "string", "number": "float64", "whole": "int64", "flag": "bool", "list": "int64"}
        output = schema({**words, "nested": "string"})
        for form in FORMS:
            _, found = self.run_stage("config", form, [numbered(0, 3)], NUMBERED, output, config=config)
            self.assertEqual(found, [("ü", 1.5, 9007199254740993, True, 2, "b")] * 3)

    def test_log(self) -> None:
        peer = conformance("log", input=NUMBERED, output=NUMBERED)
        peer.wait(lambda: peer.ready)
        code, out, err = peer.close()
        self.assertEqual((code, out), (1, "printed\n"))
        self.assertEqual(err, "<3>an error\n<4>a warning\n<6>an information\n<7>a detail\n")

    def test_order_is_kept_while_handlers_wait(self) -> None:
        batches = [numbered(start, start + 40) for start in range(0, 200, 40)]
        _, found = self.run_stage("async", "event", batches, NUMBERED)
        self.assertEqual(found, [row for table in batches for row in table])

    def test_many_small_batches(self) -> None:
        batches = [numbered(n, n + 1) for n in range(2000)]
        for stage, form in (("echo", "event"), ("echo", "batch"), ("select", "event")):
            _, found = self.run_stage(stage, form, batches, NUMBERED, setting=WIDE)
            self.assertEqual(
                len(found), 2000 if stage == "echo" else sum(n % 2 == 0 and n % 7 != 3 for n in range(2000))
            )

    def test_random_batches_come_back_in_order(self) -> None:
        for seed in range(3):
            rng = random.Random(seed)
            batches = [random_rows(SCHEMAS[1], rng.choice((0, 1, 5, 100, 700)), rng.random()) for _ in range(30)]  # type: ignore[arg-type]
            setting = Setting(1 << 18, 1 << 18, rng.choice((0, 500, 100_000)), rng.randrange(1, 9), 1 << 17)
            _, found = self.run_stage(
                "echo", rng.choice(FORMS), batches, SCHEMAS[1], coded=rng.random() < 0.5, setting=setting
            )
            self.assertEqual(found, [row for table in batches for row in table])


def _plain(table: Rows) -> bytes:
    """As the reference, for more rows than its way would take."""
    import struct

    data = b"".join(text.encode() for _, text in table)
    numbers, places, at = struct.pack(f"<{len(table)}q", *[n for n, _ in table]), [0], 0
    for _, text in table:
        at += len(text)
        places.append(at)
    offsets = struct.pack(f"<{len(places)}i", *places)
    head = b"MRB1" + struct.pack("<III", len(table), 2, 0)
    start = 16 + 96
    head += struct.pack("<BBHIII8I", 2, 0, 0, 0, 0, 0, 0, 0, start, len(numbers), 0, 0, 0, 0)
    start += len(numbers)
    after = start + len(offsets) + -len(offsets) % 8
    head += struct.pack("<BBHIII8I", 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, start, len(offsets), after, len(data))
    return head + numbers + offsets + bytes(-len(offsets) % 8) + data + bytes(-len(data) % 8)


class Sinks(unittest.TestCase):
    """Batches in, a file out."""

    def test_lines(self) -> None:
        columns = SCHEMAS[1]
        table = random_rows(columns, 50, 1)
        for committed in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "out.ndjson"
                peer = conformance("lines", input=columns, config=json.dumps({"path": str(path)}))
                for _ in range(3):
                    peer.send(reference.encode(columns, table), 50)
                peer.end()
                peer.wait(lambda: peer.done)
                self.assertEqual(peer.done, (f"{path}.partial", 150))
                self.assertFalse(path.exists())
                if committed:
                    peer.commit()
                    peer.wait(lambda: peer.committed)
                self.assertEqual(peer.close()[0], 0 if committed else 1)
                self.assertEqual(path.exists(), committed)
                written = path if committed else Path(f"{path}.partial")
                found = [json.loads(line) for line in written.read_text().splitlines()]
                self.assertEqual([row["s"] for row in found], [row[3] for row in table] * 3)
                self.assertEqual([row["i"] for row in found], [row[1] for row in table] * 3)

    def test_an_error_ends_it(self) -> None:
        for form in FORMS:
            peer = conformance("fail_sink", form, input=NUMBERED)
            peer.send(reference.encode(NUMBERED, numbered(0, 2)), 2)
            peer.wait(lambda: peer.failures)
            self.assertEqual(peer.close()[0], 1)
            self.assertEqual([(f.code, f.message, f.rows) for f in peer.failures], [("OSError", "disk on fire", [])])


class Lives(unittest.TestCase):
    """Start, end and what goes wrong in between."""

    def test_without_a_runtime(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "MODRUN_STAGE"}
        command = [sys.executable, str(ROOT / "conformance.py"), "echo"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment | {"PYTHONPATH": str(ROOT)})
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("`modrun run` starts it", done.stderr)

    def test_errors_of_the_stage(self) -> None:
        cases: list[tuple[str, dict[str, Any], int, str]] = [
            ("fail_open", {}, 4, "no luck"),
            ("fail_finish", {}, 4, "too late"),
            ("fatal_on", {"config": '{"n": 1}'}, 4, "bad n: 1"),
            ("fail_on", {"config": "{}"}, 1, "`with` lacks the member `n`: a whole number"),
            ("fail_on", {"config": '{"n": "1"}'}, 1, '`with.n` must be a whole number, not `"1"`'),
            ("fail_on", {"config": "["}, 1, "the configuration is not JSON"),
            ("echo", {"protocol": 2, "config": "{}"}, 1, "the runtime speaks version 2 of the protocol"),
            ("numbers", {"config": "{}"}, 1, "the stage is a source, but another stage stands before it"),
        ]
        for stage, values, kind, message in cases:
            for form in FORMS:
                with self.subTest(stage=stage, form=form, message=message):
                    peer = conformance(stage, form, input=NUMBERED, output=NUMBERED, **values)
                    peer.wait(lambda: peer.ready or peer.failures)
                    if peer.ready:
                        peer.send(reference.encode(NUMBERED, numbered(0, 2)), 2)
                        peer.end()
                    peer.wait(lambda: peer.failures)
                    code, _, err = peer.close()
                    [failure] = peer.failures
                    self.assertEqual((code, failure.kind, failure.rows, err), (1, kind, [], ""))
                    self.assertTrue(failure.message.startswith(message), failure.message)

    def test_the_end_of_the_socket(self) -> None:
        peer = conformance("echo", opened=False)
        self.assertEqual(peer.close()[0], 1)
        peer = conformance("echo", input=NUMBERED, output=NUMBERED)
        peer.wait(lambda: peer.ready)
        self.assertEqual(peer.close()[0], 1)

    def test_frames_that_break_a_rule(self) -> None:
        batch = (
            b"\x12\x2a\x09"
            + bytes(8)
            + b"\x11"
            + b"\xff" * 8
            + b"\x1d\x10\0\0\0\x25\0\0\0\0\x2d\0\0\0\0\x31"
            + b"\xff" * 8
        )
        whole = batch, b"MRB1" + bytes(12)

        def framed(words: bytes, payload: bytes = b"") -> bytes:
            return len(words).to_bytes(4, "little") + len(payload).to_bytes(4, "little") + words + payload

        cases = {
            "message too long": b"\x01\x00\x10\x00\0\0\0\0",
            "payload too long": b"\x02\0\0\0\x01\x00\x10\x00",
            "fields in another order": framed(batch[:2] + batch[11:20] + batch[2:11] + batch[20:], whole[1]),
            "a batch with more fields": framed(b"\x12\x2c" + batch[2:] + b"\x38\0", whole[1]),
            "a credit with fewer fields": framed(b"\x1a\x09\x09" + bytes(8)),
            "credit for nothing": framed(CREDIT.pack(b"\x1a\x13", 9, 5, 0x15, 0, 0x1D, 0)),
            "a payload that is shorter": framed(batch, b""),
            "a payload behind `End`": framed(block(6, b""), b"x"),
            "a batch out of turn": framed(batch[:3] + b"\x01" + batch[4:], whole[1]),
            "no table": framed(batch, bytes(16)),
            "outside of the segment": framed(batch[:12] + bytes(6) + b"\xff\0" + batch[20:]),
            "a second `Open`": framed(block(1, uint(1, 1))),
            "no message": framed(b"\x0a\xff"),
            "half a number": framed(b"\x2a\x02\x08\xff"),
        }
        for name, data in cases.items():
            with self.subTest(name=name):
                peer = conformance("echo", input=schema({}), output=schema({}), setting=INLINE)
                peer.wait(lambda: peer.ready)
                peer.write_raw(data)
                peer.wait(lambda: peer.failures)
                self.assertEqual(peer.close()[0], 1)
                self.assertEqual([(f.kind, f.rows) for f in peer.failures], [(5, [])])
        peer = conformance("echo", input=schema({}), output=schema({}), setting=INLINE)
        peer.wait(lambda: peer.ready)
        for byte in framed(block(99, b"more") + block(5, uint(1, 1) + uint(77, 3))) + framed(*whole):
            peer.write_raw(bytes([byte]))
        peer.wait(lambda: peer.snapshots and peer.credits)
        peer.end()
        peer.wait(lambda: peer.done)
        self.assertEqual(peer.close()[0], 0)

    def test_activity_has_the_time_of_the_handler(self) -> None:
        peer = conformance("spin", input=NUMBERED, output=SPUN, config='{"micros": 20000}')
        for _ in range(5):
            peer.send(reference.encode(NUMBERED, numbered(0, 2)), 2)
        peer.end()
        peer.wait(lambda: peer.done)
        peer.close()
        *cells, cpu, read, total = peer.activities[-1]
        self.assertGreaterEqual(cells[2], 100_000_000)
        self.assertGreater(cpu, 0)
        self.assertEqual((read, total), (0, 0))
