"""The pipeline's rule: drop views, and values below ten; what is left gets the key it is aggregated by."""

from split_rules.generated.split_pb2 import EnrichedEventBatch, ParsedEventBatch


def apply(batch: ParsedEventBatch) -> EnrichedEventBatch:
    """Return the events to keep, in order."""
    enriched = EnrichedEventBatch()
    add = enriched.events.add
    for event in batch.events:
        kind = event.type
        value = event.value
        if kind != "view" and value >= 10:
            # Field by field: keyword arguments cost a quarter more.
            kept = add()
            kept.key = kind
            kept.ts_micros = event.ts_micros
            kept.user = event.user
            kept.value = value
    return enriched
