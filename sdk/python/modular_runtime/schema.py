"""The columns of a link: their names, types and whether they may be null.

Guarantees: a `Schema` is a value; two are equal if their columns are, in order. A declaration such as
`{"key": "string?", "count": "int64"}` becomes a `Schema` or a `TypeError` that names the column.

Neighbours: `message` carries schemas over the socket, `table` and `arrow` lay values out by them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


class Type(enum.IntEnum):
    """The types that a link can carry, as the protocol numbers them."""

    BOOL = 1
    INT64 = 2
    FLOAT64 = 3
    STRING = 4
    BINARY = 5
    TIMESTAMP = 6

    @property
    def word(self) -> str:
        """The type's name in pipelines and declarations, such as `int64`."""
        return self.name.lower()


@dataclass(frozen=True)
class Field:
    """One column."""

    name: str
    type: Type
    nullable: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.type.word}{'?' if self.nullable else ''}"


@dataclass(frozen=True)
class Schema:
    """The columns of a link, in order."""

    fields: tuple[Field, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(field.name for field in self.fields)

    @cached_property
    def text_column(self) -> int | None:
        """Where the text stands if the rows are lines or blocks of raw text, otherwise None."""
        types = {field.name: field.type for field in self.fields}
        raw = types.get("source") == Type.STRING and types.get("offset") == Type.INT64
        if raw and types.get("text") == Type.BINARY:
            return self.names.index("text")
        return None

    def __str__(self) -> str:
        return ", ".join(map(str, self.fields))


def declared(columns: Mapping[str, str] | None) -> Schema | None:
    """The schema that code declares with `output={"key": "string?"}`; a question mark allows nulls."""
    if columns is None:
        return None
    words = {type.word: type for type in Type}
    fields = []
    for name, text in columns.items():
        nullable = text.endswith("?")
        type = words.get(text[:-1] if nullable else text)
        if type is None:
            raise TypeError(f"column `{name}` has the type `{text}`, which is none of {', '.join(words)}")
        fields.append(Field(name, type, nullable))
    return Schema(tuple(fields))
