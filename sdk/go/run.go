package modrun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"modularruntime/modrun/internal/wire"
)

// sdk is how the SDK names itself to the runtime.
const sdk = "go 0.1.0"

// Run runs the program as a stage and exits. It is the only call that main needs. Started by hand, the program says that it
// is a stage and exits with 2.
func Run(stage Stage) {
	descriptors, err := parseDescriptors(os.Getenv("MODRUN_STAGE"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, fd := range descriptors {
		syscall.CloseOnExec(fd)
	}
	routeLogs(os.Stderr)
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(2) // the stage's loop, and the collector beside it
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // what lives is little
	}
	runtime.LockOSThread()
	os.Exit(Serve(stage, descriptors[0], descriptors[1], descriptors[2]))
}

// parseDescriptors reads `socket=N,input=N,output=N`.
func parseDescriptors(text string) (descriptors [3]int, err error) {
	if text == "" {
		return descriptors, errors.New("this program is a stage of a pipeline: `modrun run` starts it")
	}
	found := 0
	for _, part := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		for at, known := range []string{"socket", "input", "output"} {
			if name != known {
				continue
			}
			if descriptors[at], err = strconv.Atoi(value); err != nil {
				return descriptors, fmt.Errorf("`MODRUN_STAGE` is `%s`, in which `%s` is no descriptor: let `modrun run` start "+
					"the stage", text, value)
			}
			found++
		}
	}
	if found != len(descriptors) {
		return descriptors, fmt.Errorf("`MODRUN_STAGE` is `%s`, not `socket=N,input=N,output=N`: let `modrun run` start the stage",
			text)
	}
	return descriptors, nil
}

// Serve runs a stage over inherited descriptors until their other end closes, and returns the exit code of the process.
func Serve(stage Stage, socket, input, output int) int {
	s := &session{reader: wire.NewReader(socket), writer: wire.NewWriter(socket)}
	s.ledger.open(false)
	h, err := s.start(stage, input, output)
	defer func() {
		if s.stop != nil {
			s.stop()
		}
		wire.Unmap(s.inputMemory)
		wire.Unmap(s.outputMemory)
	}()
	if err == nil {
		err = s.work(h)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, io.EOF), errors.Is(err, wire.ErrSocket):
		return 1
	}
	failed := describe(err)
	s.writer.Frame(failed.Encode(), nil)
	if err := s.writer.Flush(); err != nil {
		slog.Error("cannot tell the runtime why the stage failed", "failure", failed.Message, "error", err)
	}
	return 1
}

// start opens the stage and tells the runtime that it is ready.
func (s *session) start(stage Stage, input, output int) (handler, error) {
	frame, err := s.next()
	if err != nil {
		return nil, err
	}
	kind, body, err := wire.ParseTo(frame)
	if err != nil {
		return nil, err
	}
	if kind != wire.ToOpen {
		return nil, unexpected(kind)
	}
	if s.open, err = wire.ParseOpen(body); err != nil {
		return nil, err
	}
	if s.open.Protocol != wire.Version {
		return nil, &invalid{fmt.Errorf("the runtime speaks version %d of the stage protocol, this stage version %d: build it "+
			"with the SDK of the runtime", s.open.Protocol, wire.Version)}
	}
	s.reader.AllowInline(s.open.InlineMax)
	if s.inputMemory, err = wire.Map(input, s.open.InputSegment, false); err != nil {
		return nil, err
	}
	if s.outputMemory, err = wire.Map(output, s.open.OutputSegment, true); err != nil {
		return nil, err
	}
	s.slots = wire.NewSlots(s.open.OutputSegment)
	state, err := s.restored()
	if err != nil {
		return nil, err
	}
	return s.ready(stage, state)
}

// restored reads the state that the stage goes on from.
func (s *session) restored() (state []byte, err error) {
	for index := range s.open.StateChunks {
		frame, err := s.next()
		if err != nil {
			return nil, err
		}
		kind, body, err := wire.ParseTo(frame)
		if err != nil {
			return nil, err
		}
		if at, err := wire.ParseNumber(body); err != nil || kind != wire.ToState || at != uint64(index) {
			return nil, fmt.Errorf("%w: chunk %d of the state did not come", wire.ErrFrame, index)
		}
		if state == nil {
			state = []byte{}
		}
		state = append(state, frame.Payload...)
	}
	return state, nil
}

// ready opens the stage and says so.
func (s *session) ready(stage Stage, state []byte) (h handler, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = recovered(value)
		}
	}()
	stopping, stop := context.WithCancel(context.Background())
	s.stop = stop
	opening := Opening{
		Stage: s.open.Stage, Generation: s.open.Generation,
		Replica: int(s.open.Replica), Replicas: int(s.open.Replicas),
		Input: s.open.Input, Output: s.open.Output, State: state,
		Policy:  Policy{int(s.open.Policy.Rows), s.open.Policy.LingerUs},
		Context: stopping, config: s.open.Config,
	}
	columns := stage.columns
	for stage.configure != nil {
		if stage, err = stage.configure(opening); err != nil {
			return nil, err
		}
		if columns == nil {
			columns = stage.columns
		}
	}
	if stage.bind == nil {
		return nil, &invalid{errors.New("the program has no stage: give `modrun.Run` one, such as `modrun.Filter(…)`")}
	}
	b := &binding{input: s.open.Input, output: s.open.Output, policy: opening.Policy, stop: stop}
	if columns != nil {
		if b.output, err = Columns(*columns); err != nil {
			return nil, &invalid{fmt.Errorf("the declared output `%s` cannot be read: %w", *columns, err)}
		}
		b.declared = true
	}
	if err := s.fitsRole(stage.role); err != nil {
		return nil, err
	}
	if h, err = stage.bind(b); err != nil {
		return nil, &invalid{err}
	}
	s.input, s.output = b.input, b.output
	s.out = newOutput(s.output, s.input, &s.failures)
	ready := wire.Ready{SDK: sdk, Role: stage.role, Concurrency: stage.concurrency, Output: b.output,
		HasOutput: b.declared && stage.role != wire.Sink}
	s.writer.Frame(ready.Encode(), nil)
	s.ledger.open(s.open.Unmeasured)
	return h, s.flush()
}

// fitsRole tells whether the stage stands where its role belongs.
func (s *session) fitsRole(role wire.Role) error {
	var what string
	switch {
	case role != wire.Source && !s.open.HasInput:
		what = "takes events, but has no stage before it"
	case role == wire.Source && s.open.HasInput:
		what = "is a source, but has a stage before it"
	case role != wire.Sink && !s.open.HasOutput:
		what = "emits events, but has no stage behind it"
	case role == wire.Sink && s.open.HasOutput:
		what = "is a sink, but has a stage behind it"
	default:
		return nil
	}
	return &invalid{fmt.Errorf("stage `%s` %s: mend `from` in the pipeline", s.open.Stage, what)}
}

func unexpected(kind wire.To) error {
	return fmt.Errorf("%w: message %d of `ToStage` came where it may not", wire.ErrFrame, kind)
}

// work does what the stage is for until the other end closes; nil if all was done by then.
func (s *session) work(h handler) error {
	committed := false
	if source, ok := h.(source); ok {
		if err := source.feed(s); err != nil {
			return err
		}
		if err := s.end(h); err != nil {
			return err
		}
	}
	for {
		frame, err := s.next()
		if err != nil {
			if errors.Is(err, io.EOF) && s.done && (committed || h.role() != wire.Sink) {
				return nil
			}
			return err
		}
		switch {
		case wire.IsCredit(frame.Message):
			err = s.credited(frame)
		case wire.IsBatch(frame.Message) && !s.done && h.role() != wire.Source:
			err = s.take(h, frame)
		default:
			err = s.command(h, frame, &committed)
		}
		if err != nil {
			return err
		}
	}
}

// command obeys a message that is neither a batch nor credit.
func (s *session) command(h handler, frame wire.Frame, committed *bool) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = recovered(value)
		}
	}()
	kind, body, err := wire.ParseTo(frame)
	if err != nil {
		return err
	}
	switch {
	case kind == wire.ToBarrier && !s.done:
		epoch, err := wire.ParseNumber(body)
		if err != nil {
			return err
		}
		return s.answer(h, epoch)
	case kind == wire.ToEnd && !s.done:
		s.out.begin(nil)
		s.ledger.enter(processing)
		if err := h.finish(s); err != nil {
			return err
		}
		if err := s.emit(wire.None); err != nil {
			return err
		}
		return s.end(h)
	case kind == wire.ToCommit && s.done && h.role() == wire.Sink:
		*committed = true
		if sink, ok := h.(*sinkHandler); ok {
			if err := sink.commit(); err != nil {
				return err
			}
		}
		s.writer.Frame(wire.EncodeCommitted(), nil)
		return nil
	case s.done && (kind == wire.ToEnd || kind == wire.ToBarrier): // crossed with `Done`
		return nil
	}
	return unexpected(kind)
}

// end prepares a sink's results, and says that the stage is done.
func (s *session) end(h handler) error {
	var artifact Artifact
	if sink, ok := h.(*sinkHandler); ok {
		var err error
		if artifact, err = sink.prepare(); err != nil {
			return err
		}
	}
	s.report()
	s.done = true
	s.writer.Frame(wire.Done{Artifact: artifact.Path, Rows: artifact.Rows}.Encode(), nil)
	return s.flush()
}

// answer answers a barrier with the state of the stage.
func (s *session) answer(h handler, epoch uint64) error {
	s.ledger.enter(processing)
	state, err := h.snapshot()
	if err != nil {
		return err
	}
	chunks := uint32(0)
	for rest := state; rest != nil; chunks++ {
		chunk := rest[:min(len(rest), wire.StatePayloadMax)]
		s.writer.Frame(wire.EncodeState(chunks), chunk)
		if rest = rest[len(chunk):]; len(rest) == 0 {
			rest = nil
		}
	}
	s.writer.Frame(wire.EncodeSnapshot(epoch, chunks), nil)
	return nil
}
