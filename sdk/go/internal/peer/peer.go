// Package peer stands in for the runtime in tests: it opens a stage over a socket pair and segments, sends it batches,
// takes what it emits, and gives credit.
//
//	batches ─▶ Peer ─frames─▶ stage
//	Result  ◀──────◀─frames──
//
// Guarantees: memory that was lent to the stage is overwritten as soon as the stage has given it back, so that a stage
// which still looks at it is found out; selections come out as the tables that they stand for.
//
// Refuses: what the protocol forbids a stage, as far as it notices: batches out of order, beyond the window, or outside of
// their segment.
//
// Neighbours: internal/wire has the bytes; modruntest and the benchmark drive stages with it.
package peer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"modularruntime/modrun/internal/wire"
)

// Setup is what the stage is opened with.
type Setup struct {
	Config  string
	State   []byte // nil: none
	Input   wire.Schema
	Output  wire.Schema
	Source  bool // it has no input
	Sink    bool // it has no output
	Policy  wire.Policy
	Window  uint32
	Inline  uint64
	Segment uint64 // bytes of each; 0: everything is inline
	Narrow  uint64 // bytes of the output segment, if it is smaller
	Discard bool   // forget what the stage emits, but for its rows
	Arrived func(rows int)
	// Stop returns when a source is to be told to stop.
	Stop func()
	// Snapshot asks for the state after the last batch.
	Snapshot bool
	// Commit tells a sink that the run has succeeded.
	Commit bool
}

// Table is a payload and the rows in it.
type Table struct {
	Payload []byte
	Rows    int
}

// Result is what came of it.
type Result struct {
	Ready    wire.Ready
	Output   wire.Schema
	Tables   []Table
	Rows     int
	Batches  int
	Failures []wire.Failed
	Filtered int
	State    []byte
	Done     wire.Done
	Activity wire.Activity
}

// Peer is the runtime's end of one stage.
type Peer struct {
	setup      Setup
	socket     int
	reader     *wire.Reader
	writer     *wire.Writer
	input      []byte
	output     []byte
	slots      *wire.Slots
	lent       []slot // input batches without credit
	seqIn      uint64
	seqOut     uint64
	batches    []Table // that were sent, by seq
	inFlight   uint64
	result     Result
	done       bool
	committed  bool
	snapshots  bool
	failure    *wire.Failed
	inputTable wire.Table
}

type slot struct{ from, to uint64 }

const poison = 0xEE

// Descriptors are the stage's ends of what it shares with the peer.
type Descriptors struct{ Socket, Input, Output *os.File }

// New makes the socket and the segments.
func New(setup Setup) (*Peer, Descriptors, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, Descriptors{}, err
	}
	p := &Peer{setup: setup, socket: fds[0], reader: wire.NewReader(fds[0]), writer: wire.NewWriter(fds[0])}
	p.reader.AllowInline(setup.Inline)
	p.slots = wire.NewSlots(setup.Segment)
	if p.setup.Narrow == 0 {
		p.setup.Narrow = setup.Segment
	}
	d := Descriptors{Socket: os.NewFile(uintptr(fds[1]), "socket")}
	if d.Input, p.input, err = segment(setup.Segment); err == nil {
		d.Output, p.output, err = segment(p.setup.Narrow)
	}
	return p, d, err
}

// segment makes a nameless file of so many bytes and maps it.
func segment(size uint64) (*os.File, []byte, error) {
	folder := "/dev/shm"
	if _, err := os.Stat(folder); err != nil {
		folder = ""
	}
	file, err := os.CreateTemp(folder, "segment")
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(os.Remove(file.Name()), file.Truncate(int64(size))); err != nil {
		return nil, nil, err
	}
	memory, err := wire.Map(int(file.Fd()), size, true)
	return file, memory, err
}

// Run opens the stage, sends it the batches, ends it and returns what came of it. An error is the stage's failure or a
// breach of the protocol.
func (p *Peer) Run(batches []Table) (Result, error) {
	err := p.run(batches)
	if err == nil && p.failure != nil || errors.Is(err, io.EOF) && p.failure != nil {
		err = fmt.Errorf("the stage failed: %s", p.failure.Message)
	}
	return p.result, err
}

// Failure returns why the stage failed, if it did.
func (p *Peer) Failure() *wire.Failed { return p.failure }

func (p *Peer) run(batches []Table) error {
	if err := p.open(); err != nil {
		return err
	}
	for _, batch := range batches {
		if err := p.send(batch); err != nil {
			return err
		}
	}
	if p.setup.Snapshot && p.setup.Stop == nil {
		p.writer.Frame(wire.EncodeTo(wire.ToBarrier, 1), nil)
		if err := p.until(func() bool { return p.snapshots || p.done }); err != nil {
			return err
		}
	}
	if p.setup.Stop != nil {
		if err := p.writer.Flush(); err != nil {
			return err
		}
		p.setup.Stop()
	}
	if !p.setup.Source || p.setup.Stop != nil {
		p.writer.Frame(wire.EncodeTo(wire.ToEnd, 0), nil)
	}
	if err := p.until(func() bool { return p.done }); err != nil {
		return err
	}
	if p.setup.Commit {
		p.writer.Frame(wire.EncodeTo(wire.ToCommit, 0), nil)
		return p.until(func() bool { return p.committed })
	}
	return nil
}

// Close ends the socket, by which the stage knows that it may exit.
func (p *Peer) Close() {
	_ = syscall.Shutdown(p.socket, syscall.SHUT_RDWR) // the other end may be gone already
	_ = syscall.Close(p.socket)
	wire.Unmap(p.input)
	wire.Unmap(p.output)
}

func (p *Peer) open() error {
	s := p.setup
	open := wire.Open{Protocol: wire.Version, Generation: 1, Stage: "stage", Config: s.Config, Input: s.Input,
		HasInput: !s.Source, Output: s.Output, HasOutput: !s.Sink, WindowBatches: s.Window, WindowBytes: 1 << 40,
		InlineMax: s.Inline, InputSegment: s.Segment, OutputSegment: s.Narrow, Policy: s.Policy, Replicas: 1}
	if s.State != nil {
		open.StateChunks = uint32(max(1, (len(s.State)+wire.StatePayloadMax-1)/wire.StatePayloadMax))
	}
	p.writer.Frame(open.Encode(), nil)
	rest := s.State
	for index := range open.StateChunks {
		chunk := rest[:min(len(rest), wire.StatePayloadMax)]
		rest = rest[len(chunk):]
		p.writer.Frame(wire.EncodeTo(wire.ToState, uint64(index)), chunk)
	}
	p.result.Output = s.Output
	return p.until(func() bool { return p.result.Ready.Role != 0 })
}

// send lends a batch to the stage, once the window has room.
func (p *Peer) send(batch Table) error {
	for {
		message := wire.Batch{Seq: p.seqIn, Offset: wire.None, Length: uint32(len(batch.Payload)), Rows: uint32(batch.Rows),
			Input: wire.None}
		ok := p.inFlight < uint64(p.setup.Window)
		inline := uint64(len(batch.Payload)) <= p.setup.Inline
		if ok && !inline {
			message.Offset, ok = p.slots.Take(len(batch.Payload), p.seqIn)
		}
		if !ok {
			if p.inFlight == 0 {
				return fmt.Errorf("a batch of %d bytes does not fit into the segment", len(batch.Payload))
			}
			if err := p.take(); err != nil {
				return err
			}
			continue
		}
		if inline {
			copy(p.writer.Batch(message, len(batch.Payload)), batch.Payload)
			p.lent = append(p.lent, slot{})
		} else {
			copy(p.input[message.Offset:], batch.Payload)
			p.writer.Batch(message, 0)
			p.lent = append(p.lent, slot{message.Offset, message.Offset + uint64(len(batch.Payload))})
		}
		p.batches = append(p.batches, batch)
		p.seqIn++
		p.inFlight++
		return nil
	}
}

func (p *Peer) until(reached func() bool) error {
	for !reached() {
		if err := p.take(); err != nil {
			return err
		}
	}
	return nil
}

// take handles all messages that are there, after waiting for one.
func (p *Peer) take() error {
	for handled := 0; ; handled++ {
		frame, ok, err := p.reader.Next()
		if err != nil {
			return err
		}
		if ok {
			if err := p.handle(frame); err != nil {
				return err
			}
			continue
		}
		if handled > 0 {
			return nil
		}
		if err := p.writer.Flush(); err != nil && !errors.Is(err, wire.ErrSocket) {
			return err
		}
		if _, err := p.reader.Fill(true); err != nil {
			return err
		}
	}
}

func (p *Peer) handle(frame wire.Frame) error {
	kind, body, err := wire.ParseFrom(frame)
	if err != nil {
		return err
	}
	switch kind {
	case wire.FromReady:
		p.result.Ready, err = wire.ParseReady(body)
		if p.result.Ready.HasOutput {
			p.result.Output = p.result.Ready.Output
		}
	case wire.FromBatch:
		err = p.emitted(frame)
	case wire.FromCredit:
		err = p.credited(frame)
	case wire.FromState:
		p.result.State = append(p.result.State, frame.Payload...)
		if p.result.State == nil {
			p.result.State = []byte{}
		}
	case wire.FromSnapshot:
		p.snapshots = true
	case wire.FromFailed:
		var failed wire.Failed
		if failed, err = wire.ParseFailed(body); len(failed.Rows) == 0 {
			p.failure = &failed
		} else {
			p.result.Failures = append(p.result.Failures, failed)
		}
	case wire.FromActivity:
		p.result.Activity, err = wire.ParseActivity(body)
	case wire.FromDone:
		p.result.Done, err = wire.ParseDone(body)
		p.done = true
	case wire.FromCommitted:
		p.committed = true
	}
	return err
}

// credited takes back what was lent with an input batch.
func (p *Peer) credited(frame wire.Frame) error {
	credit, err := wire.ParseCredit(frame)
	if err != nil {
		return err
	}
	if want := p.seqIn - p.inFlight; credit.Seq != want || p.inFlight == 0 {
		return fmt.Errorf("credit for batch %d where %d was to come", credit.Seq, want)
	}
	lent := p.lent[credit.Seq]
	fill(p.input[lent.from:lent.to])
	p.slots.Free(credit.Seq)
	p.inFlight--
	p.result.Filtered += int(credit.Filtered)
	return nil
}

func fill(memory []byte) {
	for at := range memory {
		memory[at] = poison
	}
}

// emitted takes a batch of the stage's.
func (p *Peer) emitted(frame wire.Frame) error {
	batch, err := wire.ParseBatch(frame.Message)
	if err == nil {
		err = batch.Place(frame.Payload, p.setup.Inline, p.setup.Narrow)
	}
	if err != nil {
		return err
	}
	if batch.Seq != p.seqOut {
		return fmt.Errorf("batch %d came where %d was to come", batch.Seq, p.seqOut)
	}
	p.seqOut++
	p.result.Batches++
	p.result.Rows += int(batch.Rows)
	payload := frame.Payload
	if batch.Offset != wire.None {
		payload = p.output[batch.Offset : batch.Offset+uint64(batch.Length)]
	}
	if !p.setup.Discard {
		table, err := p.table(batch, payload)
		if err != nil {
			return err
		}
		p.result.Tables = append(p.result.Tables, table)
		if batch.Offset != wire.None {
			fill(payload)
		}
	}
	if p.setup.Arrived != nil {
		p.setup.Arrived(int(batch.Rows))
	}
	p.writer.Credit(wire.Credit{Seq: batch.Seq})
	return nil
}

// table copies a batch, and makes a selection the table that it stands for.
func (p *Peer) table(batch wire.Batch, payload []byte) (Table, error) {
	if batch.Form == wire.FormTable {
		return Table{bytes.Clone(payload), int(batch.Rows)}, nil
	}
	if batch.Input >= uint64(len(p.batches)) {
		return Table{}, fmt.Errorf("a selection from batch %d, which was not sent", batch.Input)
	}
	input := p.batches[batch.Input]
	if len(payload) != wire.BitmapBytes(input.Rows) {
		return Table{}, fmt.Errorf("a selection of %d bytes from %d rows", len(payload), input.Rows)
	}
	if err := p.inputTable.Decode(wire.CopyAligned(nil, input.Payload), p.setup.Input); err != nil {
		return Table{}, err
	}
	columns := make([]wire.Builder, len(p.setup.Input))
	kept := 0
	for at := range columns {
		columns[at].Field = p.setup.Input[at]
		columns[at].Reset()
	}
	for row := range input.Rows {
		if !wire.Bit(payload, row) {
			continue
		}
		kept++
		for at := range columns {
			columns[at].AppendRow(&p.inputTable.Columns[at], row)
		}
	}
	if kept != int(batch.Rows) {
		return Table{}, fmt.Errorf("a selection of %d rows has %d bits", batch.Rows, kept)
	}
	table := Table{make([]byte, wire.PayloadSize(columns, 0, kept)), kept}
	wire.WritePayload(table.Payload, columns, 0, kept)
	return table, nil
}
