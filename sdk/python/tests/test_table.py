"""Payloads against the reference."""

from __future__ import annotations

import random
import struct
import unittest
from datetime import datetime, timedelta, timezone
from typing import Any

from modular_runtime.failure import ProtocolError
from modular_runtime.schema import Schema, Type, declared
from modular_runtime.table import Decoder, Encoder, Misfit, Unreadable, bitmap, bools

from . import reference

UTC = timezone.utc
ROWS = (0, 1, 2, 7, 8, 9, 63, 64, 65, 300)
ALL = {"b": "bool", "i": "int64", "f": "float64", "s": "string", "r": "binary", "t": "timestamp"}
VALUES: dict[str, list[Any]] = {
    "bool": [True, False],
    "int64": [0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1],
    "float64": [0.0, -0.5, 1e300, float("inf"), 5e-324],
    "string": ["", "a", "view", "größer", "日本語", "\U0001f600", "\0"],
    "binary": [b"", b"\0\xff", b"bytes"],
    "timestamp": [
        reference.EPOCH,
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 11, 3, 12, 0, 0, 1, tzinfo=UTC),
    ],
}


def schema(columns: dict[str, str]) -> Schema:
    found = declared(columns)
    assert found is not None
    return found


def random_rows(columns: Schema, rows: int, seed: int) -> list[tuple[Any, ...]]:
    rng = random.Random(seed)
    return [
        tuple(
            None if field.nullable and rng.random() < 0.3 else rng.choice(VALUES[field.type.word])
            for field in columns.fields
        )
        for _ in range(rows)
    ]


SCHEMAS = [schema(ALL), schema({name: word + "?" for name, word in ALL.items()})]
SCHEMAS += [schema({"only": word}) for word in VALUES] + [schema({})]


class Tables(unittest.TestCase):
    def test_decoder_reads_what_the_reference_writes(self) -> None:
        for columns in SCHEMAS:
            decoder = Decoder(columns)
            for rows in ROWS:
                for coded in (False, True):
                    with self.subTest(columns=str(columns), rows=rows, coded=coded):
                        table = random_rows(columns, rows, rows)
                        payload = memoryview(reference.encode(columns, table, coded))
                        values = [column.values() for column in decoder.columns(payload, rows)]
                        found = list(zip(*values, strict=True)) if values else [()] * rows
                        self.assertEqual(found, table)

    def test_reference_reads_what_the_encoder_writes(self) -> None:
        for columns in SCHEMAS:
            encoder = Encoder(columns)
            for rows in ROWS:
                with self.subTest(columns=str(columns), rows=rows):
                    table = random_rows(columns, rows, rows)
                    lists = [[row[at] for row in table] for at in range(len(columns.fields))]
                    payload = encoder.table(lists, rows)
                    data = payload.join()
                    self.assertEqual((len(data), payload.rows), (payload.size, rows))
                    self.assertEqual(reference.decode(columns, data), table)

    def test_strings_travel_as_codes_where_they_repeat(self) -> None:
        columns = schema({"s": "string?"})
        cases: list[tuple[list[str | None], int]] = [
            (["a", "b"] * 50, 1),
            (["a", None] * 50, 1),
            ([str(n) for n in range(100)], 0),
            ([str(n % 256) for n in range(1024)], 1),
            ([str(n % 257) for n in range(1028)], 0),
            (["a", "a"], 0),
        ]
        for values, coding in cases:
            with self.subTest(values=values[:3], rows=len(values)):
                data = Encoder(columns).table([values], len(values)).join()
                self.assertEqual(data[17], coding)
                self.assertEqual(reference.decode(columns, data), [(value,) for value in values])

    def test_bits(self) -> None:
        for rows in ROWS:
            flags = [random.Random(rows).random() < 0.5 for _ in range(rows)]
            self.assertEqual(bitmap(bytes(flags)), reference._bits(flags))
            self.assertEqual(bools(reference._bits(flags), rows), flags)

    def test_values_that_do_not_fit_name_their_row(self) -> None:
        cases: list[tuple[str, list[Any], int, str]] = [
            ("int64", [1, "x"], 1, "column `c` is int64, not `str`"),
            ("int64", [1, 2, 1.0], 2, "column `c` is int64, not `float`"),
            ("int64", [True], 0, "column `c` is int64, not `bool`"),
            ("int64", [0, 2**63], 1, f"column `c` is int64: `{2**63}` is beyond it"),
            ("int64", [0, None], 1, "column `c` must not be null"),
            ("float64", [1.0, False], 1, "column `c` is float64, not `bool`"),
            ("float64", [1, 10**400], 1, f"column `c` is float64: `{10**400}` is beyond it"),
            ("string", ["", b""], 1, "column `c` is string, not `bytes`"),
            ("string", ["a", "\ud800"], 1, "column `c` has a string that is not UTF-8: surrogates not allowed"),
            ("binary", [b"", ""], 1, "column `c` is binary, not `str`"),
            ("bool", [True, 1], 1, "column `c` is bool, not `int`"),
            ("timestamp", [0], 0, "column `c` is timestamp, not `int`"),
            (
                "timestamp",
                [datetime(2026, 1, 1)],
                0,
                "column `c` is a timestamp: `2026-01-01 00:00:00` has no time zone",
            ),
        ]
        for word, values, row, message in cases:
            with self.subTest(word=word, values=values):
                with self.assertRaises(Misfit) as caught:
                    Encoder(schema({"c": word})).table([values], len(values))
                self.assertEqual((caught.exception.row, str(caught.exception)), (row, message))

    def test_whole_numbers_fit_floats_and_zones_are_converted(self) -> None:
        cases: list[tuple[str, Any, Any]] = [
            ("float64", 3, 3.0),
            (
                "timestamp",
                datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
                datetime(2026, 1, 1, tzinfo=UTC),
            ),
            ("binary", bytearray(b"x"), b"x"),
        ]
        for word, value, expected in cases:
            columns = schema({"c": word})
            self.assertEqual(reference.decode(columns, Encoder(columns).table([[value]], 1).join()), [(expected,)])

    def test_timestamps_beyond_python_are_flawed(self) -> None:
        columns = schema({"t": "timestamp"})
        payload = bytearray(reference.encode(columns, [(reference.EPOCH,), (reference.EPOCH,)]))
        payload[64:72] = struct.pack("<q", 2**63 - 1)
        [column] = Decoder(columns).columns(memoryview(payload), 2)
        self.assertTrue(column.flawed)
        self.assertEqual([type(value) for value in column.cells], [Unreadable, datetime])

    def test_broken_tables_are_refused(self) -> None:
        columns = schema({"s": "string", "n": "int64?"})
        whole = reference.encode(columns, [("a", 1), ("b", None)], coded=True)
        refused = 0
        for at in range(len(whole)):
            for value in (0, 1, 0x7F, 0xFF):
                broken = bytearray(whole)
                broken[at] = value
                try:
                    Decoder(columns).columns(memoryview(broken), 2)
                except ProtocolError:
                    refused += 1
        self.assertGreater(refused, 100)
        for length in range(len(whole) - 1):
            with self.assertRaises(ProtocolError):
                Decoder(columns).columns(memoryview(whole[:length]), 2)


class Types(unittest.TestCase):
    def test_declarations(self) -> None:
        self.assertEqual(str(schema({"a": "int64?", "b": "string"})), "a: int64?, b: string")
        self.assertEqual(schema({"a": "bool"}).fields[0].type, Type.BOOL)
        with self.assertRaisesRegex(TypeError, "column `a` has the type `int32`"):
            declared({"a": "int32"})
