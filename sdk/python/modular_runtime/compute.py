"""Comparisons for batch handlers that look at a dictionary instead of its rows.

```python
and_(not_equal(batch["type"], "view"), greater_equal(batch["value"], 10))
```

Guarantees: the results of `pyarrow.compute`, with Kleene's logic in `and_` and `or_`. A string column that comes as
codes is compared once for each of its values; anything else falls through. Scalars are converted once.

Neighbours: `arrow` takes the masks as selections.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

__all__ = [
    "and_",
    "equal",
    "greater",
    "greater_equal",
    "invert",
    "is_in",
    "is_null",
    "is_valid",
    "less",
    "less_equal",
    "not_equal",
    "or_",
]

_MIRRORED = {
    "equal": "equal",
    "not_equal": "not_equal",
    "less": "greater",
    "less_equal": "greater_equal",
    "greater": "less",
    "greater_equal": "less_equal",
}
_FUNCTIONS = {name: pc.get_function(name) for name in (*_MIRRORED, "and_kleene", "or_kleene", "invert")}


def equal(left: Any, right: Any) -> Any:
    """Rows where both are equal; either side may be a column or a value."""
    return _compare("equal", left, right)


def not_equal(left: Any, right: Any) -> Any:
    """Rows where they differ."""
    return _compare("not_equal", left, right)


def less(left: Any, right: Any) -> Any:
    """Rows where the left one is less."""
    return _compare("less", left, right)


def less_equal(left: Any, right: Any) -> Any:
    """Rows where the left one is less or equal."""
    return _compare("less_equal", left, right)


def greater(left: Any, right: Any) -> Any:
    """Rows where the left one is greater."""
    return _compare("greater", left, right)


def greater_equal(left: Any, right: Any) -> Any:
    """Rows where the left one is greater or equal."""
    return _compare("greater_equal", left, right)


def is_in(column: Any, values: Iterable[Any]) -> Any:
    """Rows whose value is one of `values`; null is in none of them."""
    chosen = tuple(values)
    if _coded(column):
        matches: list[bool | None] = [value in chosen for value in column.dictionary.to_pylist()]
        return _rows_with(column, matches).fill_null(False)
    return pc.is_in(column, value_set=_value_set(chosen, column.type))


def is_null(column: Any) -> Any:
    """Rows without a value."""
    return pc.is_null(column)


def is_valid(column: Any) -> Any:
    """Rows with a value."""
    return pc.is_valid(column)


def and_(left: Any, right: Any, *more: Any) -> Any:
    """Rows where all masks are true; false and null are false together."""
    return _fold("and_kleene", left, right, *more)


def or_(left: Any, right: Any, *more: Any) -> Any:
    """Rows where any mask is true; true and null are true together."""
    return _fold("or_kleene", left, right, *more)


def invert(mask: Any) -> Any:
    """Rows where a mask is false."""
    return _FUNCTIONS["invert"].call([mask])


def _fold(name: str, first: Any, *masks: Any) -> Any:
    call: Callable[[list[Any]], Any] = _FUNCTIONS[name].call
    for mask in masks:
        first = call([first, mask])
    return first


def _compare(name: str, left: Any, right: Any) -> Any:
    if not isinstance(left, pa.Array | pa.ChunkedArray):
        if not isinstance(right, pa.Array | pa.ChunkedArray):
            return getattr(pc, name)(left, right)
        name, left, right = _MIRRORED[name], right, left
    if isinstance(right, pa.Array | pa.ChunkedArray):
        return getattr(pc, name)(_plain(left), _plain(right))
    if _coded(left):
        matches = _FUNCTIONS[name].call([left.dictionary, _scalar(right, left.type.value_type)])
        return _rows_with(left, matches.to_pylist())
    return _FUNCTIONS[name].call([left, _scalar(right, left.type)])


def _coded(column: Any) -> bool:
    return isinstance(column, pa.DictionaryArray)


def _plain(column: Any) -> Any:
    return column.dictionary_decode() if _coded(column) else column


def _scalar(value: Any, type: Any) -> Any:
    if isinstance(value, pa.Scalar):
        return value
    try:
        return _known_scalar(value.__class__, value, type)
    except TypeError:  # a value that cannot be hashed
        return pa.scalar(value)


@lru_cache(maxsize=1024)
def _known_scalar(_: type, value: Any, type: Any) -> Any:
    # Converted to the column's type where that is exact; otherwise pyarrow finds a type for both.
    with contextlib.suppress(pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, TypeError):
        scalar = pa.scalar(value, type=type)
        if scalar.as_py() == value:
            return scalar
    return pa.scalar(value)


@lru_cache(maxsize=256)
def _value_set(values: tuple[Any, ...], type: Any) -> Any:
    return pa.array(values, type=type)


def _rows_with(column: Any, matches: list[bool | None]) -> Any:
    """Rows whose code stands for a value that matches."""
    indices = column.indices
    if None in matches:
        return pc.take(pa.array(matches, pa.bool_()), indices)
    true = matches.count(True)
    # One comparison of codes does for one value, or for all but one; equal to itself is every code.
    if true == len(matches):
        return _FUNCTIONS["equal"].call([indices, indices])
    if true == 0:
        return _FUNCTIONS["not_equal"].call([indices, indices])
    if true == 1:
        return _FUNCTIONS["equal"].call([indices, _code(matches.index(True), indices.type)])
    if true == len(matches) - 1:
        return _FUNCTIONS["not_equal"].call([indices, _code(matches.index(False), indices.type)])
    if indices.type != pa.uint8():
        return pc.take(pa.array(matches, pa.bool_()), indices)
    rows, offset = len(indices), indices.offset
    validity, codes = indices.buffers()
    table = bytes(map(bool, matches)).ljust(256, b"\0")
    flags = bytes(memoryview(codes)[offset : offset + rows]).translate(table)
    mask = pa.Array.from_buffers(pa.uint8(), rows, [None, pa.py_buffer(flags)], 0).cast(pa.bool_())
    return mask if validity is None else pc.if_else(pc.is_valid(indices), mask, pa.scalar(None, pa.bool_()))


@lru_cache(maxsize=1024)
def _code(code: int, type: Any) -> Any:
    return pa.scalar(code, type)
