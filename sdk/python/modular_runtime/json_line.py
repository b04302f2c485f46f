"""An event as a line of JSON, to the byte as the runtime's own sinks write it.

Guarantees: members in the order of the columns, whole numbers in full, floats as ECMAScript prints them, timestamps
as ISO 8601 with `Z`, binary as base64; null, NaN and infinities are `null`.

Neighbours: `sinks` writes files of it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from .schema import Schema, Type
from .table import EPOCH

_text: Callable[[str], str] = json.JSONEncoder(ensure_ascii=False).encode


class Writer:
    """Writes events of one schema."""

    def __init__(self, schema: Schema) -> None:
        # A function is generated for the columns: one format of all members is faster than a loop over them.
        members = [f"{_text(field.name)}:".replace("%", "%%") + "%s" for field in schema.fields]
        places = range(len(members))
        values = [f"    v{at} = event.get({field.name!r})" for at, field in enumerate(schema.fields)]
        written = "".join(f'"null" if v{at} is None else w{at}(v{at}), ' for at in places)
        source = ["def line(event):", *values, f"    return {'{' + ','.join(members) + '}' + chr(10)!r} % ({written})"]
        space: dict[str, Any] = {f"w{at}": _WRITERS[field.type] for at, field in enumerate(schema.fields)}
        exec("\n".join(source), space)
        self.line: Callable[[dict[str, Any]], str] = space["line"]


def number(value: float) -> str:
    """A float as ECMAScript prints it; what is no number is `null`."""
    text = repr(value)
    if "e" not in text and "n" not in text:
        # Python and ECMAScript agree on the digits; only beyond these do they write the exponent differently.
        return (text[:-2] if text.endswith(".0") else text) if value else "0"
    if value != value or value in (float("inf"), float("-inf")):
        return "null"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    # The decimal point stands behind so many of the digits; ECMAScript, Number::toString, calls it n.
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if count > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def timestamp(value: datetime) -> str:
    """A timestamp as ISO 8601 in UTC, with as few digits of the fraction as it takes."""
    value = value.astimezone(EPOCH.tzinfo)
    fraction = f".{value.microsecond:06}".rstrip("0") if value.microsecond else ""
    return f"{value.year:04}-{value.month:02}-{value.day:02}T{value:%H:%M:%S}{fraction}Z"


_WRITERS: dict[int, Callable[[Any], str]] = {
    Type.BOOL: lambda value: "true" if value else "false",
    Type.INT64: str,
    Type.FLOAT64: number,
    Type.STRING: _text,
    Type.BINARY: lambda value: f'"{base64.b64encode(value).decode()}"',
    Type.TIMESTAMP: lambda value: f'"{timestamp(value)}"',
}
