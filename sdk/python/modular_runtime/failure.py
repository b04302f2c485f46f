"""Errors: what a stage's code raises to end the run, and how any exception is put into a `Failed` message.

Guarantees: a message of at most 1 KiB and a detail of at most 8 KiB, cut at the front, of any exception; frames of
the SDK itself stand in no traceback. An access to a column that an event does not have names those it has.

Neighbours: `message` writes a `Cause`, `event` and `run` make them.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

MESSAGE_BYTES_MAX = 1024
DETAIL_BYTES_MAX = 8192
_HERE = str(Path(__file__).parent)


class Kind(IntEnum):
    """What whoever reads an error should do."""

    INVALID = 1
    UNAVAILABLE = 2
    FENCED = 3
    STAGE = 4
    INTERNAL = 5


class Fatal(Exception):
    """Raised by a stage's code, ends the run: this is an error of the stage, not of one event."""

    def __init__(self, message: str, kind: Kind = Kind.STAGE) -> None:
        super().__init__(message)
        self.kind = kind


class Invalid(Exception):
    """The pipeline or the stage's declaration has to be mended."""


class ProtocolError(Exception):
    """The other side broke a rule of the protocol, or this side did."""


class Closed(Exception):
    """The runtime is gone: the socket came to its end."""


class Cause(NamedTuple):
    """Why something failed, in the words that travel."""

    kind: Kind
    code: str
    message: str
    detail: str = ""


def cause_of(error: BaseException, columns: Sequence[str] = (), event: dict[str, Any] | None = None) -> Cause:
    """The words for an exception; `columns` and `event` are those of the handler's input, if it takes events."""
    kind = Kind.STAGE
    if isinstance(error, Fatal):
        kind = error.kind
    elif isinstance(error, Invalid):
        kind = Kind.INVALID
    elif isinstance(error, ProtocolError):
        kind = Kind.INTERNAL
    message = _missing_column(error, columns, event) or str(error) or type(error).__name__
    detail = "" if isinstance(error, Invalid | ProtocolError) else _traceback(error)
    message = " ".join(message.splitlines())
    return Cause(kind, type(error).__name__, cut(message, MESSAGE_BYTES_MAX), cut(detail, DETAIL_BYTES_MAX))


def cut(text: str, bytes_max: int) -> str:
    """The end of a text that has room in so many bytes."""
    data = text.encode("utf-8", "replace")
    if len(data) <= bytes_max:
        return data.decode()
    return data[len(data) - bytes_max :].decode("utf-8", "ignore")


class Described:
    """Puts errors into words and remembers them: formatting a traceback costs more than a thousand events."""

    REMEMBERED_MAX = 1000

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._causes: dict[object, Cause] = {}

    def cause(self, error: BaseException, event: dict[str, Any] | None) -> Cause:
        """The words for what a handler raised for an event."""
        if error.__cause__ is not None or error.__context__ is not None:
            return cause_of(error, self._columns, event)
        places = []
        trace = error.__traceback__
        while trace is not None:
            places.append((trace.tb_frame.f_code, trace.tb_lineno))
            trace = trace.tb_next
        key = type(error), str(error), tuple(places)
        cause = self._causes.get(key)
        if cause is None:
            if len(self._causes) >= self.REMEMBERED_MAX:
                self._causes.clear()
            cause = self._causes[key] = cause_of(error, self._columns, event)
        return cause


def _missing_column(error: BaseException, columns: Sequence[str], event: dict[str, Any] | None) -> str | None:
    if type(error) is not KeyError or event is None or len(error.args) != 1 or error.args[0] in event:
        return None
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    # A `KeyError` of a place that does not see the event has nothing to do with it.
    if trace is None or not any(value is event for value in trace.tb_frame.f_locals.values()):
        return None
    names = ", ".join(f"`{name}`" for name in columns) or "none"
    return f"no `{error.args[0]}`: the event has the columns {names}; `uses:` in the pipeline adds one"


def _traceback(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_HERE):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()
