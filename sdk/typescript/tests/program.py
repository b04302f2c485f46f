"""Starts stages as processes, over real sockets and segments: what `program.test.ts` runs. Exits with 1 if one is wrong."""

import os
import struct
import subprocess
import sys
import tempfile
import unittest

from runtime import NONE, Runtime, batch_of, credit_of, table

DIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "dist")
RAW = [("source", "string"), ("offset", "int64"), ("line", "int64?"), ("text", "binary")]
NUMBERS = [("n", "int64"), ("s", "string")]
CARRIERS = {"inline": 1 << 20, "shm": 0}


def conformance(stage, form="event"):
    return ["node", os.path.join(DIST, "src", "conformance.js"), stage, form]


def answers(runtime):
    """Ends the stage, and collects all that it sends: batches with their payloads, credits."""
    batches, credits = [], []
    while True:
        message, payload = runtime.frame()
        if message[0] == 0x12:
            seq, offset, length, rows, form, cause = batch_of(message)
            if offset != NONE:
                payload = runtime.output[offset : offset + length]
            batches.append((rows, form, cause, payload))
            runtime.socket.sendall(runtime.credit_frame(seq))
        elif message[0] == 0x1A:
            credits.append(credit_of(message))
        elif message[0] == 0x42:
            return batches, credits


class Programs(unittest.TestCase):
    def test_batches_in_order(self):
        for name, inline_max in CARRIERS.items():
            with self.subTest(name):
                runtime = Runtime(
                    conformance("keep_even"), inline_max=inline_max, columns_in=NUMBERS, columns_out=NUMBERS
                )
                frames, at = b"", 0
                for rows in (5, 0, 1, 4):
                    values = struct.pack(f"<{rows}q", *range(rows))
                    payload = table(rows, [("int64", values), ("string", (["a"], bytes(rows)))])
                    if inline_max:
                        frames += runtime.batch_frame(rows, len(payload), payload=payload)
                    else:
                        runtime.input[at : at + len(payload)] = payload
                        frames += runtime.batch_frame(rows, len(payload), offset=at)
                        at += (len(payload) + 63) // 64 * 64
                runtime.socket.sendall(frames)
                runtime.end()
                batches, credits = answers(runtime)
                self.assertEqual(batches, [(3, 1, 0, b"\x15"), (1, 1, 2, b"\x01"), (2, 1, 3, b"\x05")])
                self.assertEqual(credits, [(0, 5, 2), (1, 0, 0), (2, 1, 0), (3, 4, 2)])
                self.assertEqual(runtime.close()[0], 0)

    def test_blocks_of_a_file(self):
        text = b"".join(b"line %d\n" % number for number in range(100_000))
        for lines in (0, 1000):
            with self.subTest(lines), tempfile.NamedTemporaryFile() as file:
                file.write(text)
                file.flush()
                program = ["node", os.path.join(DIST, "bench", "stages.js"), "ingest"]
                config = '{"path": "%s", "block": 65536}' % file.name
                runtime = Runtime(program, config=config, columns_out=RAW, rows=lines, segment=1 << 20)
                batches, _ = answers(runtime)
                found = b""
                for _, _, _, payload in batches:
                    offset = struct.unpack_from("<II", payload, 16 + 3 * 48 + 40)
                    part = payload[offset[0] : offset[0] + offset[1]]
                    self.assertIn(part.count(b"\n"), [lines] if lines else range(1, 65536))
                    found += part
                self.assertEqual(found, text)
                self.assertEqual(runtime.close()[0], 0)

    def test_a_socket_that_does_not_block(self):
        program = conformance("echo", "batch")
        runtime = Runtime(program, nonblocking=True, columns_in=NUMBERS, columns_out=NUMBERS)
        payload = table(2, [("int64", struct.pack("<2q", 1, 2)), ("string", (["a"], bytes(2)))])
        runtime.socket.sendall(runtime.batch_frame(2, len(payload), payload=payload))
        runtime.end()
        batches, credits = answers(runtime)
        self.assertEqual([rows for rows, *_ in batches], [2])
        self.assertEqual(credits, [(0, 2, 0)])
        self.assertEqual(runtime.close()[0], 0)

    def test_the_end_of_the_socket(self):
        for stage in "echo", "endless", "async":
            with self.subTest(stage):
                columns = None if stage == "endless" else NUMBERS
                runtime = Runtime(conformance(stage), columns_in=columns, columns_out=NUMBERS)
                self.assertEqual(runtime.close()[0], 1)

    def test_without_a_runtime(self):
        env = {name: value for name, value in os.environ.items() if name != "MODRUN_STAGE"}
        ended = subprocess.run(conformance("echo"), env=env, capture_output=True, check=False)
        self.assertEqual(ended.returncode, 2)
        self.assertIn(b"modrun run", ended.stderr)


if __name__ == "__main__":
    sys.exit(0 if unittest.main(exit=False).result.wasSuccessful() else 1)
