"""Measures one stage: `python3 bench/hop.py filter|rule|modify|batch [rows] [batches] [window]` or `ingest FILE [lines]`.

The events are `type` (three words, as a dictionary), `value`, `user` and `ts`; two thirds are kept. What is printed is for
the stage alone: the peer sends the same payload over and over and looks at nothing that comes back. CPU is that of the
whole process, less what the same program needs for a single batch.
"""

import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "tests"))
from runtime import NONE, Runtime, batch_of, credit_of, table

PROGRAM = os.path.join(os.path.dirname(__file__), "..", "dist", "bench", "stages.js")
RAW = [("source", "string"), ("offset", "int64"), ("line", "int64?"), ("text", "binary")]
COLUMNS = [("type", "string"), ("value", "int64")]


def events(rows):
    codes = bytes(row % 3 for row in range(rows))
    values = struct.pack(f"<{rows}q", *(row % 128 for row in range(rows)))
    return table(rows, [("string", (["view", "click", "buy"], codes)), ("int64", values)])


def hop(stage, rows, batches, window):
    runtime = Runtime(["node", PROGRAM, stage], window=window, columns_in=COLUMNS, columns_out=COLUMNS)
    payload = events(rows)
    inline = len(payload) <= runtime.inline_max
    if not inline:
        runtime.input[: len(payload)] = payload
    credited, out = 0, 0
    start = time.monotonic()
    while credited < batches:
        frames = b""
        while runtime.sent < batches and runtime.sent - credited < window:
            place = dict(payload=payload) if inline else dict(offset=0)
            frames += runtime.batch_frame(rows, len(payload), **place)
        if frames:
            runtime.socket.sendall(frames)
        frame = runtime.frame()
        while frame is not None:
            message = frame[0]
            if message[0] == 0x1A:
                credited = credit_of(message)[0] + 1
            elif message[0] == 0x12:
                out += batch_of(message)[3]
                runtime.socket.sendall(runtime.credit_frame(batch_of(message)[0]))
            if len(runtime.buffer) < 8:
                break
            frame = runtime.frame()
    wall = time.monotonic() - start
    runtime.end()
    while runtime.frame()[0][0] != 0x42:
        pass
    code, usage = runtime.close()
    assert code == 0, code
    return wall, usage.ru_utime + usage.ru_stime, out


def ingest(path, lines):
    config = '{"path": "%s"}' % path
    runtime = Runtime(["node", PROGRAM, "ingest"], config=config, columns_out=RAW, rows=lines)
    moved, batches = 0, 0
    start = time.monotonic()
    while True:
        message = runtime.frame()[0]
        if message[0] == 0x12:
            moved += batch_of(message)[2]
            batches += 1
            runtime.socket.sendall(runtime.credit_frame(batch_of(message)[0]))
        elif message[0] == 0x42:
            break
    wall = time.monotonic() - start
    code, usage = runtime.close()
    assert code == 0, code
    return wall, usage.ru_utime + usage.ru_stime, moved, batches


def main(stage, *numbers):
    if stage == "ingest":
        path, lines = numbers[0], int(numbers[1]) if len(numbers) > 1 else 0
        base = ingest("/dev/null", 0)[1]
        wall, cpu, moved, batches = ingest(path, lines)
        print(f"{moved / wall / 1e9:.2f} GB/s, {cpu - base:.3f} CPU-s for {moved / 1e9:.2f} GB in {batches} batches")
        return
    rows, batches, window = [int(number) for number in (*numbers, *("32768", "200", "4")[len(numbers) :])]
    base = hop(stage, rows, 1, window)[1]
    wall, cpu, out = hop(stage, rows, batches, window)
    count = rows * batches
    print(
        f"{stage} {rows} rows x {batches}, window {window}: {count / wall / 1e6:.2f} M events/s, "
        f"{(cpu - base) / count * 1e6:.4f} CPU-us an event, {(cpu - base) / batches * 1e6:.1f} a batch, {out} out"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
