"""The small parts: comparisons, configurations, JSON, slots, frames, failures and the log."""

from __future__ import annotations

import io
import itertools
import json
import logging
import random
import socket
import subprocess
import sys
import unittest
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from modular_runtime import compute, config, json_line
from modular_runtime.failure import Closed, Described, Invalid, cut
from modular_runtime.frame import BUFFER_BYTES, Reader, Writer
from modular_runtime.logging import LevelHandler
from modular_runtime.message import NO_BATCH
from modular_runtime.segment import Slots

from .test_table import schema

UTC = timezone.utc


class Compute(unittest.TestCase):
    def columns(self, values: list[Any]) -> list[Any]:
        """A column in every way it can come: plain, as codes, and cut out of a longer one."""
        plain = pa.array(values)
        coded = plain.dictionary_encode()
        coded = pa.DictionaryArray.from_arrays(coded.indices.cast(pa.uint8()), coded.dictionary)
        wide = plain.dictionary_encode()
        padded = pa.concat_arrays([plain.slice(0, 3), plain]).dictionary_encode().slice(3)
        holes = pa.DictionaryArray.from_arrays(
            pa.array([0 if value is None else 1 + sorted({v for v in values if v}).index(value) for value in values]),
            pa.array([None, *sorted({v for v in values if v})]),
        )
        return [plain, coded, coded.slice(0), wide, padded, holes]

    def test_comparisons_are_those_of_pyarrow(self) -> None:
        functions: list[tuple[Callable[[Any, Any], Any], str]] = [
            (getattr(compute, name), name)
            for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
        ]
        rng = random.Random(1)
        strings: list[list[Any]] = [
            [rng.choice(["a", "b", "c", "d", None][:count]) for _ in range(70)] for count in (1, 2, 3, 4, 5)
        ]
        for values in strings:
            for (function, name), scalar in itertools.product(functions, ("a", "b", "bb", "z", "")):
                expected = getattr(pc, name)(pa.array(values, pa.string()), scalar).to_pylist()
                mirrored = getattr(pc, name)(scalar, pa.array(values, pa.string())).to_pylist()
                for column in self.columns(values):
                    self.assertEqual(function(column, scalar).to_pylist(), expected)
                    self.assertEqual(function(scalar, column).to_pylist(), mirrored)
                    self.assertEqual(
                        function(column, pa.array(values)).to_pylist(),
                        getattr(pc, name)(pa.array(values), pa.array(values)).to_pylist(),
                    )
        for (function, name), scalar in itertools.product(functions, (0, 1, 1.5, -1, 2**53)):
            for column in (pa.array([0, 1, None, 2]), pa.array([0.5, 1.0, None, float("nan")])):
                expected = getattr(pc, name)(column, scalar).to_pylist()
                self.assertEqual(function(column, scalar).to_pylist(), expected)

    def test_sets_and_logic(self) -> None:
        values = ["a", "b", None, "c", "a"] * 5
        for column in self.columns(values):
            for chosen in ((), ("a",), ("a", "b"), ("a", "c"), ("a", "b", "c"), ("z",)):
                self.assertEqual(compute.is_in(column, chosen).to_pylist(), [value in chosen for value in values])
        three = [True, False, None]
        left, right = zip(*itertools.product(three, three), strict=True)
        masks = pa.array(left), pa.array(right)
        self.assertEqual(compute.and_(*masks).to_pylist(), pc.and_kleene(*masks).to_pylist())
        self.assertEqual(compute.or_(*masks).to_pylist(), pc.or_kleene(*masks).to_pylist())
        self.assertEqual(compute.and_(*masks, masks[0]).to_pylist(), pc.and_kleene(*masks).to_pylist())
        self.assertEqual(compute.invert(masks[0]).to_pylist(), pc.invert(masks[0]).to_pylist())
        self.assertEqual(compute.is_null(masks[0]).to_pylist(), [value is None for value in left])
        self.assertEqual(compute.is_valid(masks[0]).to_pylist(), [value is not None for value in left])


@dataclass
class Inner:
    a: str = "x"


@dataclass
class Outer:
    whole: int
    number: float = 0.5
    names: list[str] = field(default_factory=list)
    inner: Inner = field(default_factory=Inner)
    maybe: int | None = None
    mode: Literal["fast", "safe"] = "safe"
    limits: dict[str, int] = field(default_factory=dict)
    path: Path | None = None


class Config(unittest.TestCase):
    def test_typed(self) -> None:
        text = (
            '{"whole": 9007199254740993, "number": 3, "names": ["a"], "inner": {"a": "b"}, "maybe": null, "path": "p"}'
        )
        found = config.typed(config.read(text), Outer)
        self.assertEqual(found, Outer(9007199254740993, 3.0, ["a"], Inner("b"), path=Path("p")))
        self.assertIs(type(found.number), float)

    def test_what_does_not_fit_is_named(self) -> None:
        cases = [
            ("{}", "`with` lacks the member `whole`: a whole number"),
            ('{"whole": 1.5}', "`with.whole` must be a whole number, not `1.5`"),
            ('{"whole": true}', "`with.whole` must be a whole number, not `true`"),
            ('{"whole": 1, "hole": 2}', "`with` has no member `hole`; did you mean `whole`?"),
            ('{"whole": 1, "zzz": 2}', "`with` has no member `zzz`; there are whole, number"),
            ('{"whole": 1, "number": "1"}', '`with.number` must be a number, not `"1"`'),
            ('{"whole": 1, "names": ["a", 1]}', "`with.names[1]` must be text, not `1`"),
            ('{"whole": 1, "inner": {"b": 1}}', "`with.inner` has no member `b`"),
            ('{"whole": 1, "inner": 3}', "`with.inner` must be an object, not `3`"),
            ('{"whole": 1, "mode": "slow"}', "`with.mode` is `slow`, which is none of `fast`, `safe`"),
            ('{"whole": 1, "limits": {"a": "b"}}', '`with.limits.a` must be a whole number, not `"b"`'),
            ("[]", "the configuration is a list, not an object"),
        ]
        for text, message in cases:
            with self.subTest(text=text), self.assertRaises(Invalid) as caught:
                config.typed(config.read(text), Outer)
            self.assertTrue(str(caught.exception).startswith(message), str(caught.exception))


class JsonLine(unittest.TestCase):
    def test_numbers_as_ecmascript_prints_them(self) -> None:
        cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (55.0, "55"),
            (55.02395761345312, "55.02395761345312"),
            (-1.5, "-1.5"),
            (1e21, "1e+21"),
            (123456789012345680000.0, "123456789012345680000"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.25e-9, "1.25e-9"),
            (5e-324, "5e-324"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (100.0, "100"),
            (1e16, "10000000000000000"),
            (0.1, "0.1"),
            (float("nan"), "null"),
            (float("-inf"), "null"),
        ]
        for value, expected in cases:
            self.assertEqual(json_line.number(value), expected)

    def test_lines(self) -> None:
        columns = schema(
            {"n": "int64?", "s": "string?", "b": "bool?", "t": "timestamp?", "r": "binary?", "f": "float64?"}
        )
        berlin = timezone(timedelta(hours=1))
        event = {
            "n": 2**63 - 1,
            "s": 'ü"\\\n\x01',
            "b": True,
            "t": datetime(2026, 1, 1, 1, 0, 0, 500_000, berlin),
            "r": b"\xfb\xff",
        }
        line = json_line.Writer(columns).line(event)
        self.assertEqual(
            line,
            '{"n":9223372036854775807,"s":"ü\\"\\\\\\n\\u0001","b":true,"t":"2026-01-01T00:00:00.5Z","r":"+/8=","f":null}\n',
        )
        self.assertEqual(json.loads(line)["s"], event["s"])
        self.assertEqual(json_line.Writer(schema({})).line({}), "{}\n")
        self.assertEqual(json_line.timestamp(datetime(1, 1, 1, tzinfo=UTC)), "0001-01-01T00:00:00Z")


class Segment(unittest.TestCase):
    def test_slots_do_not_overlap_and_begin_low(self) -> None:
        rng = random.Random(1)
        size = 4096
        slots, used = Slots(size), dict[int, int]()
        refused = 0
        for _ in range(5000):
            if used and rng.random() < 0.45:
                offset = rng.choice(list(used))
                slots.free(offset)
                del used[offset]
                continue
            length = rng.randrange(1, 1200)
            places = sorted((start, start + -(-taken // 64) * 64) for start, taken in used.items())
            ends = [0, *(end for _, end in places)]
            starts = [*(start for start, _ in places), size]
            gaps = [start for start, stop in zip(ends, starts, strict=True) if stop - start >= length]
            expected = gaps[0] if gaps else None
            found = slots.take(length)
            self.assertEqual(found, expected)
            if found is None:
                refused += 1
            else:
                used[found] = length
        self.assertGreater(refused, 10)


class Frames(unittest.TestCase):
    def test_frames_come_whole_however_they_are_cut(self) -> None:
        for seed in range(5):
            rng = random.Random(seed)
            ours, theirs = socket.socketpair()
            with ours, theirs:
                reader, writer = Reader(ours), Writer(theirs)
                reader.payload_bytes_max = 3 * BUFFER_BYTES
                sent: list[tuple[Any, ...]] = []
                found: list[tuple[Any, ...]] = []
                recorded = bytearray()
                for seq in range(60):
                    payload = rng.randbytes(rng.choice((0, 1, 64, 5000, BUFFER_BYTES - 60, 2 * BUFFER_BYTES)))
                    if seq % 3 == 0:
                        writer.credit(seq, 1, 2)
                        sent.append((seq, 1, 2))
                    elif seq % 3 == 1:
                        writer.batch(seq, NO_BATCH, len(payload), 5, 0, 7, payload)
                        sent.append((seq, NO_BATCH, len(payload), 5, 0, 7, payload))
                    else:
                        writer.message(b"\x22\x00", payload)
                        sent.append((b"\x22\x00", payload))
                recorded += b"".join(writer._parts)
                while recorded:
                    cut_at = rng.choice((1, 7, 60, 4000, 150_000))
                    theirs.setblocking(False)
                    taken = theirs.send(recorded[:cut_at])
                    del recorded[:taken]
                    while reader.read(wait=False):
                        found += [tuple(frame) for frame in reader.frames()]
                self.assertEqual(found, sent)
                theirs.close()
                with self.assertRaises(Closed):
                    reader.read(wait=True)


class Failures(unittest.TestCase):
    def test_words_are_cut_at_the_front(self) -> None:
        self.assertEqual(cut("abc", 3), "abc")
        self.assertEqual(cut("abcd", 3), "bcd")
        self.assertEqual(cut("aéé", 3), "é")
        self.assertEqual(cut("\ud800", 3), "?")

    def test_the_same_error_is_put_into_words_once(self) -> None:
        described = Described(("a",))

        def fail(text: str) -> Exception:
            try:
                raise ValueError(text)
            except ValueError as error:
                return error

        first, second, other = (described.cause(fail(text), {"a": 1}) for text in ("x", "x", "y"))
        self.assertIs(first, second)
        self.assertEqual((first.code, first.message, other.message), ("ValueError", "x", "y"))
        self.assertIn("raise ValueError(text)\nValueError: x", first.detail)
        long = described.cause(fail("z" * 5000), {"a": 1})
        self.assertEqual((len(long.message), len(described.cause(fail("two\nlines"), None).message)), (1024, 9))


class Logs(unittest.TestCase):
    def test_each_line_has_its_level(self) -> None:
        stream = io.StringIO()
        logger = logging.getLogger("test-levels")
        logger.propagate = False
        logger.setLevel(logging.DEBUG)
        handler = LevelHandler(stream)
        logger.addHandler(handler)
        logger.critical("a\nb")
        logger.warning("%s", "c")
        logger.info("")
        logger.debug("d")
        self.assertEqual(stream.getvalue(), "<3>a\n<3>b\n<4>c\n<6>\n<7>d\n")


class Imports(unittest.TestCase):
    def test_handlers_of_events_load_neither_pyarrow_nor_an_event_loop(self) -> None:
        code = "import sys, modular_runtime; print({'pyarrow', 'numpy', 'asyncio'} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout, "set()\n")
