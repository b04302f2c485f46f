"""The golden bytes of the protocol."""

from __future__ import annotations

import base64
import json
import socket
import struct
import unittest
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from modular_runtime import message
from modular_runtime.arrow import BatchDecoder
from modular_runtime.failure import Cause, Kind, ProtocolError
from modular_runtime.frame import Batch, Credit, Message, Reader, Writer
from modular_runtime.message import Concurrency, Role
from modular_runtime.schema import Field, Schema, Type
from modular_runtime.table import Decoder, Encoder, Unreadable, bitmap

from . import reference

VECTORS = Path(__file__).parents[3] / "proto" / "vectors"
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
SOME = 20  # so many vectors a folder has at least: a folder that is not found must not pass


def vectors(folder: str) -> Iterator[tuple[str, bytes, Any]]:
    """The name, bytes and meaning of each vector."""
    for path in sorted((VECTORS / folder).glob("*.bin")):
        yield path.stem, path.read_bytes(), json.loads(path.with_suffix(".json").read_text())


def schema_of(fields: list[Any]) -> Schema:
    """A schema from its JSON."""
    return Schema(tuple(Field(f["name"], Type[f["type"].upper()], f["nullable"]) for f in fields))


def value_of(field: Field, value: Any) -> Any:
    """A value from its JSON; a timestamp as microseconds."""
    if value is None:
        return None
    if field.type in (Type.INT64, Type.TIMESTAMP):
        return int(value)
    if field.type == Type.FLOAT64:
        return float(value)
    return base64.b64decode(value) if field.type == Type.BINARY else value


def comparable(field: Field, value: Any) -> Any:
    """A value of Python as it compares with one from JSON: floats by their bits, timestamps as microseconds."""
    if isinstance(value, float):
        return "nan" if value != value else struct.pack("<d", value)
    if isinstance(value, datetime):
        return (value - EPOCH) // timedelta(microseconds=1)
    if isinstance(value, Unreadable):
        return int(value.message.split()[3])
    return value


class Tables(unittest.TestCase):
    def test_tables(self) -> None:
        count = 0
        for name, data, meaning in vectors("tables"):
            with self.subTest(name=name):
                count += 1
                columns = schema_of(meaning["schema"])
                rows = meaning["rows"]
                expected = [
                    [comparable(f, value_of(f, v)) for f, v in zip(columns.fields, row, strict=True)] for row in rows
                ]
                found = Decoder(columns).columns(memoryview(data), len(rows))
                lists = [column.values() for column in found]
                self.assertEqual(self.rows(columns, lists, len(rows)), expected)
                batch = BatchDecoder(columns).batch(memoryview(data), len(rows))
                self.assertEqual(batch.num_rows, len(rows))
                arrays = [
                    (column.cast("int64") if field.type == Type.TIMESTAMP else column).to_pylist()
                    for field, column in zip(columns.fields, batch.columns, strict=True)
                ]
                self.assertEqual(self.rows(columns, arrays, len(rows)), expected)
                if rows and not any(column.flawed for column in found):
                    again = Encoder(columns).table(lists, len(rows)).join()
                    decoded = [list(row) for row in zip(*reference.decode(columns, again), strict=True)]
                    self.assertEqual(self.rows(columns, decoded, len(rows)), expected)
        self.assertGreater(count, SOME)

    def rows(self, columns: Schema, lists: list[Any], rows: int) -> list[list[Any]]:
        """Rows of columns, as they compare."""
        cells = [
            [comparable(field, value) for value in values]
            for field, values in zip(columns.fields, lists if columns.fields else [], strict=True)
        ]
        return [[column[row] for column in cells] for row in range(rows)]

    def test_garbage(self) -> None:
        count = 0
        for name, data, meaning in vectors("garbage"):
            columns = schema_of(meaning["schema"])
            rows = int.from_bytes(data[4:8], "little")
            for decode in (Decoder(columns).columns, BatchDecoder(columns).batch):
                with self.subTest(name=name, why=meaning["why"], decode=decode), self.assertRaises(ProtocolError):
                    count += 1
                    decode(memoryview(data), rows)
        self.assertGreater(count, SOME)

    def test_selections(self) -> None:
        count = 0
        for name, data, meaning in vectors("selections"):
            with self.subTest(name=name):
                kept = set(meaning["kept"])
                flags = bytes(row in kept for row in range(meaning["rows"]))
                count += 1
                if not name.startswith("loose_"):
                    self.assertEqual(bitmap(flags), data)
        self.assertGreater(count, 5)


class Messages(unittest.TestCase):
    def read(self, data: bytes, inline_max: int = 64) -> Batch | Credit | Message:
        """The frame that a reader makes of the bytes."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(data)
            reader = Reader(ours)
            reader.payload_bytes_max = inline_max
            reader.read(wait=True)
            frames = list(reader.frames())
            if not frames:
                raise ProtocolError("the frame is not whole")
            [frame] = frames
            return frame

    def test_to_stage(self) -> None:
        count = 0
        for name, data, meaning in vectors("messages"):
            if meaning["direction"] != "ToStage":
                continue
            with self.subTest(name=name):
                count += 1
                [(kind, words)] = meaning["message"].items()
                payload = base64.b64decode(meaning.get("payload", ""))
                frame = self.read(data)
                if isinstance(frame, Batch):
                    numbers = [int(words[key]) for key in ("seq", "offset", "length", "rows", "form", "input")]
                    self.assertEqual((kind, list(frame[:6]), frame.payload or b""), ("batch", numbers, payload))
                elif isinstance(frame, Credit):
                    self.assertEqual(list(frame), [int(words[key]) for key in ("seq", "events", "filtered")])
                else:
                    found: Any = message.to_stage(*frame)
                    self.assertEqual(type(found).__name__.lower(), kind)
                    if kind == "open":
                        self.check_open(found, words)
                    elif kind == "state":
                        self.assertEqual((found.index, found.chunk), (words.get("index", 0), payload))
                    elif kind == "barrier":
                        self.assertEqual(found.epoch, int(words.get("epoch", 0)))
        self.assertGreater(count, 10)

    def check_open(self, found: Any, words: dict[str, Any]) -> None:
        """Compares `Open` member by member."""
        for key in ("protocol", "generation", "replica", "replicas"):
            self.assertEqual(getattr(found, key), int(words.get(key, 0)))
        self.assertIs(found.unmeasured, words.get("unmeasured", False))
        for key, name in (
            ("windowBatches", "window_batches"),
            ("windowBytes", "window_bytes"),
            ("inlineMax", "inline_max"),
            ("inputSegment", "input_segment"),
            ("outputSegment", "output_segment"),
            ("stateChunks", "state_chunks"),
        ):
            value = words.get(name, words.get(key, 0))
            self.assertEqual(getattr(found, name), int(value), name)
        self.assertEqual((found.stage, found.config), (words.get("stage", ""), words.get("config", "")))
        for key in ("input", "output"):
            schema = getattr(found, key)
            self.assertEqual(schema is None, key not in words)
            if schema is not None:
                fields = [
                    Field(f.get("name", ""), Type[f["type"].removeprefix("TYPE_")], f.get("nullable", False))
                    for f in words[key].get("fields", [])
                ]
                self.assertEqual(schema, Schema(tuple(fields)))
        policy = words.get("policy")
        self.assertEqual(found.policy is None, policy is None)
        if policy is not None:
            linger = policy.get("linger_us", policy.get("lingerUs", 0))
            self.assertEqual((found.policy.rows, found.policy.linger_us), (policy.get("rows", 0), int(linger)))

    def test_from_stage(self) -> None:
        count = 0
        for name, data, meaning in vectors("messages"):
            if meaning["direction"] != "FromStage" or "loose_" in name:
                continue
            [(kind, words)] = meaning["message"].items()
            if kind == "failed" and {"text_offset", "event"} & set(words):
                continue  # what only those say whose events are not rows
            with self.subTest(name=name):
                count += 1
                self.assertEqual(self.written(kind, words, base64.b64decode(meaning.get("payload", ""))), data)
        self.assertGreater(count, 10)

    def written(self, kind: str, words: dict[str, Any], payload: bytes) -> bytes:
        """The bytes that the SDK writes for a message."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            writer = Writer(ours)
            if kind == "batch":
                numbers = [int(words[key]) for key in ("seq", "offset", "length", "rows", "form", "input")]
                seq, offset, length, rows, form, cause = numbers
                writer.batch(seq, offset, length, rows, form, cause, payload)
            elif kind == "credit":
                writer.credit(*[int(words[key]) for key in ("seq", "events", "filtered")])
            else:
                writer.message(self.message(kind, words), payload)
            writer.flush()
            return theirs.recv(1 << 16)

    def message(self, kind: str, words: dict[str, Any]) -> bytes:
        """The bytes of a message that is not on the hot path."""
        if kind == "ready":
            output = words.get("output")
            fields = [
                Field(f["name"], Type[f["type"].removeprefix("TYPE_")], f.get("nullable", False))
                for f in (output or {}).get("fields", [])
            ]
            role, concurrency = words["role"].removeprefix("ROLE_"), words["concurrency"].removeprefix("CONCURRENCY_")
            schema = None if output is None else Schema(tuple(fields))
            return message.ready(words["sdk"], Role[role], Concurrency[concurrency], schema)
        if kind == "failed":
            texts = [words.get(key, "") for key in ("code", "message", "detail")]
            cause = Cause(Kind[words["kind"].removeprefix("KIND_")], *texts)
            return message.failed(cause, int(words.get("input", 0)), words.get("rows", []))
        if kind == "activity":
            names = ("receive", "decode", "process", "encode", "send", "starved", "backpressured", "cpu")
            return message.activity(int(words.get(key, 0)) for key in (*names, "bytes_read", "bytes_total"))
        if kind == "done":
            return message.done(words.get("artifact", ""), int(words.get("rows", 0)))
        if kind == "state":
            return message.state(words.get("index", 0))
        if kind == "snapshot":
            return message.snapshot(int(words.get("epoch", 0)), words.get("chunks", 0))
        self.assertEqual(kind, "committed")
        return message.committed()

    def test_garbage_frames(self) -> None:
        count = 0
        for name, data, meaning in vectors("garbage/frames"):
            if meaning["direction"] != "ToStage":
                continue
            with self.subTest(name=name, why=meaning["why"]), self.assertRaises(ProtocolError):
                count += 1
                frame = self.read(data, int(meaning["inline_max"]))
                if isinstance(frame, Message):
                    message.to_stage(*frame)
        self.assertGreater(count, 0)
