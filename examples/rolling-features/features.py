"""Adds numbers about the last values of each user to its events, one event at a time."""

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Any

from modular_runtime import Event, Transform, run

SCALE = 1000
FACTOR = 1_000_003
MODULUS = 2**31 - 1
VALUE_MAX = 1_000_000_000


@dataclass
class Config:
    by: str
    value: str
    last: int


class Features(Transform):
    def __init__(self, config: Config) -> None:
        self.config = config
        self.windows: defaultdict[Any, deque[int]] = defaultdict(
            lambda: deque(maxlen=config.last)
        )

    def process(self, event: Event) -> dict[str, Any]:
        value = event[self.config.value]
        if abs(value) > VALUE_MAX:
            raise OverflowError(f"`{self.config.value}` is beyond {VALUE_MAX}")
        window = self.windows[event[self.config.by]]
        window.append(value)
        count = len(window)
        mean = SCALE * sum(window) // count
        distances = [SCALE * value - mean for value in window]
        deviation = sum(map(abs, distances)) // count
        score = digest = 0
        if deviation > 0:
            for distance in distances:
                score = SCALE * distance // deviation
                digest = (FACTOR * digest + score) % MODULUS
        return {
            **event,
            "count": count,
            "mean": mean,
            "deviation": deviation,
            "score": score,
            "digest": digest,
        }


run(Features)
