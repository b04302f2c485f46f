"""The rules over gRPC, with health and an account of where the time went."""

from collections.abc import Iterator
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from split_rules.generated.split_pb2 import (
    DESCRIPTOR,
    EnrichedEventBatch,
    ParsedEventBatch,
    ReportRequest,
    StageReport,
)
from split_rules.ledger import Ledger, Phase
from split_rules.rules import apply

RULES = DESCRIPTOR.services_by_name["Rules"].full_name
STAGE = DESCRIPTOR.services_by_name["Stage"].full_name
THREADS = 4  # one for the stream; the rest answer health checks and reports meanwhile
# What a client may send before the handler has read any: the bound on the leg.
STREAM_WINDOW_BYTES = 256 * 1024


class Service:
    """Serves one stream of events."""

    def __init__(self) -> None:
        """Start with an empty ledger."""
        self._ledger = Ledger()

    def apply(
        self, batches: Iterator[ParsedEventBatch], context: grpc.ServicerContext
    ) -> Iterator[EnrichedEventBatch]:
        """Yield what each batch leaves, unless that is nothing."""
        context.send_initial_metadata(())  # clients wait for it
        ledger = self._ledger
        ledger.open()
        for batch in batches:
            ledger.enter(Phase.PROCESS)
            ledger.count_in(len(batch.events))
            enriched = apply(batch)
            if enriched.events:
                ledger.count_out(len(enriched.events))
                ledger.enter(Phase.SEND)
                yield enriched
            ledger.enter(Phase.RECEIVE)
        ledger.close()

    def report(self, _: ReportRequest, context: grpc.ServicerContext) -> StageReport:
        """Return where the time of the stream went."""
        report = self._ledger.report()
        if report is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the stream is still open")
        return report

    def handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """Return what the generated servicer would register, with the codec timed."""
        apply_handler = grpc.stream_stream_rpc_method_handler(
            self.apply,
            request_deserializer=self._ledger.deserialising(ParsedEventBatch.FromString),
            response_serializer=self._ledger.serialising(EnrichedEventBatch.SerializeToString),
        )
        report_handler = grpc.unary_unary_rpc_method_handler(
            self.report,
            request_deserializer=ReportRequest.FromString,
            response_serializer=StageReport.SerializeToString,
        )
        return (
            grpc.method_handlers_generic_handler(RULES, {"Apply": apply_handler}),
            grpc.method_handlers_generic_handler(STAGE, {"Report": report_handler}),
        )


def start() -> tuple[grpc.Server, str]:
    """Return a server that is ready, and its address."""
    # Without a probe for it, the window stays what it is; with one it grows to megabytes.
    window = (("grpc.http2.lookahead_bytes", STREAM_WINDOW_BYTES), ("grpc.http2.bdp_probe", 0))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=THREADS), options=window)
    server.add_generic_rpc_handlers(Service().handlers())
    health_servicer = health.HealthServicer()
    health_servicer.set(RULES, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"
