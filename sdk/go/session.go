package modrun

import (
	"errors"
	"fmt"
	"io"
	"time"

	"modularruntime/modrun/internal/wire"
)

// session is one run of a stage over its socket and segments: who reads, who may send, where time goes.
//
//	socket ─▶ next ─▶ batch ─▶ handler ─▶ Output ─▶ room (waits for credit) ─▶ writer ─▶ socket
//	            ▲                                     │
//	            └───────────── queue ◀── pump ◀───────┘  frames that came while it waited
type session struct {
	open   wire.Open
	reader *wire.Reader
	writer *wire.Writer
	ledger ledger
	input  Schema
	output Schema

	inputMemory  []byte
	outputMemory []byte
	slots        *wire.Slots
	unacked      []sent // output batches without credit
	unackedBytes uint64
	seqIn        uint64
	seqOut       uint64

	queue   []queued // frames read while waiting for credit
	spare   [][]byte // room for more of them
	scratch []byte   // an inline payload, aligned
	inPlace bool     // the handler looks at a payload in the reader's buffer
	flushed time.Duration

	batch    Batch
	out      *Output
	failures failures
	progress func() (read, total uint64)
	stop     func() // ends Opening.Context
	done     bool   // `Done` was sent: nothing follows but credit and `Committed`
}

// sent is an output batch without credit.
type sent struct{ seq, bytes uint64 }

// queued is a frame that was read while waiting.
type queued struct {
	frame wire.Frame
	room  []byte
}

const (
	flushBytes = 32 << 10               // that wait to be written at most
	flushAfter = 200 * time.Microsecond // how long they wait at most while there is more to do
	scratchMax = 16 << 10               // bytes of an inline payload that is copied rather than lent in place
	tableRows  = 64 << 10               // of a table that is sent before its batch is done with
	tableBytes = 4 << 20                // the same
)

// next returns the next frame. What waits to be written is written before it sleeps.
func (s *session) next() (wire.Frame, error) {
	if len(s.queue) > 0 {
		first := s.queue[0]
		s.queue = append(s.queue[:0], s.queue[1:]...)
		s.spare = append(s.spare, first.room)
		return first.frame, nil
	}
	for {
		frame, ok, err := s.reader.Next()
		if ok || err != nil {
			return frame, err
		}
		n, err := s.reader.Fill(false)
		if err == nil && n == 0 {
			err = s.sleep(starved)
		}
		if err != nil {
			return wire.Frame{}, err
		}
	}
}

// sleep writes what waits to be written and waits until there is something to read.
func (s *session) sleep(as activity) error {
	if err := s.flush(); err != nil {
		return err
	}
	s.ledger.enter(as)
	_, err := s.reader.Fill(true)
	s.ledger.enter(receiving)
	s.reportSometimes(s.ledger.at())
	return err
}

func (s *session) flush() error {
	s.ledger.enter(sending)
	s.flushed = s.ledger.at()
	if s.writer.Pending() == 0 {
		return nil
	}
	return s.writer.Flush()
}

// reportSometimes reports about once a second, until all is done.
func (s *session) reportSometimes(now time.Duration) {
	if now-s.ledger.reported > activityEvery && !s.done {
		s.report()
	}
}

// report adds the account of the loop's time to what is written.
func (s *session) report() {
	activity := s.ledger.report()
	if s.progress != nil {
		activity.BytesRead, activity.BytesTotal = s.progress()
	}
	s.writer.Frame(activity.Encode(), nil)
}

// pump takes what there is, or waits for something: credits take effect at once, other frames are queued.
func (s *session) pump(wait bool) error {
	taken, err := s.sort()
	if taken > 0 || err != nil {
		return err
	}
	if s.inPlace {
		s.inPlace = false
		s.reader.Detach()
	}
	n, err := s.reader.Fill(false)
	if err == nil && n == 0 && wait {
		err = s.sleep(backpressured)
	}
	if err == nil {
		_, err = s.sort()
	}
	return err
}

// sort takes the frames that were read.
func (s *session) sort() (taken int, err error) {
	for ; ; taken++ {
		frame, ok, err := s.reader.Next()
		if !ok || err != nil {
			return taken, err
		}
		if wire.IsCredit(frame.Message) {
			err = s.credited(frame)
		} else {
			err = s.enqueue(frame)
		}
		if err != nil {
			return taken, err
		}
	}
}

// enqueue keeps a frame for later, unless it breaks a rule.
func (s *session) enqueue(frame wire.Frame) error {
	if !wire.IsBatch(frame.Message) {
		kind, _, err := wire.ParseTo(frame)
		if err == nil && kind <= wire.ToCredit {
			err = unexpected(kind)
		}
		if err != nil {
			return err
		}
	}
	var room []byte
	if last := len(s.spare) - 1; last >= 0 {
		room, s.spare = s.spare[last], s.spare[:last]
	}
	room = append(append(room[:0], frame.Message...), frame.Payload...)
	message := len(frame.Message)
	s.queue = append(s.queue, queued{wire.Frame{Message: room[:message:message], Payload: room[message:]}, room})
	return nil
}

// credited frees the slot and the place in the window of an output batch.
func (s *session) credited(frame wire.Frame) error {
	credit, err := wire.ParseCredit(frame)
	if err != nil {
		return err
	}
	for at := range s.unacked {
		if s.unacked[at].seq == credit.Seq {
			s.unackedBytes -= s.unacked[at].bytes
			s.unacked = append(s.unacked[:at], s.unacked[at+1:]...)
			s.slots.Free(credit.Seq)
			return nil
		}
	}
	return fmt.Errorf("%w: credit for batch %d, which has none to come", wire.ErrFrame, credit.Seq)
}

// allowed tells whether the window has room for one more batch.
func (s *session) allowed(bytes int) bool {
	return len(s.unacked) == 0 ||
		len(s.unacked) < int(s.open.WindowBatches) && s.unackedBytes+uint64(bytes) <= s.open.WindowBytes
}

// room waits until the window has room, announces a batch and returns the room for its payload, which must be written
// before anything else is sent.
func (s *session) room(bytes, rows, form int, input uint64) ([]byte, error) {
	batch := wire.Batch{Seq: s.seqOut, Offset: wire.None, Length: uint32(bytes), Rows: uint32(rows), Form: uint32(form),
		Input: input}
	inline := s.open.OutputSegment == 0 || uint64(bytes) <= s.open.InlineMax
	for {
		ok := s.allowed(bytes)
		if ok && !inline {
			batch.Offset, ok = s.slots.Take(bytes, batch.Seq)
		}
		if ok {
			break
		}
		if err := s.pump(true); err != nil {
			return nil, err
		}
	}
	s.ledger.enter(encoding)
	s.seqOut++
	s.unacked = append(s.unacked, sent{batch.Seq, uint64(bytes)})
	s.unackedBytes += uint64(bytes)
	if inline {
		return s.writer.Batch(batch, bytes), nil
	}
	s.writer.Batch(batch, 0)
	return s.outputMemory[batch.Offset : batch.Offset+uint64(bytes)], nil
}

// capacity returns how many bytes a payload may have.
func (s *session) capacity() int {
	return int(min(max(s.open.InlineMax, s.open.OutputSegment), wire.PayloadMax))
}

// take carries an input batch through the handler and gives credit for it.
func (s *session) take(h handler, frame wire.Frame) error {
	s.ledger.enter(decoding)
	batch, err := wire.ParseBatch(frame.Message)
	if err != nil {
		return err
	}
	if err := s.look(batch, frame.Payload); err != nil {
		return err
	}
	s.out.begin(&s.batch)
	s.failures.reset()
	s.ledger.enter(processing)
	filtered, err := h.process(s, &s.batch)
	if err == nil {
		err = s.emit(batch.Seq)
	}
	if err != nil && (stops(err) || h.role() == wire.Sink) {
		return err
	}
	events := int(batch.Rows)
	switch {
	case err != nil:
		filtered = 0
		s.failures.reset()
		for row := range events {
			s.failures.add(row, err)
		}
	case s.out.counted:
		events, filtered = s.out.events, s.out.filtered
	}
	for at := range s.failures.list {
		failed := &s.failures.list[at]
		failed.Input = batch.Seq
		s.writer.Frame(failed.Encode(), nil)
	}
	s.inPlace = false
	s.writer.Credit(wire.Credit{Seq: batch.Seq, Events: uint32(events), Filtered: uint32(filtered)})
	return s.pace()
}

// pace writes what has waited long enough while there is more to do.
func (s *session) pace() error {
	s.ledger.enter(receiving)
	now := s.ledger.at()
	s.reportSometimes(now)
	if now-s.flushed > flushAfter || s.writer.Pending() > flushBytes {
		return s.flush()
	}
	return nil
}

// stops tells whether an error ends the stage wherever it comes from.
func stops(err error) bool {
	return isFatal(err) || errors.Is(err, wire.ErrFrame) || errors.Is(err, wire.ErrSocket) || errors.Is(err, io.EOF)
}

// look makes s.batch show the rows of an input batch.
func (s *session) look(batch wire.Batch, payload []byte) error {
	if batch.Seq != s.seqIn {
		return fmt.Errorf("%w: batch %d came where %d was to come", wire.ErrFrame, batch.Seq, s.seqIn)
	}
	s.seqIn++
	if err := batch.Place(payload, s.open.InlineMax, s.open.InputSegment); err != nil {
		return err
	}
	switch {
	case batch.Form != wire.FormTable:
		return fmt.Errorf("%w: batch %d is no table", wire.ErrFrame, batch.Seq)
	case batch.Offset != wire.None:
		end := batch.Offset + uint64(batch.Length)
		payload = s.inputMemory[batch.Offset:end:end]
	case len(payload) <= scratchMax || !wire.Aligned(payload):
		s.scratch = wire.CopyAligned(s.scratch, payload)
		payload = s.scratch
	default:
		s.inPlace = true
	}
	if err := s.batch.bind(payload, s.input, batch.Seq); err != nil {
		return err
	}
	if s.batch.Rows() != int(batch.Rows) {
		return fmt.Errorf("%w: batch %d has %d rows, not %d", wire.ErrFrame, batch.Seq, s.batch.Rows(), batch.Rows)
	}
	return nil
}
