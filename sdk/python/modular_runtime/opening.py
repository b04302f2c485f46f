"""Opens a stage: calls its class, or binds its function, with the configuration as the type it asks for.

Guarantees: parameters are filled by their names: `config`, `state`, `context`. Restoring is constructing.

Neighbours: `stage` is what users write, `event`, `arrow`, `run` and `source` call what is opened here.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from . import config as configuration
from .failure import Invalid
from .message import Role
from .stage import Context, Declaration, Sink, Source, Stage, Transform, declaration_of


@dataclass
class Opened:
    """A stage that is ready to be called."""

    declaration: Declaration
    call: Callable[..., Any]
    instance: Transform | Source | Sink | None = None

    @property
    def is_async(self) -> bool:
        """Whether the handler is a coroutine function."""
        return inspect.iscoroutinefunction(self.call)

    def snapshot(self) -> bytes | None:
        """The stage's state, if it has one."""
        state = self.instance.snapshot() if self.instance else None
        if state is not None and not isinstance(state, bytes | bytearray):
            raise TypeError(f"`snapshot` gives `{type(state).__name__}`; the state has to be bytes")
        return state


def open_stage(stage: object, config: str, state: bytes | None, context: Context) -> Opened:
    """Opens a stage with the JSON of its configuration and the state that it left, or None."""
    declaration = declaration_of(stage)
    if declaration.batch and importlib.util.find_spec("pyarrow") is None:
        raise Invalid("a handler of batches needs pyarrow, which is not installed: `pip install pyarrow`")
    values = {"config": configuration.read(config), "state": state, "context": context}
    if isinstance(stage, Stage):
        given = 0 if declaration.role == Role.SOURCE else 1
        extras = _arguments(stage.handler, {name: values[name] for name in ("config", "context")}, given)
        return Opened(declaration, _bind(stage.handler, extras))
    assert isinstance(stage, type)
    initialise: Callable[..., Any] = getattr(stage, "__init__")  # noqa: B009 - as an attribute mypy refuses it
    instance = stage(**_arguments(initialise, values, 1))
    if isinstance(instance, Transform):
        return Opened(declaration, instance.process, instance)
    if isinstance(instance, Sink):
        return Opened(declaration, instance.write, instance)
    assert isinstance(instance, Source)
    return Opened(declaration, instance.events, instance)


def _bind(handler: Callable[..., Any], extras: dict[str, Any]) -> Callable[..., Any]:
    if not extras:
        return handler
    parameters = list(inspect.signature(handler).parameters)
    if type(handler) is FunctionType and parameters[-len(extras) :] == list(extras) and not handler.__kwdefaults__:
        # A function with the arguments as its defaults is called per event at no cost; a `partial` would have one.
        bound = FunctionType(handler.__code__, handler.__globals__, handler.__name__, None, handler.__closure__)
        bound.__defaults__ = tuple(extras.values())
        return bound
    return functools.partial(handler, **extras)


def _arguments(function: Callable[..., Any], values: dict[str, Any], given: int) -> dict[str, Any]:
    """The arguments for all parameters behind the first ones, which are `given` by the caller."""
    code = inspect.unwrap(function)
    try:
        parameters = list(inspect.signature(code).parameters.values())[given:]
    except ValueError:
        return {}
    arguments = {}
    for parameter in parameters:
        name = parameter.name
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name in values:
            arguments[name] = values[name]
        elif parameter.default is parameter.empty:
            raise Invalid(f"the parameter `{name}` is none of {', '.join(f'`{known}`' for known in values)}")
    if "config" in arguments:
        arguments["config"] = configuration.typed(arguments["config"], _annotation(code, "config"))
    return arguments


def _annotation(function: Callable[..., Any], name: str) -> Any:
    if name not in getattr(function, "__annotations__", {}):
        return Any
    try:
        return typing.get_type_hints(function)[name]
    except (NameError, TypeError) as error:
        raise Invalid(f"the annotation of the parameter `{name}` cannot be read: {error}") from error
