package main

import (
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"split/aggregate/splitpb"
)

func TestServiceOverAConnection(t *testing.T) {
	connection := connect(t)
	health, err := healthpb.NewHealthClient(connection).Check(
		t.Context(), &healthpb.HealthCheckRequest{Service: "split.v1.Aggregate"})
	if err != nil || health.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("not ready: %v, %v", health, err)
	}
	stage := splitpb.NewStageClient(connection)
	if _, err := stage.Report(t.Context(), &splitpb.ReportRequest{}); status.Code(err) != codes.FailedPrecondition {
		t.Fatalf("a report before the stream: %v", err)
	}

	stream, err := splitpb.NewAggregateClient(connection).Aggregate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, events := range [][]*splitpb.EnrichedEvent{{event("a", 10), event("b", 1)}, {event("a", 15)}} {
		if err := stream.Send(&splitpb.EnrichedEventBatch{Events: events}); err != nil {
			t.Fatal(err)
		}
	}
	reply, err := stream.CloseAndRecv()
	if err != nil {
		t.Fatal(err)
	}
	if got := reply.GetResults()[0]; len(reply.GetResults()) != 2 || got.GetKey() != "a" || got.GetAvg() != 12.5 {
		t.Errorf("results: %v", reply)
	}

	report, err := stage.Report(t.Context(), &splitpb.ReportRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if report.GetEventsIn() != 3 || report.GetBatchesIn() != 2 || report.GetEventsOut() != 2 {
		t.Errorf("traffic: %v", report)
	}
	for name, seconds := range map[string]float64{
		"process": report.GetProcessSeconds(), "read": report.GetReadSeconds(), "deserialise": report.GetDeserialiseSeconds(),
	} {
		if seconds <= 0 || seconds > report.GetWindowSeconds() {
			t.Errorf("%s takes %v of %v s", name, seconds, report.GetWindowSeconds())
		}
	}
}

func connect(t *testing.T) *grpc.ClientConn {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := newServer()
	go func() { _ = server.Serve(meteredListener{listener}) }()
	t.Cleanup(server.Stop)
	connection, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}
