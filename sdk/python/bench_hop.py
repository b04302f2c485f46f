"""Measures one hop: this process plays the runtime, a stage of two columns filters what it gets.

`python bench_hop.py` prints a row for each form and size of batch: input events a second, and the stage's CPU time a
batch and an event. The parent only sends descriptors of a payload that it has written once, and counts replies.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from modular_runtime import Event, filter, run, transform
from modular_runtime.message import NO_BATCH, fields
from modular_runtime.schema import declared
from modular_runtime.table import Encoder
from tests.peer import BATCH, CREDIT, open_message

SCHEMA = declared({"type": "string", "value": "int64"})
WORDS = ["view", "click", "purchase", "search", "logout"]
ACTIVITIES = ("receive", "decode", "process", "encode", "send", "starved", "backpressured")
SECONDS = 1.0
INLINE_MAX = 4096
SEGMENT = 1 << 24


@transform
def rules(event: Event) -> Event | None:
    return event if event["type"] != "view" and event["value"] >= 10 else None


@filter
def predicate(event: Event) -> bool:
    return event["type"] != "view" and event["value"] >= 10  # type: ignore[no-any-return]


@transform
def changed(event: Event) -> Event | None:
    if event["type"] == "view" or event["value"] < 10:
        return None
    event["value"] += 1
    return event


STAGES: dict[str, object] = {"rules": rules, "predicate": predicate, "changed": changed}


def batch_rules() -> object:
    from modular_runtime.compute import and_, greater_equal, not_equal

    @transform(batch=True)
    def rules(batch):  # type: ignore[no-untyped-def]
        return and_(not_equal(batch["type"], "view"), greater_equal(batch["value"], 10))

    return rules


def measure(stage: str, rows: int, window: int, coded: bool) -> None:
    """Runs a stage for a second and prints a row."""
    assert SCHEMA is not None
    rng = random.Random(1)
    words = WORDS if coded else [f"{word}-{n}" for word in WORDS for n in range(200)]
    columns: list[list[Any]] = [[rng.choice(words) for _ in range(rows)], [rng.randrange(100) for _ in range(rows)]]
    payload = Encoder(SCHEMA).table(columns, rows).join()
    ours, theirs = socket.socketpair()
    segments = [os.memfd_create("input"), os.memfd_create("output")]
    for segment in segments:
        os.ftruncate(segment, SEGMENT)
    stride = len(payload) + -len(payload) % 64
    inline = payload if len(payload) <= INLINE_MAX else b""
    slots = 1 if inline else min(window, SEGMENT // stride)
    for slot in range(0 if inline else slots):
        os.pwrite(segments[0], payload, slot * stride)
    numbers = [theirs.fileno(), *segments]
    environment = os.environ | {"MODRUN_STAGE": "socket={},input={},output={}".format(*numbers)}
    process = subprocess.Popen([sys.executable, __file__, stage], env=environment, pass_fds=numbers)
    theirs.close()
    words_of_open = open_message(
        input=SCHEMA,
        output=SCHEMA,
        window_batches=max(window, 1),
        window_bytes=SEGMENT,
        inline_max=INLINE_MAX,
        input_segment=SEGMENT,
        output_segment=SEGMENT,
    )
    ours.sendall(struct.pack("<II", len(words_of_open), 0) + words_of_open)
    counts = exchange(ours, payload, inline, rows, min(window, slots) if not inline else window, stride)
    batches, wall, activity = counts
    process.wait()
    cpu = activity[8] / 1e3
    print(
        f"{stage:10} {rows:6} rows {'codes' if coded else 'plain'} window {window:3}: "
        f"{batches * rows / wall / 1e6:8.3f} M events/s, {cpu / batches:9.1f} us CPU a batch, "
        f"{cpu / batches / rows * 1e3:9.1f} ns an event; a batch's us:",
        *(f"{name} {activity.get(at, 0) / batches / 1e3:.1f}" for at, name in enumerate(ACTIVITIES, 1)),
    )


def exchange(
    ours: socket.socket, payload: bytes, inline: bytes, rows: int, window: int, stride: int
) -> tuple[int, float, dict[int, int]]:
    """Sends batches for a while; their number, the time it took and the stage's activity."""
    head = struct.pack("<II", 44, len(inline))
    sent = credited = 0
    buffer = b""
    activity: dict[int, int] = {}
    ended = False
    while not buffer:  # `Ready`
        buffer = ours.recv(1 << 16)
    buffer = b""
    begin = time.monotonic()
    end = begin + SECONDS
    finish = begin
    while True:
        out = []
        if time.monotonic() < end:
            while sent - credited < window:
                offset = NO_BATCH if inline else sent % window * stride
                out.append(
                    head
                    + BATCH.pack(
                        b"\x12\x2a", 9, sent, 0x11, offset, 0x1D, len(payload), 0x25, rows, 0x2D, 0, 0x31, NO_BATCH
                    )
                    + inline
                )
                sent += 1
        elif credited == sent and not ended:
            finish = time.monotonic()
            out.append(struct.pack("<II", 2, 0) + b"\x32\x00")
            ended = True
        data = ours.recv(1 << 20) if not out and (sent != credited or ended) else b""
        buffer += data
        at = 0
        while len(buffer) - at >= 8:
            words_length, length = struct.unpack_from("<II", buffer, at)
            if len(buffer) - at < 8 + words_length + length:
                break
            kind = buffer[at + 8]
            if kind == 0x1A:
                credited += 1
            elif kind == 0x12:
                [seq] = struct.unpack_from("<Q", buffer, at + 11)
                out.append(struct.pack("<II", 21, 0) + CREDIT.pack(b"\x1a\x13", 9, seq, 0x15, 0, 0x1D, 0))
            elif kind == 0x3A:
                [(_, body)] = fields(buffer[at + 8 : at + 8 + words_length])
                assert isinstance(body, bytes)
                activity = {key: value for key, value in fields(body) if isinstance(value, int)}
            elif kind == 0x42:
                ours.close()
                return sent, finish - begin, activity
            else:
                raise AssertionError(buffer[at : at + 200])
            at += 8 + words_length + length
        buffer = buffer[at:]
        if out:
            ours.sendall(b"".join(out))


if __name__ == "__main__":
    if "MODRUN_STAGE" in os.environ:
        run(batch_rules() if sys.argv[1] == "batch" else STAGES[sys.argv[1]])
    sys.path.insert(0, str(Path(__file__).parent))
    for stage in sys.argv[1:] or ("rules", "predicate", "changed", "batch"):
        for rows, window, coded in ((1, 64, True), (100, 8, True), (32_768, 4, True), (32_768, 4, False)):
            measure(stage, rows, window, coded)
