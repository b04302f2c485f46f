"""A stage's `with`, from JSON into the type that its code asks for.

Guarantees: whole numbers stay exact. A dataclass is filled field by field, nested ones too; unknown and missing
members and values of another type are an `Invalid` that names the member by its path.

Refuses: to turn text into numbers or the other way round; a whole number may stand where a float is asked for.

Neighbours: `opening` asks for the type that a stage's parameter `config` is annotated with.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any, Literal, Union

from .failure import Invalid


def read(text: str) -> dict[str, Any]:
    """The members of the configuration."""
    try:
        value = json.loads(text) if text else {}
    except ValueError as error:
        raise Invalid(f"the configuration is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Invalid(f"the configuration is a {type(value).__name__}, not an object")
    return value


def typed(value: Any, wanted: Any, path: str = "with") -> Any:
    """A JSON value as the type that is wanted."""
    if wanted is Any or wanted is object:
        return value
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        return _dataclass(value, wanted, path)
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (Union, types.UnionType):
        return _union(value, arguments, path)
    if origin is Literal:
        if not any(type(value) is type(choice) and value == choice for choice in arguments):
            raise Invalid(f"`{path}` is `{value}`, which is none of {', '.join(f'`{c}`' for c in arguments)}")
        return value
    plain = origin or wanted
    if plain is list and isinstance(value, list):
        item = arguments[0] if arguments else Any
        return [typed(element, item, f"{path}[{at}]") for at, element in enumerate(value)]
    if typing.is_typeddict(plain) and isinstance(value, dict):
        return value
    if plain is dict and isinstance(value, dict):
        item = arguments[1] if arguments else Any
        return {key: typed(element, item, f"{path}.{key}") for key, element in value.items()}
    if plain is float and type(value) in (int, float):
        return float(value)
    if plain is Path and isinstance(value, str):
        return Path(value)
    if plain in (int, str, bool, type(None)) and type(value) is plain:
        return value
    raise Invalid(f"`{path}` must be {_name(wanted)}, not `{json.dumps(value)}`")


def _dataclass(value: Any, wanted: type[Any], path: str) -> Any:
    if not isinstance(value, dict):
        raise Invalid(f"`{path}` must be an object, not `{json.dumps(value)}`")
    hints = typing.get_type_hints(wanted)
    members = {field.name: field for field in dataclasses.fields(wanted) if field.init}
    for name in value:
        if name not in members:
            import difflib

            near = difflib.get_close_matches(name, members, 1)
            hint = f"; did you mean `{near[0]}`?" if near else f"; there are {', '.join(members) or 'none'}"
            raise Invalid(f"`{path}` has no member `{name}`{hint}")
    for name, field in members.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in value:
            raise Invalid(f"`{path}` lacks the member `{name}`: {_name(hints[name])}")
    return wanted(**{name: typed(member, hints[name], f"{path}.{name}") for name, member in value.items()})


def _union(value: Any, choices: tuple[Any, ...], path: str) -> Any:
    problem: Invalid | None = None
    for choice in choices:
        try:
            return typed(value, choice, path)
        except Invalid as error:
            problem = problem or error
    raise problem or Invalid(f"`{path}` can hold nothing")


def _name(wanted: Any) -> str:
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
    return words.get(wanted) or (wanted.__name__ if isinstance(wanted, type) else str(wanted))
