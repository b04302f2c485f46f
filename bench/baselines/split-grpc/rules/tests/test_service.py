"""The service over a real connection."""

from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from split_rules.generated.split_pb2 import ParsedEvent, ParsedEventBatch, ReportRequest
from split_rules.generated.split_pb2_grpc import RulesStub, StageStub
from split_rules.service import RULES, start


@pytest.fixture
def channel() -> Iterator[grpc.Channel]:
    """Connect to a service of its own."""
    server, address = start()
    with grpc.insecure_channel(address) as channel:
        yield channel
    server.stop(grace=None).wait()


def test_is_ready_when_it_is_reachable(channel: grpc.Channel) -> None:
    """Health answers for the service by name."""
    health = health_pb2_grpc.HealthStub(channel)
    reply = health.Check(health_pb2.HealthCheckRequest(service=RULES))  # type: ignore[attr-defined]
    assert reply.status == health_pb2.HealthCheckResponse.SERVING


def test_streams_batches_and_reports_where_the_time_went(channel: grpc.Channel) -> None:
    """A batch of which nothing is left is not sent; the phases make up the window."""
    batches = [
        ParsedEventBatch(events=[ParsedEvent(type="click", value=value) for value in values])
        for values in ([5, 10], [1], [20])
    ]
    kept = [[event.value for event in batch.events] for batch in RulesStub(channel).Apply(iter(batches))]
    assert kept == [[10], [20]]

    report = StageStub(channel).Report(ReportRequest())
    assert (report.events_in, report.events_out, report.batches_in, report.batches_out) == (4, 2, 3, 2)
    assert 0 < report.process_seconds < report.window_seconds
    assert report.serialise_seconds > 0
    assert report.deserialise_seconds > 0


def test_a_report_before_the_end_is_refused(channel: grpc.Channel) -> None:
    """There is nothing to tell yet."""
    with pytest.raises(grpc.RpcError) as error:
        StageStub(channel).Report(ReportRequest())
    assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
