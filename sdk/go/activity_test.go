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

// conversation is what the runtime says: some of it at once, and each other part once the stage has said something.
type conversation struct {
	open  wire.Open
	said  []part
	rows  int // of each batch
	later []answer
}

// part is a message, or a batch, with its number.
type part struct {
	kind wire.To
	seq  uint64
}

// answer is what is said after a message of the stage, a batch or a credit.
type answer struct {
	after func(message []byte) bool
	said  []part
}

// opening returns what a stage is opened with: no input if it is a source, no output if it is a sink.
func opening(input, output Schema, windowBatches uint32) wire.Open {
	return wire.Open{Protocol: wire.Version, Config: "{}", Input: input, HasInput: input != nil, Output: output,
		HasOutput: output != nil, WindowBatches: windowBatches, WindowBytes: 1 << 30, InlineMax: 1 << 26, Replicas: 1,
		Policy: wire.Policy{Rows: 2}}
}

// say writes parts.
func (c conversation) say(writer *wire.Writer, parts []part) error {
	table := newTable(words)
	n, s := table.Int64("n"), table.String("s")
	for row := range c.rows {
		n.Append(int64(row))
		s.Append(fmt.Sprint("text ", row))
	}
	size := wire.PayloadSize(table.builders, 0, c.rows)
	for _, p := range parts {
		switch p.kind {
		case wire.ToBatch:
			batch := wire.Batch{Seq: p.seq, Offset: wire.None, Length: uint32(size), Rows: uint32(c.rows), Input: wire.None}
			wire.WritePayload(writer.Batch(batch, size), table.builders, 0, c.rows)
		case wire.ToCredit:
			writer.Credit(wire.Credit{Seq: p.seq})
		default:
			writer.Frame(wire.EncodeTo(p.kind, 1), nil)
		}
	}
	return writer.Flush()
}

// answer says the other parts, each when it is due, and hangs up once the stage is done.
func (c conversation) answer(socket int) error {
	defer syscall.Shutdown(socket, syscall.SHUT_WR)
	reader, writer := wire.NewReader(socket), wire.NewWriter(socket)
	reader.AllowInline(c.open.InlineMax)
	for later := c.later; ; {
		frame, ok, err := reader.Next()
		if err == nil && !ok {
			_, err = reader.Fill(true)
		}
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if len(later) > 0 && later[0].after(frame.Message) {
			if err := c.say(writer, later[0].said); err != nil {
				return err
			}
			later = later[1:]
		}
		if wire.IsBatch(frame.Message) || wire.IsCredit(frame.Message) {
			continue
		}
		if kind, _, err := wire.ParseFrom(frame); err != nil || kind == wire.FromDone {
			return err
		}
	}
}

// looks returns, for each look at the clock in the life of a stage, the activity that it was in until then.
//
// What the runtime says later is an answer to a batch or a credit, and a stage in whose life no time passes writes these
// only when it has nothing more to read: which of its reads have to wait does not depend on how fast anybody is.
func (c conversation) looks(t *testing.T, stage Stage) string {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	writer := wire.NewWriter(pair[0])
	writer.Frame(c.open.Encode(), nil)
	if err := c.say(writer, c.said); err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- c.answer(pair[0]) }()
	defer func() {
		syscall.Shutdown(pair[1], syscall.SHUT_RDWR)
		if err := <-over; err != nil {
			t.Error(err)
		}
		syscall.Close(pair[0])
		syscall.Close(pair[1])
	}()
	s := &session{reader: wire.NewReader(pair[1]), writer: wire.NewWriter(pair[1])}
	var seen []byte
	ended := false
	// A clock that moves when it is looked at, by so little that nothing is ever late.
	s.ledger.clock = func() time.Duration {
		// Whether the end of the socket is waited for depends on when the other side hears of `Done`.
		ended = ended || s.done && s.ledger.now == sending
		if begun := s.ledger.now != receiving || s.out != nil; begun && !ended {
			seen = append(seen, letters[s.ledger.now])
		}
		return time.Duration(len(seen))
	}
	h, err := s.start(stage, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	if err := s.work(h); err != nil && !(h.role() == wire.Sink && errors.Is(err, io.EOF)) {
		t.Fatal(err)
	}
	return string(seen)
}

type restless struct{}

func (restless) Process(Event, func(Event)) error { return nil }
func (restless) Snapshot() ([]byte, error)        { return []byte("state"), nil }
func (restless) Finish(emit func(Event)) error    { return nil }

// row is an event of `words`.
type row struct {
	N *int64
	S string
}

func TestAStageLooksAtTheClockOncePerActivityOfABatch(t *testing.T) {
	keep := Filter(func(Event) bool { return true })
	change := Transform(func(in struct{ N *int64 }) (row, error) { return row{in.N, "new"}, nil })
	whole := TransformBatch(func(in *Batch, out *Output) error { out.Batch(in); return nil })
	cases := map[string]struct {
		stage  Stage
		output Schema
		want   string
	}{
		"a filter":                         {keep, words, "RSDPDPERPDPDPERPP"},
		"a filter that leaves out columns": {keep, words[:1], "RSDPDPEERPDPDPEERPP"},
		"a transform":                      {change, words, "RSDPDPEERPDPDPEERPP"},
		"batches":                          {whole, words, "RSDPERPDPERPP"},
		"batches without some columns":     {whole, words[:1], "RSDPEERPDPEERPP"},
		"a state and an end":               {Stateful(restless{}), words, "RSDPDPERPDPDPERPP"},
		"a sink of events":                 {Sink(func(Event) error { return nil }), nil, "RSDPDPRPDPDPRPP"},
		"a sink of batches":                {SinkBatch(func(*Batch) error { return nil }), nil, "RSDPRPDPRPP"},
	}
	for name, c := range cases {
		for _, rows := range []int{3, 300} {
			said := []part{{wire.ToBatch, 0}, {wire.ToBarrier, 0}, {wire.ToBatch, 1}, {wire.ToEnd, 0}}
			talk := conversation{open: opening(words, c.output, 4), said: said, rows: rows}
			if got := talk.looks(t, c.stage); got != c.want {
				t.Errorf("%s of %d rows: %s instead of %s", name, rows, got, c.want)
			}
		}
	}
}

func TestAStageThatWaitsLooksAtTheClockBeforeAndAfter(t *testing.T) {
	twice := TransformBatch(func(in *Batch, out *Output) error { out.Batch(in); out.Batch(in); return nil })
	batch, end := part{wire.ToBatch, 0}, part{wire.ToEnd, 0}
	cases := map[string]struct {
		window uint32
		later  []answer
		want   string
	}{
		"for batches": {4, []answer{{wire.IsCredit, []part{{wire.ToBatch, 1}, end}}}, "RSDPEERSTRDPEERPP"},
		"for credit": {1, []answer{
			{wire.IsBatch, []part{{wire.ToCredit, 0}}}, {wire.IsBatch, []part{{wire.ToCredit, 1}, end}},
		}, "RSDPESBRERSTRPP"},
	}
	for name, c := range cases {
		talk := conversation{open: opening(words, words, c.window), said: []part{batch}, rows: 3, later: c.later}
		if got := talk.looks(t, twice); got != c.want {
			t.Errorf("%s: %s instead of %s", name, got, c.want)
		}
	}
}

// counter is a source of so many events.
type counter struct {
	count, at int
}

func (c *counter) Snapshot() ([]byte, error) { return []byte("state"), nil }

func (c *counter) Next() (row, error) {
	if c.at == c.count {
		return row{}, io.EOF
	}
	c.at++
	return row{S: fmt.Sprint("text ", c.at)}, nil
}

func TestASourceLooksAtTheClockOncePerActivityOfABatch(t *testing.T) {
	events := func(count int) Stage { return StatefulSource(&counter{count: count}) }
	batches := func(count int) Stage {
		return SourceBatch(func(table *Table, rows int) error {
			for ; rows > 0 && count > 0; rows, count = rows-1, count-1 {
				table.Int64("n").Append(int64(count))
				table.String("s").Append("text")
			}
			if count == 0 {
				return io.EOF
			}
			return nil
		})
	}
	// Its watch looks twice: after the first time it knows that nothing has come since.
	watched := newSource(nil, func(f *feed[row]) error {
		f.yield(row{})
		f.look(f.look(-1))
		f.yield(row{})
		return nil
	})
	credit := []answer{{wire.IsBatch, []part{{wire.ToCredit, 0}}}}
	barrier := []part{{wire.ToBarrier, 0}}
	cases := map[string]struct {
		stage  Stage
		rows   uint32
		window uint32
		said   []part
		later  []answer
		want   string
	}{
		"events":                     {events(3), 2, 4, nil, nil, "RSPPEEESPPEESS"},
		"batches":                    {batches(3), 2, 4, nil, nil, "RSPEESRPEESRR"},
		"a source that needs credit": {events(3), 2, 1, nil, credit, "RSPPEEESPPESBRESS"},
		"a state":                    {events(4), 2, 1, barrier, credit, "RSPPEEESPPEESBRESPEPSPES"},
		"a state of batches":         {batches(3), 2, 4, barrier, nil, "RSPEESRPSPEESRR"},
		"a generator that waits":     {watched, 0, 4, nil, nil, "RSPPEEPERESSPPEEPEESS"},
	}
	for name, c := range cases {
		talk := conversation{open: opening(nil, words, c.window), said: c.said, later: c.later}
		talk.open.Policy.Rows = c.rows
		if got := talk.looks(t, c.stage); got != c.want {
			t.Errorf("%s: %s instead of %s", name, got, c.want)
		}
	}
}
