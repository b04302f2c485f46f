// Package modruntest runs a stage in a test, without a runtime and without a process: events go in, and what the stage
// emits comes out. They travel as they do in a pipeline, in frames and segments, so that a stage which holds on to what it
// was lent is found out.
//
//	func TestRules(t *testing.T) {
//		modruntest.Check(t, rules(), []Reading{{"view", 50}, {"buy", 10}}, []Reading{{"buy", 10}})
//	}
//
//	events ─▶ batches ─▶ stage ─▶ batches ─▶ events
//
// Guarantees: each call opens the stage anew; the test ends if the stage fails.
//
// Refuses: to run stages of several processes; that is what pipelines are for.
//
// Neighbours: package modrun, whose stages it runs; internal/peer, which stands in for the runtime.
package modruntest

import (
	"encoding/json"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"modularruntime/modrun"
	"modularruntime/modrun/internal/peer"
	"modularruntime/modrun/internal/wire"
)

// Option changes how a stage is run.
type Option func(*setup)

// setup is what the options say.
type setup struct {
	peer      peer.Setup
	input     *string
	output    *string
	batchRows int
	policy    *wire.Policy
	problem   error
}

// Config gives the stage its configuration, as `with` in a pipeline does: anything that encoding/json can write.
func Config(config any) Option {
	return func(s *setup) {
		var text []byte
		text, s.problem = json.Marshal(config)
		s.peer.Config = string(text)
	}
}

// State opens the stage with what Snapshot of another one returned.
func State(state []byte) Option { return func(s *setup) { s.peer.State = state } }

// Input says what the stage's input columns are, as in `key string?, count int64`. Without it they are those of the
// events' struct.
func Input(columns string) Option { return func(s *setup) { s.input = &columns } }

// Output says what the pipeline says that the stage's output columns are. Without it they are those of the wanted events'
// struct.
func Output(columns string) Option { return func(s *setup) { s.output = &columns } }

// BatchRows says how many events a batch has; without it, three.
func BatchRows(rows int) Option { return func(s *setup) { s.batchRows = rows } }

// BatchPolicy says how many rows the batches of a source should have.
func BatchPolicy(policy modrun.Policy) Option {
	return func(s *setup) { s.policy = &wire.Policy{Rows: uint32(policy.Rows), LingerUs: policy.LingerUs} }
}

// Arrived is called with the number of rows whenever a batch of the stage has arrived.
func Arrived(arrived func(rows int)) Option { return func(s *setup) { s.peer.Arrived = arrived } }

// Stop tells a source to stop as soon as the function returns.
func Stop(when func()) Option { return func(s *setup) { s.peer.Stop = when } }

// Result is what came of a run.
type Result[Out any] struct {
	Events   []Out
	Failed   []Failure
	Filtered int             // events that were dropped on purpose
	State    []byte          // what the stage's Snapshot returned after the last event; nil if it has none
	Artifact modrun.Artifact // of a sink
}

// Failure is an event that failed.
type Failure struct {
	Event   int // which, from 0
	Code    string
	Message string
	Detail  string // of a panic, where it was
}

// Check carries events through a stage and compares what it emits. An event that fails fails the test.
func Check[In, Out any](t testing.TB, stage modrun.Stage, events []In, want []Out, options ...Option) {
	t.Helper()
	s := newSetup[In, Out](t, options)
	result := run(t, stage, s, encode(t, events, s.peer.Input, s.batchRows))
	for _, failed := range failuresOf(result, s.batchRows) {
		t.Errorf("event %d failed: %s", failed.Event, failed.Message)
	}
	got := lines(t, result.Tables, result.Output)
	expected := lines(t, encode(t, want, s.peer.Output, s.batchRows), s.peer.Output)
	if got != expected {
		t.Errorf("the stage emitted\n%snot\n%s", indent(got), indent(expected))
	}
}

// Run carries events through a stage and returns what came of it.
func Run[Out, In any](t testing.TB, stage modrun.Stage, events []In, options ...Option) Result[Out] {
	t.Helper()
	s := newSetup[In, Out](t, options)
	return resultOf[Out](t, s, run(t, stage, s, encode(t, events, s.peer.Input, s.batchRows)))
}

// RunSource runs a source to its end and returns what came of it.
func RunSource[Out any](t testing.TB, stage modrun.Stage, options ...Option) Result[Out] {
	t.Helper()
	s := newSourceSetup[Out](t, options)
	return resultOf[Out](t, s, run(t, stage, s, nil))
}

// RunSink hands events to a sink, has it prepare and commit, and returns what came of it.
func RunSink[In any](t testing.TB, stage modrun.Stage, events []In, options ...Option) Result[struct{}] {
	t.Helper()
	s := newSinkSetup[In](t, options)
	return resultOf[struct{}](t, s, run(t, stage, s, encode(t, events, s.peer.Input, s.batchRows)))
}

// Failed is why a stage ended the run.
type Failed struct {
	Kind    string // invalid, unavailable, fenced, stage or internal
	Code    string
	Message string
	Detail  string
}

// Fail carries events through a stage that ends the run, and returns why it did. A stage that does not fails the test.
func Fail[Out, In any](t testing.TB, stage modrun.Stage, events []In, options ...Option) Failed {
	t.Helper()
	s := newSetup[In, Out](t, options)
	return failed(t, stage, s, encode(t, events, s.peer.Input, s.batchRows))
}

// FailSource is Fail for a source.
func FailSource[Out any](t testing.TB, stage modrun.Stage, options ...Option) Failed {
	t.Helper()
	return failed(t, stage, newSourceSetup[Out](t, options), nil)
}

// FailSink is Fail for a sink.
func FailSink[In any](t testing.TB, stage modrun.Stage, events []In, options ...Option) Failed {
	t.Helper()
	s := newSinkSetup[In](t, options)
	return failed(t, stage, s, encode(t, events, s.peer.Input, s.batchRows))
}

func newSourceSetup[Out any](t testing.TB, options []Option) *setup {
	t.Helper()
	s := newSetup[struct{}, Out](t, options)
	s.peer.Source, s.peer.Policy = true, wire.Policy{Rows: uint32(s.batchRows)}
	if s.policy != nil {
		s.peer.Policy = *s.policy
	}
	return s
}

func newSinkSetup[In any](t testing.TB, options []Option) *setup {
	t.Helper()
	s := newSetup[In, struct{}](t, options)
	s.peer.Sink, s.peer.Commit = true, true
	return s
}

func newSetup[In, Out any](t testing.TB, options []Option) *setup {
	t.Helper()
	s := &setup{batchRows: 3, peer: defaults()}
	s.peer.Snapshot = true
	for _, option := range options {
		option(s)
	}
	if s.problem != nil {
		t.Fatal(s.problem)
	}
	s.peer.Input = columnsOf[In](t, s.input)
	s.peer.Output = columnsOf[Out](t, s.output)
	return s
}

func defaults() peer.Setup { return peer.Setup{Window: 4, Inline: 256, Segment: 64 << 20} }

// columnsOf returns the columns that were given, or those of a struct.
func columnsOf[T any](t testing.TB, given *string) modrun.Schema {
	t.Helper()
	schema, err := modrun.Schema{}, error(nil)
	switch {
	case given != nil:
		schema, err = modrun.Columns(*given)
	case reflect.TypeFor[T]() == reflect.TypeFor[modrun.Event]():
		t.Fatal("give the columns of `modrun.Event` with the options `Input` and `Output`")
	default:
		schema, err = modrun.SchemaOf[T]()
	}
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// run carries batches through a stage.
func run(t testing.TB, stage modrun.Stage, s *setup, batches []peer.Table) peer.Result {
	t.Helper()
	return serve(t, stage, s.peer, batches)
}

// failed carries batches through a stage that ends the run.
func failed(t testing.TB, stage modrun.Stage, s *setup, batches []peer.Table) Failed {
	t.Helper()
	_, failure, code, err := attempt(t, stage, s.peer, batches)
	if failure == nil || code != 1 {
		t.Fatalf("the stage did not fail: it exited with %d, %v", code, err)
	}
	kinds := []string{"", "invalid", "unavailable", "fenced", "stage", "internal"}
	return Failed{kinds[failure.Kind], failure.Code, failure.Message, failure.Detail}
}

// serve carries batches through a stage that must not fail.
func serve(t testing.TB, stage modrun.Stage, setup peer.Setup, batches []peer.Table) peer.Result {
	t.Helper()
	result, failure, code, err := attempt(t, stage, setup, batches)
	if err != nil {
		if failure != nil && failure.Detail != "" {
			t.Log(failure.Detail)
		}
		t.Fatal(err)
	}
	if code != 0 {
		t.Fatalf("the stage exited with %d", code)
	}
	return result
}

func attempt(t testing.TB, stage modrun.Stage, setup peer.Setup, batches []peer.Table) (peer.Result, *wire.Failed, int, error) {
	t.Helper()
	p, d, err := peer.New(setup)
	if err != nil {
		t.Fatal(err)
	}
	exit := make(chan int, 1)
	go func() {
		socket := int(d.Socket.Fd())
		code := modrun.Serve(stage, socket, int(d.Input.Fd()), int(d.Output.Fd()))
		_ = syscall.Shutdown(socket, syscall.SHUT_RDWR) // as a process that exits does; fails if the peer was first
		exit <- code
	}()
	result, err := p.Run(batches)
	p.Close()
	code := <-exit
	for _, file := range []interface{ Close() error }{d.Socket, d.Input, d.Output} {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
	return result, p.Failure(), code, err
}

// encode turns events into batches.
func encode[T any](t testing.TB, events []T, schema modrun.Schema, rows int) []peer.Table {
	t.Helper()
	setup := defaults()
	setup.Source, setup.Output, setup.Policy = true, schema, wire.Policy{Rows: uint32(rows)}
	return serve(t, modrun.Source(func(yield func(T) bool) error {
		for _, event := range events {
			if !yield(event) {
				break
			}
		}
		return nil
	}), setup, nil).Tables
}

// decode turns batches into events.
func decode[T any](t testing.TB, tables []peer.Table, schema modrun.Schema) (events []T) {
	t.Helper()
	setup := defaults()
	setup.Sink, setup.Input = true, schema
	serve(t, modrun.Sink(func(event T) error {
		if e, ok := any(event).(modrun.Event); ok {
			event = any(e.Keep()).(T)
		}
		events = append(events, event)
		return nil
	}), withCommit(setup), tables)
	return events
}

// lines turns batches into lines of JSON.
func lines(t testing.TB, tables []peer.Table, schema modrun.Schema) string {
	t.Helper()
	var text []byte
	setup := defaults()
	setup.Sink, setup.Input = true, schema
	serve(t, modrun.SinkBatch(func(in *modrun.Batch) error {
		for row := range in.Rows() {
			text = modrun.AppendJSONLine(text, in, row)
		}
		return nil
	}), withCommit(setup), tables)
	return string(text)
}

func withCommit(setup peer.Setup) peer.Setup {
	setup.Commit = true
	return setup
}

func resultOf[Out any](t testing.TB, s *setup, r peer.Result) Result[Out] {
	t.Helper()
	result := Result[Out]{Failed: failuresOf(r, s.batchRows), Filtered: r.Filtered, State: r.State,
		Artifact: modrun.Artifact{Path: r.Done.Artifact, Rows: r.Done.Rows}}
	if !s.peer.Sink {
		result.Events = decode[Out](t, r.Tables, r.Output)
	}
	return result
}

func failuresOf(r peer.Result, batchRows int) (failures []Failure) {
	for _, failed := range r.Failures {
		for _, row := range failed.Rows {
			failures = append(failures, Failure{int(failed.Input)*batchRows + int(row), failed.Code, failed.Message, failed.Detail})
		}
	}
	return failures
}

func indent(lines string) string {
	if lines == "" {
		return "    nothing\n"
	}
	return "    " + strings.ReplaceAll(strings.TrimSuffix(lines, "\n"), "\n", "\n    ") + "\n"
}
