"""What users write a stage with: decorators for functions, base classes for what has a memory.

```python
@transform
def rules(event):
    return event if event["type"] != "view" else None
```

Guarantees: a decorated function is still callable as it was. A declaration that makes no sense is refused where it
stands, with a `TypeError`.

Neighbours: `opening` turns what is written here into something to call, `run` and `testing` open stages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, ParamSpec, TypeAlias, TypeVar, overload

from .message import BatchPolicy, Role
from .schema import Schema, declared

Event: TypeAlias = dict[str, Any]
P = ParamSpec("P")
R = TypeVar("R")

CONCURRENCY = 64  # events of a batch that an async handler works on at once


@dataclass(frozen=True)
class Declaration:
    """What a stage's code says about itself."""

    role: Role
    batch: bool = False
    predicate: bool = False
    stateless: bool = True
    concurrency: int = CONCURRENCY
    output: Schema | None = None


@dataclass(frozen=True)
class Context:
    """What a stage can know about its place; a parameter with the name `context` gets it."""

    stage: str
    input: Schema | None = None
    output: Schema | None = None
    policy: BatchPolicy | None = None
    generation: int = 0
    replica: int = 0
    replicas: int = 1


def _positive(concurrency: int) -> int:
    if concurrency < 1:
        raise TypeError(f"`concurrency` is {concurrency}, it must be at least 1")
    return concurrency


class Stage(Generic[P, R]):
    """A function that is a stage. It can be called as before."""

    def __init__(self, handler: Callable[P, R], declaration: Declaration) -> None:
        self.handler = handler
        self.declaration = declaration
        self.__doc__ = handler.__doc__
        self.__name__ = getattr(handler, "__name__", type(handler).__name__)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.handler(*args, **kwargs)


class _Decorator:
    """A decorator that was given its options."""

    def __init__(self, declaration: Declaration) -> None:
        self._declaration = declaration

    def __call__(self, handler: Callable[P, R]) -> Stage[P, R]:
        return Stage(handler, self._declaration)


@overload
def transform(handler: Callable[P, R], /) -> Stage[P, R]: ...
@overload
def transform(
    *, batch: bool = False, output: Mapping[str, str] | None = None, concurrency: int = CONCURRENCY
) -> _Decorator: ...
def transform(
    handler: Callable[..., Any] | None = None,
    /,
    *,
    batch: bool = False,
    output: Mapping[str, str] | None = None,
    concurrency: int = CONCURRENCY,
) -> Stage[..., Any] | _Decorator:
    """A function from an event to an event, to None or to several (a list, or a generator).

    With `batch=True` it gets a `pyarrow.RecordBatch`, which is lent until it returns (`keep` copies), and gives a
    `RecordBatch`, a mask of the rows to keep (a boolean pyarrow or numpy array), None, or a list of batches.
    `output={"key": "string?", "count": "int64"}` declares columns other than those that come in. An async function
    works on up to `concurrency` events of a batch at once; their order is kept.
    """
    declaration = Declaration(Role.TRANSFORM, batch, output=declared(output), concurrency=_positive(concurrency))
    return Stage(handler, declaration) if handler else _Decorator(declaration)


@overload
def filter(handler: Callable[P, R], /) -> Stage[P, R]: ...
@overload
def filter(*, batch: bool = False, concurrency: int = CONCURRENCY) -> _Decorator: ...
def filter(
    handler: Callable[..., Any] | None = None, /, *, batch: bool = False, concurrency: int = CONCURRENCY
) -> Stage[..., Any] | _Decorator:
    """A predicate: events for which it is true are kept. With `batch=True` it gives a mask of the rows to keep."""
    declaration = Declaration(Role.TRANSFORM, batch, predicate=True, concurrency=_positive(concurrency))
    return Stage(handler, declaration) if handler else _Decorator(declaration)


@overload
def source(handler: Callable[P, R], /) -> Stage[P, R]: ...
@overload
def source(*, batch: bool = False, output: Mapping[str, str] | None = None) -> _Decorator: ...
def source(
    handler: Callable[..., Any] | None = None, /, *, batch: bool = False, output: Mapping[str, str] | None = None
) -> Stage[..., Any] | _Decorator:
    """A generator of events, or of `pyarrow.RecordBatch`es with `batch=True`; async generators too."""
    declaration = Declaration(Role.SOURCE, batch, stateless=False, output=declared(output))
    return Stage(handler, declaration) if handler else _Decorator(declaration)


@overload
def sink(handler: Callable[P, R], /) -> Stage[P, R]: ...
@overload
def sink(*, batch: bool = False, concurrency: int = 1) -> _Decorator: ...
def sink(
    handler: Callable[..., Any] | None = None, /, *, batch: bool = False, concurrency: int = 1
) -> Stage[..., Any] | _Decorator:
    """A function that gets each event, or each batch with `batch=True`, and gives nothing back."""
    declaration = Declaration(Role.SINK, batch, stateless=False, concurrency=_positive(concurrency))
    return Stage(handler, declaration) if handler else _Decorator(declaration)


class _Declared:
    """What the base classes share: class arguments become the declaration.

    `__init__` may take any of the parameters `config`, `state` (the bytes of the last snapshot, or None) and
    `context`, by these names.
    """

    declaration: ClassVar[Declaration]
    role: ClassVar[Role]

    def __init_subclass__(
        cls,
        *,
        batch: bool | None = None,
        stateless: bool | None = None,
        output: Mapping[str, str] | None = None,
        concurrency: int | None = None,
    ) -> None:
        if not hasattr(cls, "role"):
            raise TypeError(f"`{cls.__name__}` has to be derived from `Transform`, `Source` or `Sink`")
        if cls.role == Role.SINK and output is not None:
            raise TypeError(f"`{cls.__name__}` is a sink and has no output")
        if cls.role != Role.TRANSFORM and stateless:
            raise TypeError(f"`{cls.__name__}` is a {cls.role.name.lower()}, which is never stateless")
        known = getattr(cls, "declaration", Declaration(cls.role, stateless=False))
        cls.declaration = Declaration(
            cls.role,
            known.batch if batch is None else batch,
            stateless=known.stateless if stateless is None else stateless,
            concurrency=known.concurrency if concurrency is None else _positive(concurrency),
            output=known.output if output is None else declared(output),
        )

    def snapshot(self) -> bytes | None:
        """The state after all that was processed; `__init__` gets it as `state`. None: there is none."""
        return None


class Transform(_Declared):
    """A transform with a memory: `class Count(Transform, output={...})`, with `batch=True` for whole batches."""

    role = Role.TRANSFORM

    def process(self, event: Any) -> Any:
        """Takes an event (or batch) and gives what a function decorated with `transform` gives."""
        raise NotImplementedError(f"`{type(self).__name__}` has no method `process`")

    def finish(self) -> Iterable[Any] | None:
        """What was held back: events (or batches), after the last event."""
        return None


class Source(_Declared):
    """A source with a position. `bytes_read` and `bytes_total` show how far it is, if they are set."""

    role = Role.SOURCE
    bytes_read: int = 0
    bytes_total: int = 0

    def events(self) -> Any:
        """A generator of events (or batches). Move the position before the `yield` that it counts."""
        raise NotImplementedError(f"`{type(self).__name__}` has no method `events`")


@dataclass(frozen=True)
class Prepared:
    """The file in which a sink has its results under a temporary name, and how many rows there are."""

    artifact: str = ""
    rows: int = 0


class Sink(_Declared):
    """A sink that commits."""

    role = Role.SINK

    def write(self, event: Any) -> Any:
        """Takes an event (or batch)."""
        raise NotImplementedError(f"`{type(self).__name__}` has no method `write`")

    def prepare(self) -> Prepared | None:
        """Makes all results durable under a temporary name."""
        return None

    def commit(self) -> None:
        """Gives the results their final name."""


def declaration_of(stage: object) -> Declaration:
    """What a stage says about itself; a `TypeError` for what is none."""
    declaration = getattr(stage, "declaration", None)
    if not isinstance(declaration, Declaration):
        name = getattr(stage, "__name__", repr(stage))
        raise TypeError(
            f"`{name}` is no stage: decorate a function with `@transform`, `@filter`, `@source` or `@sink`, "
            "or derive a class from `Transform`, `Source` or `Sink`"
        )
    return declaration
