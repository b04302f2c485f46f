package modrun

import (
	"errors"
	"io"
	"time"

	"modularruntime/modrun/internal/wire"
)

// Generator is a source of events. It may also be a Snapshotter and a Progress.
type Generator[Out any] interface {
	// Next returns the next event, or the error io.EOF if there are no more. Any other error ends the run. A snapshot is
	// taken between two calls: it must say where the next call goes on.
	Next() (Out, error)
}

// BatchGenerator is a source of batches. It may also be a Snapshotter and a Progress.
type BatchGenerator interface {
	// Next appends up to so many rows to the table; fewer if more would have to be waited for. It returns the error io.EOF if
	// there are no more. Any other error ends the run.
	Next(table *Table, rows int) error
}

// Progress is what a source also is if it knows how far it has come.
type Progress interface {
	// Progress returns how many bytes were read, and how many there are: 0 if that is unknown.
	Progress() (read, total uint64)
}

// Source returns a stage that emits events: generate calls yield for each, and returns when there are no more or yield
// returned false. An error ends the run.
func Source[Out any](generate func(yield func(Out) bool) error) Stage {
	return newSource(nil, func(f *feed[Out]) error { return generate(f.yield) })
}

// StatefulSource returns a stage that emits the events of a Generator.
func StatefulSource[Out any](g Generator[Out]) Stage {
	return newSource(g, func(f *feed[Out]) error {
		for {
			out, err := g.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil || !f.yield(out) {
				return err
			}
		}
	})
}

// SourceBatch returns a stage that emits the rows that a function appends to tables; see BatchGenerator.
func SourceBatch(next func(table *Table, rows int) error) Stage {
	return StatefulSourceBatch(batchNext(next))
}

type batchNext func(table *Table, rows int) error

func (f batchNext) Next(table *Table, rows int) error { return f(table, rows) }

// StatefulSourceBatch returns a stage that emits the rows of a BatchGenerator.
func StatefulSourceBatch(g BatchGenerator) Stage {
	return Stage{role: wire.Source, concurrency: wire.Ordered, bind: func(b *binding) (handler, error) {
		h := &batchFeed{sourceState: newSourceState(g, b), generator: g}
		return h, checkSnapshot(g)
	}}
}

func newSource[Out any](generator any, run func(*feed[Out]) error) Stage {
	return Stage{role: wire.Source, concurrency: wire.Ordered, bind: func(b *binding) (handler, error) {
		writer, err := newRowWriter[Out](b)
		if err != nil {
			return nil, err
		}
		h := &feed[Out]{sourceState: newSourceState(generator, b), run: run}
		h.rows.writer = writer
		if generator != nil {
			err = checkSnapshot(generator)
		}
		return h, err
	}}
}

// Bounds of adaptive batches.
const (
	adaptiveRows  = 32 << 10
	adaptiveBytes = 2 << 20
	adaptiveEvery = time.Millisecond     // between two batches to an idle receiver, so that each is worth sending
	heldMax       = 5 * time.Millisecond // that events wait for the next one before they leave without it
)

// source is a handler that feeds a link.
type source interface {
	handler
	feed(s *session) error
}

// sourceState is what all sources have: the table that grows, and when it leaves.
type sourceState struct {
	generator any
	policy    Policy
	stop      func()
	s         *session
	table     *Table
	pending   int           // rows that wait to leave
	next      int           // at how many of them to decide
	heard     time.Duration // when what the runtime sent was last looked at
	first     time.Duration // when the first of them came
	sent      time.Duration // when the batch before left
	stopped   bool
	barriers  []uint64
}

func newSourceState(generator any, b *binding) sourceState {
	return sourceState{generator: generator, policy: b.policy, stop: b.stop}
}

func (h *sourceState) role() wire.Role                       { return wire.Source }
func (h *sourceState) finish(*session) error                 { return nil }
func (h *sourceState) process(*session, *Batch) (int, error) { return 0, errors.ErrUnsupported }
func (h *sourceState) snapshot() ([]byte, error)             { return snapshotOf(h.generator) }

func (h *sourceState) begin(s *session) {
	h.s, h.table, h.next = s, newTable(s.output), h.firstDecision()
	if p, ok := h.generator.(Progress); ok {
		s.progress = p.Progress
	}
}

func (h *sourceState) firstDecision() int {
	if h.policy.Rows > 0 {
		return h.policy.Rows
	}
	return 1
}

// due tells whether the pending rows should leave now.
func (h *sourceState) due(now time.Duration) (bool, error) {
	if h.policy.Rows > 0 {
		var err error
		if now-h.heard > heldMax {
			err = h.hear()
		}
		linger := time.Duration(h.policy.LingerUs) * time.Microsecond
		return h.pending >= h.policy.Rows || linger > 0 && now-h.first >= linger, err
	}
	if h.pending >= adaptiveRows || h.table.bytes() >= adaptiveBytes {
		return true, nil
	}
	if now-h.sent < adaptiveEvery {
		return false, nil
	}
	err := h.hear()
	return len(h.s.unacked) == 0, err
}

// send sends the pending rows, which are in the table.
func (h *sourceState) send() error {
	err := h.s.sendTable(h.table, wire.None)
	h.table.reset()
	h.pending, h.next = 0, h.firstDecision()
	h.s.ledger.enter(sending)
	h.sent = h.s.ledger.at()
	h.s.reportSometimes(h.sent)
	if err == nil && (h.sent-h.s.flushed > flushAfter || h.s.writer.Pending() > flushBytes) {
		if err = h.s.flush(); err == nil {
			err = h.hear()
		}
	}
	if err == nil {
		err = h.obey() // what came while it waited for credit
	}
	return err
}

// hear takes what the runtime has sent.
func (h *sourceState) hear() error {
	h.s.ledger.enter(receiving)
	h.heard = h.s.ledger.at()
	if err := h.s.pump(false); err != nil {
		return err
	}
	return h.obey()
}

// obey notes what the queued frames ask for.
func (h *sourceState) obey() error {
	for len(h.s.queue) > 0 {
		frame, err := h.s.next()
		if err != nil {
			return err
		}
		kind, body, err := wire.ParseTo(frame)
		if err != nil {
			return err
		}
		switch kind {
		case wire.ToEnd:
			h.stopped = true
			h.stop()
		case wire.ToBarrier:
			epoch, err := wire.ParseNumber(body)
			if err != nil {
				return err
			}
			h.barriers = append(h.barriers, epoch)
		default:
			return unexpected(kind)
		}
	}
	return nil
}

// answer sends snapshots for the barriers that came; all rows before them must have been sent.
func (h *sourceState) answer() error {
	for _, epoch := range h.barriers {
		if err := h.s.answer(h, epoch); err != nil {
			return err
		}
	}
	h.barriers = h.barriers[:0]
	return h.s.flush()
}
