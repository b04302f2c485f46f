package modrun

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"modularruntime/modrun/internal/wire"
)

// Errors of handlers, as the messages that tell the runtime about them.

// Drop, returned by the function of Transform, drops the event on purpose: it is counted as filtered.
var Drop = errors.New("dropped on purpose")

// isDrop tells whether an error is Drop; most often it is Drop itself.
func isDrop(err error) bool { return err == Drop || errors.Is(err, Drop) }

// Fatal makes an error one of the stage: the run ends with it, whichever handler returned it.
func Fatal(err error) error { return &fatalError{err} }

type fatalError struct{ err error }

func (f *fatalError) Error() string { return f.err.Error() }
func (f *fatalError) Unwrap() error { return f.err }

func isFatal(err error) bool {
	var fatal *fatalError
	return errors.As(err, &fatal)
}

// invalid is an error that whoever wrote the pipeline or the stage's types has to mend.
type invalid struct{ err error }

func (i *invalid) Error() string { return i.err.Error() }
func (i *invalid) Unwrap() error { return i.err }

// panicked is what a handler's panic is turned into.
type panicked struct {
	value any
	trace string
}

func (p *panicked) Error() string { return fmt.Sprint(p.value) }

func (p *panicked) Unwrap() error {
	err, _ := p.value.(error)
	return err
}

// recovered turns the value of recover, called in the same function, into an error with the trace of the panic.
func recovered(value any) error {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	var trace strings.Builder
	for {
		frame, more := frames.Next()
		inside := strings.HasPrefix(frame.Function, packagePath+".") && !strings.HasSuffix(frame.File, "_test.go")
		if inside && trace.Len() > 0 {
			break
		}
		if !strings.HasPrefix(frame.Function, "runtime.") && !inside {
			fmt.Fprintf(&trace, "%s\n\t%s:%d\n", frame.Function, frame.File, frame.Line)
		}
		if !more {
			break
		}
	}
	return &panicked{value, trace.String()}
}

const packagePath = "modularruntime/modrun"

// describe returns an error as the message for the runtime.
func describe(err error) wire.Failed {
	failed := wire.Failed{Kind: wire.StageFailed, Message: err.Error(), Code: codeOf(err)}
	var p *panicked
	if errors.As(err, &p) {
		failed.Detail = p.trace
	}
	var i *invalid
	switch {
	case errors.Is(err, wire.ErrFrame):
		failed.Kind, failed.Code = wire.Internal, "protocol"
	case errors.As(err, &i):
		failed.Kind, failed.Code = wire.Invalid, "invalid"
	}
	return failed
}

// codeOf returns the class of an error: the type of the first one in its chain that says more than its text.
func codeOf(err error) string {
	code := "error"
	for err != nil {
		switch name := strings.TrimLeft(fmt.Sprintf("%T", err), "*"); name {
		case "errors.errorString", "fmt.wrapError", "modrun.fatalError":
		case "modrun.panicked":
			code = "panic"
		default:
			return name
		}
		err = errors.Unwrap(err)
	}
	return code
}

// failures are the rows of one batch that failed, those with equal words together.
type failures struct {
	list  []wire.Failed
	known map[[3]string]int
	rows  int
}

// failedRowsMax is how many rows one message names, so that it stays below the limit for messages.
const failedRowsMax = 100_000

func (f *failures) add(row int, err error) {
	f.rows++
	failed := describe(err)
	words := [3]string{failed.Code, failed.Message, failed.Detail}
	at, ok := f.known[words]
	if !ok || len(f.list[at].Rows) >= failedRowsMax {
		if f.known == nil {
			f.known = make(map[[3]string]int)
		}
		at = len(f.list)
		f.known[words] = at
		f.list = append(f.list, failed)
	}
	f.list[at].Rows = append(f.list[at].Rows, uint32(row))
}

// addText adds a line of the text of a row; each is a message of its own.
func (f *failures) addText(row int, offset, length uint64, err error) {
	f.rows++
	failed := describe(err)
	failed.Rows, failed.TextOffset, failed.TextLength = []uint32{uint32(row)}, offset, length
	f.list = append(f.list, failed)
}

func (f *failures) reset() {
	if f.rows > 0 {
		*f = failures{list: f.list[:0]}
	}
}
