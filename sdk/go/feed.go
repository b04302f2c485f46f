package modrun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// What carries the events of a source into batches.
//
//	generator ─yield─▶ outs ─tabulate─▶ Table ─due?─▶ link        the loop of the stage
//	                     └──────── watch, while the generator waits ──▶ link
//
// The two share everything under one mutex: whoever holds it is the loop, to the ledger as well.

// feed carries single events into batches. A watch sends what is held back while the generator waits for the next event.
type feed[Out any] struct {
	sourceState
	mu     sync.Mutex
	run    func(*feed[Out]) error
	rows   emittedEvents[Out]
	yields int
	err    error
}

func (h *feed[Out]) feed(s *session) error {
	h.begin(s)
	s.ledger.enter(processing)
	over := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		h.watch(over)
	}()
	err := h.call()
	close(over)
	<-watched
	if h.stopped && errors.Is(err, context.Canceled) {
		err = nil
	}
	if err = errors.Join(h.err, err); err == nil {
		err = h.flushAll()
	}
	if err == nil {
		err = h.answer()
	}
	return err
}

// call runs the generator.
func (h *feed[Out]) call() (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = recovered(value)
		}
	}()
	return h.run(h)
}

// yield takes an event; false if there should be no more.
func (h *feed[Out]) yield(out Out) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped || h.err != nil {
		return false
	}
	h.rows.outs = append(h.rows.outs, out)
	h.pending++
	h.yields++
	if h.pending == 1 {
		h.first = h.s.ledger.since()
	}
	if h.pending >= h.next || len(h.rows.outs) == chunkRows {
		h.err = h.decide()
		h.s.ledger.enter(processing)
	}
	if len(h.barriers) > 0 && h.err == nil {
		if h.err = h.flushAll(); h.err == nil {
			h.err = h.answer()
		}
		h.s.ledger.enter(processing)
	}
	return h.err == nil && !h.stopped
}

// decide sends the pending rows if they should leave now.
func (h *feed[Out]) decide() error {
	if h.policy.Rows == 0 {
		h.next = min(2*h.pending, adaptiveRows)
	}
	if err := h.tabulate(); err != nil {
		return err
	}
	h.s.ledger.enter(encoding)
	due, err := h.due(h.s.ledger.at())
	if err != nil || !due {
		return err
	}
	return h.send()
}

func (h *feed[Out]) tabulate() error {
	h.s.ledger.enter(encoding)
	w := &h.rows
	var failed error
	w.writer.check(w.outs, h.table, func(_ int, err error) { failed = err })
	if failed == nil {
		w.writer.append(w.outs, h.table)
		w.clear()
	}
	return failed
}

// flushAll sends all pending rows.
func (h *feed[Out]) flushAll() error {
	err := h.tabulate()
	if err == nil && h.pending > 0 {
		err = h.send()
	}
	return err
}

// watch looks after the link while the generator waits for its next event: it sends rows that were held back long enough,
// and hears the runtime.
func (h *feed[Out]) watch(over <-chan struct{}) {
	every := heldMax
	if linger := time.Duration(h.policy.LingerUs) * time.Microsecond; h.policy.Rows > 0 && linger > 0 {
		every = max(min(every, linger/2), 100*time.Microsecond)
	}
	ticks, stop := h.s.ledger.ticks(every)
	defer stop()
	for seen := -1; ; {
		select {
		case <-over:
			return
		case <-ticks:
			seen = h.look(seen)
		}
	}
}

// look is one look of the watch, which has seen so many events the last time; it returns how many it has seen now.
func (h *feed[Out]) look(seen int) int {
	if !h.mu.TryLock() {
		return seen
	}
	defer h.mu.Unlock()
	if h.err == nil && h.lingers(seen) {
		h.err = h.attend()
		if h.err != nil {
			h.stop()
		}
		h.s.ledger.enter(processing)
	}
	return h.yields
}

// lingers tells whether there is something for the watch to do: the generator has yielded nothing since the last tick, or
// rows have waited for as long as the policy says.
func (h *feed[Out]) lingers(seen int) bool {
	if h.policy.Rows > 0 && h.policy.LingerUs > 0 && h.pending > 0 {
		return true
	}
	return h.yields == seen
}

// attend does what the watch is for. It sends nothing that would have to wait for credit.
func (h *feed[Out]) attend() error {
	if err := h.tabulate(); err != nil {
		return err
	}
	if err := h.hear(); err != nil {
		return err
	}
	due := h.policy.Rows == 0
	if !due {
		var err error
		if due, err = h.due(h.s.ledger.since()); err != nil {
			return err
		}
	}
	if h.pending > 0 && due && h.s.allowed(h.table.bytes()+256*len(h.s.output)) {
		if err := h.send(); err != nil {
			return err
		}
	}
	return h.s.flush()
}

// batchFeed carries tables that a generator fills.
type batchFeed struct {
	sourceState
	generator BatchGenerator
}

func (h *batchFeed) feed(s *session) error {
	h.begin(s)
	ask := 1
	if h.policy.Rows == 0 {
		ask = 1 << 10
	}
	for !h.stopped {
		if h.policy.Rows > 0 {
			ask = h.policy.Rows - h.pending
		}
		s.ledger.enter(processing)
		before := s.ledger.at()
		err := h.call(ask)
		s.ledger.enter(encoding)
		now := s.ledger.at()
		over := errors.Is(err, io.EOF)
		if err != nil && !over {
			return err
		}
		if err := h.grew(ask, before); err != nil {
			return err
		}
		due := over || h.policy.Rows == 0
		if !due {
			if due, err = h.due(now); err != nil {
				return err
			}
		}
		if h.pending > 0 && due {
			if err := h.send(); err != nil {
				return err
			}
		}
		if err := h.between(); err != nil || over {
			return err
		}
		ask = h.adapt(ask, now-before)
	}
	return nil
}

// call asks the generator for rows.
func (h *batchFeed) call(ask int) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = recovered(value)
		}
	}()
	return h.generator.Next(h.table, ask)
}

// grew notes the rows that the generator appended.
func (h *batchFeed) grew(ask int, before time.Duration) error {
	if err := h.table.check(); err != nil {
		return err
	}
	added := h.table.Rows() - h.pending
	if added > ask {
		return fmt.Errorf("`Next` appended %d rows where at most %d were asked for", added, ask)
	}
	if h.pending == 0 {
		h.first = before
	}
	h.pending += added
	return nil
}

// between hears the runtime between two calls of the generator, and answers what it asked for.
func (h *batchFeed) between() error {
	if err := h.hear(); err != nil {
		return err
	}
	if len(h.barriers) == 0 {
		return nil
	}
	if h.pending > 0 {
		if err := h.send(); err != nil {
			return err
		}
	}
	return h.answer()
}

// adapt returns how many rows to ask for next: as many as the generator makes in a millisecond or two, more while the
// receiver is busy.
func (h *batchFeed) adapt(ask int, took time.Duration) int {
	switch {
	case took < adaptiveEvery || len(h.s.unacked) > 1 && took < 4*adaptiveEvery:
		return min(2*ask, adaptiveRows)
	case took > 2*adaptiveEvery:
		return max(ask/2, 1<<8)
	}
	return ask
}
