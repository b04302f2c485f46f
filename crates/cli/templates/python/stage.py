"""The stage `{{name}}`: says how high each event's value is, and drops what is below 0."""

from modular_runtime import Event, run, transform


@transform(output={"user": "string", "value": "int64", "level": "string"})
def stage(event: Event) -> Event | None:
    if event["value"] < 0:
        return None
    return event | {"level": "high" if event["value"] >= 10 else "low"}


if __name__ == "__main__":
    run(stage)
