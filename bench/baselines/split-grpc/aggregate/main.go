// Command aggregate is the aggregate service of the split baseline: count, sum and average of value by key.
//
// It prints the address it listens on as its first line, is ready when its health says so, and ends when its
// standard input does.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"split/aggregate/splitpb"
)

// streamWindowBytes is what a client may send before the service has read any: the bound on the leg.
const streamWindowBytes = 256 * 1024

func main() {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		log.Fatalf("cannot listen: %v", err)
	}
	server := newServer()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // an error ends the service just as the end of input does
		server.Stop()
	}()
	fmt.Println(listener.Addr())
	if err := server.Serve(meteredListener{listener}); err != nil {
		log.Fatalf("cannot serve: %v", err)
	}
}

func newServer() *grpc.Server {
	server := grpc.NewServer(
		grpc.ForceServerCodecV2(newMeteredCodec()),
		grpc.InitialWindowSize(streamWindowBytes),
		grpc.InitialConnWindowSize(streamWindowBytes),
	)
	healthServer := health.NewServer()
	healthServer.SetServingStatus(splitpb.Aggregate_ServiceDesc.ServiceName, healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(server, healthServer)
	splitpb.RegisterAggregateServer(server, aggregateService{})
	splitpb.RegisterStageServer(server, stageService{})
	return server
}
