"""Stages of modular-runtime pipelines in Python: `README.md` shows how to write one.

Guarantees: importing it imports neither pyarrow nor numpy; handlers of events never need them.
"""

import os
from typing import Any

# A stage is one loop: numpy's threads would spin beside it. It has to be said before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from .failure import Fatal, Kind
from .run import run
from .schema import Field, Schema, Type
from .sinks import JsonLines
from .stage import Context, Event, Prepared, Sink, Source, Stage, Transform, filter, sink, source, transform

__all__ = [
    "Context",
    "Event",
    "Fatal",
    "Field",
    "JsonLines",
    "Kind",
    "Prepared",
    "Schema",
    "Sink",
    "Source",
    "Stage",
    "Transform",
    "Type",
    "filter",
    "keep",
    "run",
    "sink",
    "source",
    "transform",
]


def keep(batch: Any) -> Any:
    """A copy of a batch, which may be held after the handler that it was lent to has returned."""
    from .arrow import keep

    return keep(batch)
