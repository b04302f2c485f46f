"""Keeps the events that matter, a batch at a time."""

from typing import Any

from modular_runtime import filter, run
from modular_runtime.compute import and_, greater_equal, not_equal


@filter(batch=True)
def rules(batch: Any) -> Any:
    return and_(not_equal(batch["type"], "view"), greater_equal(batch["value"], 10))


run(rules)
