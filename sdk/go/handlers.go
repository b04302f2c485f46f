package modrun

import (
	"errors"

	"modularruntime/modrun/internal/wire"
)

// What runs per-event functions and batch functions over the batches of a session.
//
//	batch ─▶ 512 rows ─read─▶ structs or Events ─function─▶ outs ─settle─▶ Table ─▶ Output
//	                                                 └──── as they came ─▶ Selection ─┘
//
// A panic is caught outside of the loop over events and the loop is entered again behind the event that caused it, so that
// catching costs nothing while nothing happens.

const (
	chunkRows   = 512  // shown to a per-event handler at a time, so that they stay in the cache
	emittedRows = 4096 // that a per-event handler emitted, before they are put into a table
)

// filterEvents runs the function of Filter.
type filterEvents[In any] struct {
	keep      func(In) bool
	reader    *rowReader[In]
	ins       []In
	selection Selection
}

func (h *filterEvents[In]) role() wire.Role           { return wire.Transform }
func (h *filterEvents[In]) finish(*session) error     { return nil }
func (h *filterEvents[In]) snapshot() ([]byte, error) { return nil, nil }

func (h *filterEvents[In]) process(s *session, in *Batch) (filtered int, err error) {
	h.selection.reset(in.Rows())
	for from := 0; from < in.Rows() && err == nil; from += chunkRows {
		ins := h.ins[:min(chunkRows, in.Rows()-from)]
		s.ledger.enter(decoding)
		h.reader.read(ins, in, from)
		s.ledger.enter(processing)
		for at := 0; at < len(ins) && err == nil; {
			at, err = h.run(s, ins, from, at)
		}
	}
	s.out.emitted = append(s.out.emitted, emission{selection: &h.selection})
	return in.Rows() - h.selection.Count() - s.failures.rows, err
}

// run calls the function for events from … on; a panic costs one of them, and the next is returned.
func (h *filterEvents[In]) run(s *session, ins []In, from, at int) (next int, err error) {
	defer func() {
		if value := recover(); value != nil {
			next, err = at+1, s.failed(from+at, recovered(value))
		}
	}()
	for ; at < len(ins); at++ {
		h.selection.KeepIf(from+at, h.keep(ins[at]))
	}
	return at, nil
}

// failed notes that an event failed, unless the error is one of the stage.
func (s *session) failed(row int, err error) error {
	if isFatal(err) {
		return err
	}
	s.failures.add(row, err)
	return nil
}

// emittedEvents are events that a per-event handler returned, and the rows that caused them.
type emittedEvents[Out any] struct {
	writer  *rowWriter[Out]
	outs    []Out
	origins []uint32
}

func (e *emittedEvents[Out]) clear() { e.outs, e.origins = e.outs[:0], e.origins[:0] }

// settle moves the events into a table; those that cannot be are failures of their rows.
func (e *emittedEvents[Out]) settle(s *session, t *Table, input uint64) error {
	var bad []bool
	var err error
	e.writer.check(e.outs, t, func(at int, cause error) {
		if len(e.origins) == 0 {
			err = cause
			return
		}
		if bad == nil {
			bad = make([]bool, len(e.outs))
		}
		if !bad[at] {
			bad[at], err = true, errors.Join(err, s.failed(int(e.origins[at]), cause))
		}
	})
	if err != nil {
		return err
	}
	if bad != nil {
		good := 0
		for at := range bad {
			if !bad[at] {
				e.outs[good], e.origins[good] = e.outs[at], e.origins[at]
				good++
			}
		}
		e.outs, e.origins = e.outs[:good], e.origins[:good]
	}
	e.writer.append(e.outs, t)
	t.origins = append(t.origins, e.origins...)
	e.clear()
	return s.settle(t, input)
}

// transformEvents runs the function of Transform. As long as events go out as they came in, it only notes which.
type transformEvents[In, Out any] struct {
	transform func(In) (Out, error)
	reader    *rowReader[In]
	same      sameRows[In, Out]
	ins       []In
	rows      emittedEvents[Out]
	selection Selection
	dropped   int
}

func (h *transformEvents[In, Out]) role() wire.Role           { return wire.Transform }
func (h *transformEvents[In, Out]) finish(*session) error     { return nil }
func (h *transformEvents[In, Out]) snapshot() ([]byte, error) { return nil, nil }

func (h *transformEvents[In, Out]) process(s *session, in *Batch) (filtered int, err error) {
	h.dropped = 0
	var table *Table
	if h.same.possible {
		h.selection.reset(in.Rows())
	} else {
		table = s.out.Table()
	}
	for from := 0; from < in.Rows(); from += chunkRows {
		ins := h.ins[:min(chunkRows, in.Rows()-from)]
		s.ledger.enter(decoding)
		h.reader.read(ins, in, from)
		s.ledger.enter(processing)
		for at := 0; at < len(ins) && err == nil; {
			at, err = h.run(s, ins, from, at)
		}
		if err != nil {
			return 0, err
		}
		s.ledger.enter(encoding)
		if table == nil && h.same.equal(in, from, ins, h.rows.outs, h.rows.origins) {
			for _, row := range h.rows.origins {
				h.selection.Keep(int(row))
			}
			h.rows.clear()
			continue
		}
		if table == nil {
			table = s.out.Table()
			h.selection.each(func(row int) {
				table.appendRow(in, s.out.columns, row)
				table.origins = append(table.origins, uint32(row))
			})
		}
		if err = h.rows.settle(s, table, in.seq); err != nil {
			return 0, err
		}
	}
	if table == nil {
		s.out.emitted = append(s.out.emitted, emission{selection: &h.selection})
	}
	return h.dropped, nil
}

// run calls the function for events from … on; a panic costs one of them, and the next is returned.
func (h *transformEvents[In, Out]) run(s *session, ins []In, from, at int) (next int, err error) {
	defer func() {
		if value := recover(); value != nil {
			next, err = at+1, s.failed(from+at, recovered(value))
		}
	}()
	for ; at < len(ins); at++ {
		out, err := h.transform(ins[at])
		if err == nil {
			h.rows.outs = append(h.rows.outs, out)
			h.rows.origins = append(h.rows.origins, uint32(from+at))
		} else if isDrop(err) {
			h.dropped++
		} else if err = s.failed(from+at, err); err != nil {
			return at, err
		}
	}
	return at, nil
}

// expandEvents runs a Processor.
type expandEvents[In, Out any] struct {
	processor Processor[In, Out]
	stateful  bool
	reader    *rowReader[In]
	ins       []In
	rows      emittedEvents[Out]
	dropped   int
}

func (h *expandEvents[In, Out]) role() wire.Role           { return wire.Transform }
func (h *expandEvents[In, Out]) snapshot() ([]byte, error) { return snapshotOf(h.processor) }

func (h *expandEvents[In, Out]) emit(out Out) { h.rows.outs = append(h.rows.outs, out) }

func (h *expandEvents[In, Out]) process(s *session, in *Batch) (filtered int, err error) {
	h.dropped = 0
	table := s.out.Table()
	for from := 0; from < in.Rows(); from += chunkRows {
		ins := h.ins[:min(chunkRows, in.Rows()-from)]
		s.ledger.enter(decoding)
		h.reader.read(ins, in, from)
		for at := 0; at < len(ins); {
			s.ledger.enter(processing)
			if at, err = h.run(s, ins, from, at); err != nil {
				return 0, err
			}
			s.ledger.enter(encoding)
			if err = h.rows.settle(s, table, in.seq); err != nil {
				return 0, err
			}
		}
	}
	if h.stateful {
		h.dropped = 0
	}
	return h.dropped, nil
}

// run processes events from … on, until there is much to put into a table; a panic costs one of them. The next is
// returned.
func (h *expandEvents[In, Out]) run(s *session, ins []In, from, at int) (next int, err error) {
	mark := len(h.rows.outs)
	defer func() {
		if value := recover(); value != nil {
			h.rows.outs = h.rows.outs[:mark]
			next, err = at+1, s.failed(from+at, recovered(value))
		}
	}()
	emit := h.emit
	for ; at < len(ins) && mark < emittedRows; at++ {
		err := h.processor.Process(ins[at], emit)
		if err == nil && len(h.rows.outs) > mark {
			for ; mark < len(h.rows.outs); mark++ {
				h.rows.origins = append(h.rows.origins, uint32(from+at))
			}
			continue
		}
		h.rows.outs = h.rows.outs[:mark]
		if err == nil || isDrop(err) {
			h.dropped++
		} else if err = s.failed(from+at, err); err != nil {
			return at, err
		}
	}
	return at, nil
}

func (h *expandEvents[In, Out]) finish(s *session) error {
	finisher, ok := h.processor.(Finisher[Out])
	if !ok {
		return nil
	}
	table := s.out.Table()
	var failed error
	err := finisher.Finish(func(out Out) {
		if failed != nil {
			return
		}
		h.emit(out)
		if len(h.rows.outs) >= emittedRows {
			failed = h.rows.settle(s, table, wire.None)
		}
	})
	if err == nil && failed == nil {
		failed = h.rows.settle(s, table, wire.None)
	}
	return errors.Join(err, failed)
}

// batchTransform runs a BatchProcessor.
type batchTransform struct {
	processor BatchProcessor
	stateful  bool
}

func (h *batchTransform) role() wire.Role           { return wire.Transform }
func (h *batchTransform) snapshot() ([]byte, error) { return snapshotOf(h.processor) }

func (h *batchTransform) process(s *session, in *Batch) (filtered int, err error) {
	defer func() {
		if value := recover(); value != nil {
			filtered, err = 0, recovered(value)
		}
	}()
	if err = h.processor.Process(in, s.out); err != nil || h.stateful {
		return 0, err
	}
	switch emitted := s.out.emitted; {
	case len(emitted) == 0:
		return in.Rows() - s.failures.rows, nil
	case len(emitted) == 1 && emitted[0].selection != nil:
		return in.Rows() - emitted[0].selection.Count() - s.failures.rows, nil
	}
	return 0, nil
}

func (h *batchTransform) finish(s *session) error {
	if finisher, ok := h.processor.(BatchFinisher); ok {
		return finisher.Finish(s.out)
	}
	return nil
}
