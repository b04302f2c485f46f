"""Sinks that are ready to use.

Guarantees: a file stands under its final name only if it is whole; until the run has succeeded it is `FILE.partial`.

Neighbours: `json_line` has the format, `stage` the base class.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .json_line import Writer
from .stage import Context, Event, Prepared, Sink

WRITE_LINES = 4096


@dataclass
class File:
    """The configuration of a sink that writes a file."""

    path: Path


class JsonLines(Sink):
    """Writes each event as one JSON object a line into the file `path`."""

    def __init__(self, config: File, context: Context) -> None:
        assert context.input is not None
        self._path = config.path.absolute()
        self._partial = self._path.with_name(self._path.name + ".partial")
        self._file = self._partial.open("w", encoding="utf-8", newline="\n")
        self._writer = Writer(context.input)
        self._lines: list[str] = []
        self._rows = 0

    def write(self, event: Event) -> None:
        """Adds a line."""
        self._lines.append(self._writer.line(event))
        if len(self._lines) >= WRITE_LINES:
            self._flush()

    def prepare(self) -> Prepared:
        """Writes the file to disk under its temporary name."""
        self._flush()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return Prepared(str(self._partial), self._rows)

    def commit(self) -> None:
        """Gives the file its name."""
        self._partial.replace(self._path)

    def _flush(self) -> None:
        self._file.write("".join(self._lines))
        self._rows += len(self._lines)
        self._lines.clear()
