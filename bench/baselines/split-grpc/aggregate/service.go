package main

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"split/aggregate/splitpb"
)

type enrichedStream = grpc.ClientStreamingServer[splitpb.EnrichedEventBatch, splitpb.AggregateResultBatch]

type aggregateService struct {
	splitpb.UnimplementedAggregateServer
}

// Aggregate reads the stream to its end and answers with the results, sorted by key.
func (aggregateService) Aggregate(stream enrichedStream) error {
	if err := stream.SendHeader(metadata.MD{}); err != nil { // clients wait for it
		return err
	}
	ledger.open()
	defer ledger.close()
	groups := groups{}
	for {
		batch, err := ledger.receive(stream.Recv)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		ledger.countIn(len(batch.GetEvents()))
		var addErr error
		ledger.time(process, func() { addErr = groups.add(batch.GetEvents()) })
		if addErr != nil {
			return status.Error(codes.OutOfRange, addErr.Error())
		}
	}
	results := groups.results()
	ledger.countOut(len(results))
	return stream.SendAndClose(&splitpb.AggregateResultBatch{Results: results})
}

type stageService struct {
	splitpb.UnimplementedStageServer
}

// Report tells where the time of the stream went.
func (stageService) Report(context.Context, *splitpb.ReportRequest) (*splitpb.StageReport, error) {
	if report := ledger.report(); report != nil {
		return report, nil
	}
	return nil, status.Error(codes.FailedPrecondition, "the stream is still open")
}
