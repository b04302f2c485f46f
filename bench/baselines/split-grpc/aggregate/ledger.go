package main

import (
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"split/aggregate/splitpb"
)

type activity int

const (
	process activity = iota
	serialise
	write
	read
	deserialise
	waiting
	activities
)

// A stageLedger knows where this process's time goes, each activity apart. The clock is read per message and per
// system call, never per event.
type stageLedger struct {
	nanos                                      [activities]atomic.Int64
	eventsIn, eventsOut, batchesIn, batchesOut atomic.Uint64
	start                                      time.Time
	closed                                     atomic.Pointer[splitpb.StageReport]
}

// The one ledger of this process, which serves one stream.
var ledger stageLedger

func (l *stageLedger) time(a activity, work func()) {
	start := time.Now()
	work()
	l.add(a, time.Since(start))
}

// receive counts as waiting what passes in recv beyond the reading and deserialising that goes on meanwhile.
func (l *stageLedger) receive(
	recv func() (*splitpb.EnrichedEventBatch, error),
) (*splitpb.EnrichedEventBatch, error) {
	start, busyBefore := time.Now(), l.receiving()
	batch, err := recv()
	l.add(waiting, max(0, time.Since(start)-(l.receiving()-busyBefore)))
	return batch, err
}

func (l *stageLedger) receiving() time.Duration {
	return time.Duration(l.nanos[read].Load() + l.nanos[deserialise].Load())
}

func (l *stageLedger) add(a activity, spent time.Duration) { l.nanos[a].Add(int64(spent)) }

func (l *stageLedger) countIn(events int) {
	l.batchesIn.Add(1)
	l.eventsIn.Add(uint64(events))
}

func (l *stageLedger) countOut(events int) {
	l.batchesOut.Add(1)
	l.eventsOut.Add(uint64(events))
}

func (l *stageLedger) open() { l.start = time.Now() }

func (l *stageLedger) close() {
	seconds := func(a activity) *float64 { return proto.Float64(time.Duration(l.nanos[a].Load()).Seconds()) }
	l.closed.Store(&splitpb.StageReport{
		EventsIn:           l.eventsIn.Load(),
		EventsOut:          l.eventsOut.Load(),
		BatchesIn:          l.batchesIn.Load(),
		BatchesOut:         l.batchesOut.Load(),
		WindowSeconds:      time.Since(l.start).Seconds(),
		ProcessSeconds:     seconds(process),
		SerialiseSeconds:   seconds(serialise),
		WriteSeconds:       seconds(write),
		ReadSeconds:        seconds(read),
		DeserialiseSeconds: seconds(deserialise),
		WaitingSeconds:     seconds(waiting),
	})
}

// report is nil until the stream has ended.
func (l *stageLedger) report() *splitpb.StageReport { return l.closed.Load() }
