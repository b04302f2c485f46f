"""The loops over a batch's events, generated for its columns.

For the columns `type` (as codes) and `value` the loop of a transform that may only keep or drop is:

```python
def loop(rows, call, flags, fail, books, several):
    append = flags.append
    (b0,) = books
    for v0, v1 in rows:
        event = {"type": b0[v0], "value": v1}
        try:
            result = call(event)
            if result is None:
                append(0)
            elif result is event and len(event) == 2 and event.get("type") is b0[v0] and event.get("value") is v1:
                append(1)
            else:
                return event, result
        except Exception as error:
            fail(error, event)
            append(0)
    return None
```

Guarantees: one call for each event and no other Python call on the good path; a dict literal for each event; strings
that come as codes are looked up in the literal. `flags` gets one entry for each event: how many came of it.

Neighbours: `event` drives them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

KEEP, TABLE, PREDICATE, EACH, COLLECT = range(5)

_BODIES = {
    # Hands back the first event whose result is neither itself, unchanged, nor None.
    KEEP: """
        try:
            result = call(event)
            if result is None:
                append(0)
            elif result is event and len(event) == {count}{unchanged}:
                append(1)
            else:
                return event, result
        except Fatal:
            raise
        except Exception as error:
            fail(error, event)
            append(0)
""",
    # Gathers the results.
    TABLE: """
        try:
            result = call(event)
            if type(result) is dict:
                gather(result)
                append(1)
            elif result is None:
                append(0)
            else:
                append(several(result))
        except Fatal:
            raise
        except Exception as error:
            fail(error, event)
            append(0)
""",
    PREDICATE: """
        try:
            append(1 if call(event) else 0)
        except Fatal:
            raise
        except Exception as error:
            fail(error, event)
            append(0)
""",
    EACH: """
        call(event)
""",
    COLLECT: """
        gather(event)
""",
}


@lru_cache(maxsize=256)
def loop(form: int, names: tuple[str, ...], coded: tuple[bool, ...]) -> Callable[..., Any]:
    """The loop of a form over events with these columns, of which some come as codes."""
    from .failure import Fatal

    cells = [f"b{at}[v{at}]" if book else f"v{at}" for at, book in enumerate(coded)]
    books = [f"b{at}" for at, book in enumerate(coded) if book]
    members = ", ".join(f"{name!r}: {cell}" for name, cell in zip(names, cells, strict=True))
    unchanged = "".join(f" and event.get({name!r}, absent) is {cell}" for name, cell in zip(names, cells, strict=True))
    target = "".join(f"v{at}, " for at in range(len(names))) or "_"
    lines = [
        "def loop(rows, call, flags, fail, books, gather, several):",
        "    append = flags.append",
        f"    {', '.join(books)}{',' if books else '()'} = books",
        f"    for {target} in rows:",
        f"        event = {{{members}}}",
        _BODIES[form].strip("\n").format(count=len(names), unchanged=unchanged),
    ]
    space: dict[str, Any] = {"Fatal": Fatal, "absent": object()}
    exec("\n".join(lines), space)
    made: Callable[..., Any] = space["loop"]
    return made
