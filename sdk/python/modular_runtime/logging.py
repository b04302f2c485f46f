"""Routes Python's loggers to the stage's log: each line begins with its level, as sd-daemon(3) has it.

Guarantees: every line of a record has the prefix, those of a traceback too. What is printed leaves with each line.

Neighbours: `run` installs it.
"""

from __future__ import annotations

import io
import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    _Handler = logging.StreamHandler[io.TextIOBase]
else:  # before Python 3.11 the class takes no parameters
    _Handler = logging.StreamHandler


class LevelHandler(_Handler):
    """Writes records to stderr with `<3>`, `<4>`, `<6>` or `<7>` before each line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's lines."""
        prefix = level_prefix(record.levelno)
        return "\n".join(prefix + line for line in super().format(record).splitlines() or [""])


def level_prefix(level: int) -> str:
    """The prefix of a level of Python's logging."""
    if level >= logging.ERROR:
        return "<3>"
    if level >= logging.WARNING:
        return "<4>"
    return "<6>" if level >= logging.INFO else "<7>"


def install() -> None:
    """Makes it the handler of the root logger, at the level of debugging: the runtime chooses what is shown."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    handler = LevelHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    # Its debug lines tell about the SDK's own event loop.
    logging.getLogger("asyncio").setLevel(logging.INFO)
