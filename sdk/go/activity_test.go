package modrun

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"modularruntime/modrun/internal/wire"
)

// letters stand for the activities: Receive, Decode, Process, Encode, Send, sTarved, Backpressured.
const letters = "RDPESTB"

var words = func() Schema {
	columns, err := Columns("n int64?, s string?")
	if err != nil {
		panic(err)
	}
	return columns
}()

// say sends `Open`, two batches with a barrier between them, and `End`.
func say(t *testing.T, socket, rows int, sink bool) {
	table := newTable(words)
	n, s := table.Int64("n"), table.String("s")
	for row := range rows {
		n.Append(int64(row))
		s.Append(fmt.Sprint("text ", row))
	}
	open := wire.Open{Protocol: wire.Version, Config: "{}", Input: words, HasInput: true, Output: words, HasOutput: !sink,
		WindowBatches: 4, WindowBytes: 1 << 30, InlineMax: 1 << 26, Replicas: 1}
	writer := wire.NewWriter(socket)
	writer.Frame(open.Encode(), nil)
	size := wire.PayloadSize(table.builders, 0, rows)
	for seq, then := range []wire.To{wire.ToBarrier, wire.ToEnd} {
		batch := wire.Batch{Seq: uint64(seq), Offset: wire.None, Length: uint32(size), Rows: uint32(rows), Input: wire.None}
		wire.WritePayload(writer.Batch(batch, size), table.builders, 0, rows)
		writer.Frame(wire.EncodeTo(then, 1), nil)
	}
	if err := errors.Join(writer.Flush(), syscall.Shutdown(socket, syscall.SHUT_WR)); err != nil {
		t.Fatal(err)
	}
}

// looks returns, for each look at the clock in the life of a stage, the activity that it was in until then.
func looks(t *testing.T, stage Stage, rows int, sink bool) string {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(pair[0])
	defer syscall.Close(pair[1])
	say(t, pair[0], rows, sink)
	s := &session{reader: wire.NewReader(pair[1]), writer: wire.NewWriter(pair[1])}
	var seen []byte
	// A clock that moves when it is looked at, by so little that nothing is ever late.
	s.ledger.clock = func() time.Duration {
		if s.ledger.now != receiving || s.out != nil {
			seen = append(seen, letters[s.ledger.now])
		}
		return time.Duration(len(seen))
	}
	h, err := s.start(stage, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	if err := s.work(h); err != nil && !(sink && errors.Is(err, io.EOF)) {
		t.Fatal(err)
	}
	return string(seen)
}

type restless struct{}

func (restless) Process(Event, func(Event)) error { return nil }
func (restless) Snapshot() ([]byte, error)        { return []byte("state"), nil }
func (restless) Finish(emit func(Event)) error    { return nil }

func TestAStageLooksAtTheClockOncePerActivityOfABatch(t *testing.T) {
	keep := Filter(func(Event) bool { return true })
	change := Transform(func(in struct{ N *int64 }) (struct {
		N *int64
		S string
	}, error) {
		return struct {
			N *int64
			S string
		}{in.N, "new"}, nil
	})
	whole := TransformBatch(func(in *Batch, out *Output) error { out.Batch(in); return nil })
	cases := map[string]struct {
		stage Stage
		sink  bool
		want  string
	}{
		"a filter":           {keep, false, "RSDPDPERPDPDPERPP"},
		"a transform":        {change, false, "RSDPDPEERPDPDPEERPP"},
		"batches":            {whole, false, "RSDPERPDPERPP"},
		"a state and an end": {Stateful(restless{}), false, "RSDPDPERPDPDPERPP"},
		"a sink of events":   {Sink(func(Event) error { return nil }), true, "RSDPDPRPDPDPRPP"},
		"a sink of batches":  {SinkBatch(func(*Batch) error { return nil }), true, "RSDPRPDPRPP"},
	}
	for name, c := range cases {
		for _, rows := range []int{3, 300} {
			if got := looks(t, c.stage, rows, c.sink); got != c.want {
				t.Errorf("%s of %d rows: %s instead of %s", name, rows, got, c.want)
			}
		}
	}
}
