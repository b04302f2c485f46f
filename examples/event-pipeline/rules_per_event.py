"""Keeps the events that matter, one at a time."""

from modular_runtime import Event, run, transform


@transform
def rules(event: Event) -> Event | None:
    return event if event["type"] != "view" and event["value"] >= 10 else None


run(rules)
