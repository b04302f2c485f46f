"""A runtime for one stage, to test and measure it with: starts a program, and talks the stage protocol to it.

`python3 runtime.py measure ...` prints figures; other scripts import `Runtime`. Standard library only. Segments are
memfds, the socket is one of a pair, both inherited. Frames are read as they come; whatever the stage sends is kept, but
payloads only where they are asked for.
"""

import mmap
import os
import socket
import struct
import subprocess

NONE = (1 << 64) - 1
TYPES = {"bool": 1, "int64": 2, "float64": 3, "string": 4, "binary": 5, "timestamp": 6}


def varint(value):
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value) if value else b""


def nested(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def schema(columns):
    """`columns` is a list of (name, type), where the type may end with a question mark."""
    fields = b""
    for name, word in columns:
        kind = number(2, TYPES[word.rstrip("?")]) + number(3, word.endswith("?"))
        fields += nested(1, nested(1, name.encode()) + kind)
    return fields


def align(data):
    return data + bytes(-len(data) % 8)


def table(rows, columns):
    """`columns` is a list of (type, values): a list of words and codes for a dictionary, packed bytes otherwise."""
    at = 16 + 48 * len(columns)
    head = struct.pack("<4sIII", b"MRB1", rows, len(columns), 0)
    body = b""
    for kind, values in columns:
        if isinstance(values, tuple):
            words, codes = values
            texts = [word.encode() for word in words]
            ends = [sum(map(len, texts[:end])) for end in range(len(texts) + 1)]
            offsets, text = struct.pack(f"<{len(ends)}i", *ends), b"".join(texts)
            buffers = [codes, offsets, text]
            head += struct.pack("<BBHIII", TYPES[kind], 1, 0, 0, len(words), 0)
        else:
            buffers = [values, b"", b""]
            head += struct.pack("<BBHIII", TYPES[kind], 0, 0, 0, 0, 0)
        head += struct.pack("<II", 0, 0)
        for buffer in buffers:
            head += struct.pack("<II", at + len(body) if buffer else 0, len(buffer))
            body += align(buffer)
    return head + body


class Runtime:
    """Starts `command` as a stage and opens it."""

    def __init__(self, command, segment=64 << 20, inline_max=4096, window=4, nonblocking=False, **open_fields):
        ours, theirs = socket.socketpair()
        theirs.setblocking(not nonblocking)
        self.socket, self.window, self.inline_max = ours, window, inline_max
        self.segments = [os.memfd_create(name, 0) for name in ("input", "output")]
        for descriptor in self.segments:
            os.ftruncate(descriptor, segment)
            os.set_inheritable(descriptor, True)
        os.set_inheritable(theirs.fileno(), True)
        self.input = mmap.mmap(self.segments[0], segment)
        self.output = mmap.mmap(self.segments[1], segment)
        place = f"socket={theirs.fileno()},input={self.segments[0]},output={self.segments[1]}"
        self.process = subprocess.Popen(
            command,
            env={**os.environ, "MODRUN_STAGE": place},
            pass_fds=[theirs.fileno(), *self.segments],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self.buffer = b""
        self.sent = 0
        fields = {
            "columns_in": None,
            "columns_out": None,
            "config": "{}",
            "rows": 0,
            "linger_us": 0,
            "window_bytes": segment,
            **open_fields,
        }
        self.open(segment, fields)

    def open(self, segment, fields):
        message = number(1, 1) + number(2, 1) + nested(3, b"stage") + nested(4, fields["config"].encode())
        for field, columns in (5, fields["columns_in"]), (6, fields["columns_out"]):
            if columns is not None:
                message += nested(field, schema(columns))
        message += number(7, self.window) + number(8, fields["window_bytes"]) + number(9, self.inline_max)
        message += number(10, segment) + number(11, segment)
        message += nested(12, number(1, fields["rows"]) + number(2, fields["linger_us"])) + number(15, 1)
        self.say(nested(1, message))
        frame = self.frame()
        assert frame[0][0] == 0x0A, f"not `Ready`: {frame}"

    def say(self, message, payload=b""):
        self.socket.sendall(struct.pack("<II", len(message), len(payload)) + message + payload)

    def batch_frame(self, rows, length, offset=NONE, payload=b""):
        """The frame of the next batch, whose payload lies in the segment unless it is given."""
        fields = struct.pack("<BQ", 0x09, self.sent) + struct.pack("<BQ", 0x11, offset)
        fields += struct.pack("<BIBIBI", 0x1D, length, 0x25, rows, 0x2D, 0) + struct.pack("<BQ", 0x31, NONE)
        self.sent += 1
        return struct.pack("<II", 44, len(payload)) + b"\x12\x2a" + fields + payload

    def credit_frame(self, seq):
        return struct.pack("<II", 21, 0) + b"\x1a\x13" + struct.pack("<BQBIBI", 0x09, seq, 0x15, 0, 0x1D, 0)

    def end(self):
        self.say(nested(6, b""))

    def frame(self):
        """Waits for the next frame: its message and its payload; None at the end."""
        while True:
            if len(self.buffer) >= 8:
                message, payload = struct.unpack_from("<II", self.buffer)
                end = 8 + message + payload
                if len(self.buffer) >= end:
                    frame = self.buffer[8 : 8 + message], self.buffer[8 + message : end]
                    self.buffer = self.buffer[end:]
                    return frame
            more = self.socket.recv(1 << 18)
            if not more:
                return None
            self.buffer += more

    def close(self):
        """Ends the socket and gives the exit code and the resources that the stage has used."""
        self.socket.close()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return self.process.returncode, usage


def batch_of(message):
    """(seq, offset, length, rows, form, input) of a `Batch` message."""
    values = struct.unpack("<xxxQxQxIxIxIxQ", message)
    return values


def credit_of(message):
    """(seq, events, filtered) of a `Credit` message."""
    return struct.unpack("<xxxQxIxI", message)
