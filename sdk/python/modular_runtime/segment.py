"""Shared segments: the input is read where it lies, the output is written into slots.

```text
 output segment   │ slot 0 ▒▒▒▒ │ slot 1 ▒▒ │ free ……… │      slots begin at multiples of 64
```

Guarantees: slots do not overlap; the lowest free address is taken first, so that few pages stay hot. The mappings
last until the process ends: a view into them never becomes a wild pointer.

Neighbours: `link` takes and frees slots, `table` says how many bytes a payload has.
"""

from __future__ import annotations

import mmap
from bisect import insort

SLOT_ALIGNMENT = 64


class Slots:
    """First fit at the lowest address."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._used: list[tuple[int, int]] = []

    def take(self, length: int) -> int | None:
        """The offset of a slot for so many bytes; None if there is no room now."""
        at = 0
        for start, end in self._used:
            if start - at >= length:
                break
            at = end
        if at + length > self._size:
            return None
        end = at + max(length, 1)
        insort(self._used, (at, end + -end % SLOT_ALIGNMENT))
        return at

    def free(self, offset: int) -> None:
        """Gives a slot back."""
        for index, (start, _) in enumerate(self._used):
            if start == offset:
                del self._used[index]
                return


def map_input(descriptor: int, size: int) -> mmap.mmap:
    """Maps a segment to read from."""
    return mmap.mmap(descriptor, size, prot=mmap.PROT_READ)


def map_output(descriptor: int, size: int) -> mmap.mmap:
    """Maps a segment to write to."""
    return mmap.mmap(descriptor, size)
