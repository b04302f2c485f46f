package modrun

import (
	"syscall"
	"time"

	"modularruntime/modrun/internal/wire"
)

// activity is what the loop of a stage does at a moment, by the place of its sum in wire.Activity.
type activity int

const (
	receiving activity = iota
	decoding
	processing
	encoding
	sending
	starved
	backpressured
)

// activityEvery is how often a stage that works reports where its time went.
const activityEvery = time.Second

// ledger is the account of the loop's time: at every moment it is in exactly one activity.
type ledger struct {
	start    time.Time
	last     time.Duration // since start, when the activity began
	reported time.Duration
	now      activity
	spent    [7]time.Duration
	cpu      uint64               // of the process at the start
	off      bool                 // no account is wanted: no clock is read for it, and all sums stay 0
	clock    func() time.Duration // stands for the time since the start, in tests
}

// open begins the account.
func (l *ledger) open(off bool) {
	*l = ledger{start: time.Now(), now: receiving, cpu: processTime(), off: off, clock: l.clock}
}

// enter ends the activity before and begins another one.
func (l *ledger) enter(next activity) {
	if l.off {
		return
	}
	now := l.since()
	l.spent[l.now] += now - l.last
	l.last, l.now = now, next
}

// at returns the time since the start, as it was when the activity began: a moment ago.
func (l *ledger) at() time.Duration {
	if l.off {
		return l.since()
	}
	return l.last
}

// since returns the time since the start.
func (l *ledger) since() time.Duration {
	if l.clock != nil {
		return l.clock()
	}
	return time.Since(l.start)
}

// ticks returns what tells, every so often, that time has passed, and what ends that. The time of a test does not pass by
// itself.
func (l *ledger) ticks(every time.Duration) (ticks <-chan time.Time, stop func()) {
	if l.clock != nil {
		return nil, func() {}
	}
	ticker := time.NewTicker(every)
	return ticker.C, ticker.Stop
}

// report returns the account so far.
func (l *ledger) report() wire.Activity {
	l.enter(l.now)
	l.reported = l.at()
	var a wire.Activity
	for at, spent := range l.spent {
		a.Spent[at] = uint64(spent)
	}
	a.CPU = processTime() - l.cpu
	return a
}

// processTime returns the CPU time of the process in nanoseconds.
func processTime() uint64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return uint64(usage.Utime.Nano() + usage.Stime.Nano())
}
