"""The rule by itself."""

from split_rules.generated.split_pb2 import EnrichedEvent, EnrichedEventBatch, ParsedEvent, ParsedEventBatch
from split_rules.rules import apply


def test_keeps_what_is_no_view_and_at_least_ten() -> None:
    """Order, time and user stay as they were."""
    batch = ParsedEventBatch(
        events=[
            ParsedEvent(ts_micros=1, type="click", user="a", value=10),
            ParsedEvent(ts_micros=2, type="click", user="b", value=9),
            ParsedEvent(ts_micros=3, type="view", user="c", value=99),
            ParsedEvent(ts_micros=4, type="", user="d", value=2**62),
        ]
    )
    assert apply(batch) == EnrichedEventBatch(
        events=[
            EnrichedEvent(key="click", ts_micros=1, user="a", value=10),
            EnrichedEvent(key="", ts_micros=4, user="d", value=2**62),
        ]
    )


def test_nothing_kept_is_an_empty_batch() -> None:
    """Also for an empty batch."""
    assert not apply(ParsedEventBatch()).events
    assert not apply(ParsedEventBatch(events=[ParsedEvent(type="view", value=50)])).events
