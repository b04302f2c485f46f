// Package modrun is the Go SDK of modular-runtime: with it a program is one stage of a pipeline. `modrun run` starts the
// program as a process and sends it batches of events; the program says what happens to them.
//
//	type Reading struct {
//		Type  string
//		Value int64
//	}
//
//	func main() {
//		modrun.Run(modrun.Filter(func(r Reading) bool { return r.Type != "view" && r.Value >= 10 }))
//	}
//
//	Run ─▶ Stage ─open─▶ handler ◀─batches─ session ◀─frames─ socket, segments
//
// Guarantees: events keep their order; an error or a panic for one event costs that event only; nothing that a per-event
// handler is given changes later.
//
// Refuses: being started by hand; other operating systems than Linux.
//
// Neighbours: internal/wire has the bytes, modruntest runs a stage in a test, the module in arrow shows batches as Arrow
// records.
package modrun

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"modularruntime/modrun/internal/wire"
)

// Stage is what a program does with events. The functions of this package make stages.
type Stage struct {
	role        wire.Role
	concurrency wire.Concurrency
	columns     *string
	configure   func(Opening) (Stage, error)
	bind        func(*binding) (handler, error)
}

// Opening is what a stage may know when it opens.
type Opening struct {
	Stage      string // the stage's name in the pipeline
	Generation uint64 // grows with every restart of the pipeline
	Replica    int    // which of several processes of the stage this is, from 0
	Replicas   int    // how many there are
	Input      Schema // nil for a source
	Output     Schema // nil for a sink
	State      []byte // what Snapshot returned; nil if there is nothing to restore
	Policy     Policy // of the link that the stage sends to

	// Context ends when a source is told to stop. A source that waits for events should stop waiting then.
	Context context.Context

	config string
}

// Policy says how many rows a batch should have. Sources of single events need not care.
type Policy struct {
	Rows     int    // so many, except at the end; 0: as the link is busy
	LingerUs uint64 // a smaller batch leaves after so long; 0: it waits until it is full
}

// Open returns a stage that is made when it opens: configuration arrives in a type of the caller's, read as JSON, from the
// stage's `with` in the pipeline. A key that the type does not have is an error. Restoring is making: o.State is what
// Snapshot of the stage before returned.
func Open[Config any](open func(o Opening, config Config) (Stage, error)) Stage {
	return Stage{configure: func(o Opening) (Stage, error) {
		var config Config
		if o.config != "" {
			decoder := json.NewDecoder(bytes.NewReader([]byte(o.config)))
			decoder.UseNumber()
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&config); err != nil && !errors.Is(err, io.EOF) {
				return Stage{}, &invalid{fmt.Errorf("`with` of the stage does not fit: %w", err)}
			}
		}
		return open(o, config)
	}}
}

// Output declares the stage's output columns, written as `key string?, count int64`. Without it the output is what the
// pipeline says, or what the handler's struct has if that is something else.
func (s Stage) Output(columns string) Stage {
	s.columns = &columns
	return s
}

// binding is what a stage's handler is bound to when it opens.
type binding struct {
	input    Schema
	output   Schema
	declared bool // by the code: it is sent to the runtime
	policy   Policy
	stop     context.CancelFunc
}

// handler is a stage that is open.
type handler interface {
	role() wire.Role
	// process handles a batch and returns how many of its events were dropped on purpose. What it emits, and which rows
	// failed, it leaves in the session.
	process(s *session, in *Batch) (filtered int, err error)
	finish(s *session) error
	snapshot() ([]byte, error)
}

// Snapshotter is what a stage with state also is, if it can go on after a restart where it was: Opening.State of the
// next is what Snapshot returned.
type Snapshotter interface {
	Snapshot() ([]byte, error)
}

// hasMethod tells that a stage's optional method has another signature than the one that is asked for: it would never be
// called.
func hasMethod(stage any, name string, as bool, signature string) error {
	if !as && reflect.ValueOf(stage).MethodByName(name).IsValid() {
		return fmt.Errorf("method `%s` of `%T` would never be called: its signature must be `%s`", name, stage, signature)
	}
	return nil
}

func checkSnapshot(stage any) error {
	_, ok := stage.(Snapshotter)
	return hasMethod(stage, "Snapshot", ok, "Snapshot() ([]byte, error)")
}

func snapshotOf(stage any) ([]byte, error) {
	if s, ok := stage.(Snapshotter); ok {
		return s.Snapshot()
	}
	return nil, nil
}

// Filter returns a stage that keeps the events for which keep is true. Events are structs (see SchemaOf) or Event. Batches
// may be spread over several processes: keep must not remember anything.
func Filter[In any](keep func(In) bool) Stage {
	return Stage{role: wire.Transform, concurrency: wire.Stateless, bind: func(b *binding) (handler, error) {
		reader, err := newRowReader[In](b.input)
		if err == nil {
			err = newEventWriter(b.output, b.input).whole()
		}
		return &filterEvents[In]{keep: keep, reader: reader, ins: make([]In, chunkRows)}, err
	}}
}

// Transform returns a stage that makes one event of each, or none if the function returns the error Drop. Any other error
// costs the event. Events are structs (see SchemaOf) or Event. Batches may be spread over several processes: the function
// must not remember anything.
func Transform[In, Out any](transform func(In) (Out, error)) Stage {
	return Stage{role: wire.Transform, concurrency: wire.Stateless, bind: func(b *binding) (handler, error) {
		reader, err := newRowReader[In](b.input)
		if err != nil {
			return nil, err
		}
		writer, err := newRowWriter[Out](b)
		if err != nil {
			return nil, err
		}
		h := &transformEvents[In, Out]{transform: transform, reader: reader, ins: make([]In, chunkRows)}
		h.same = newSameRows[In, Out](b, reader)
		h.rows.writer = writer
		return h, nil
	}}
}

// Expand returns a stage that makes any number of events of each: as many as it gives to emit. If it returns an error, the
// event that it was given is lost and nothing of it is emitted. Otherwise it is as Transform.
func Expand[In, Out any](expand func(in In, emit func(Out)) error) Stage {
	return newExpand(wire.Stateless, &expander[In, Out]{expand})
}

// Processor is a transform that remembers: it gets all events in order. It may also be a Finisher and a Snapshotter.
type Processor[In, Out any] interface {
	// Process takes an event and emits any number. An error costs the event and what it emitted of it.
	Process(in In, emit func(Out)) error
}

// Finisher is what a Processor also is if it emits at the end what it held back.
type Finisher[Out any] interface {
	Finish(emit func(Out)) error
}

// Stateful returns a stage of a transform that remembers.
func Stateful[In, Out any](p Processor[In, Out]) Stage { return newExpand(wire.Ordered, p) }

type expander[In, Out any] struct {
	expand func(in In, emit func(Out)) error
}

func (e *expander[In, Out]) Process(in In, emit func(Out)) error { return e.expand(in, emit) }

func newExpand[In, Out any](concurrency wire.Concurrency, p Processor[In, Out]) Stage {
	return Stage{role: wire.Transform, concurrency: concurrency, bind: func(b *binding) (handler, error) {
		_, finishes := p.(Finisher[Out])
		reader, err := newRowReader[In](b.input)
		err = errors.Join(err, checkSnapshot(p), hasMethod(p, "Finish", finishes, fmt.Sprintf("Finish(emit func(%s)) error",
			reflect.TypeFor[Out]())))
		if err != nil {
			return nil, err
		}
		writer, err := newRowWriter[Out](b)
		if err != nil {
			return nil, err
		}
		h := &expandEvents[In, Out]{processor: p, reader: reader, ins: make([]In, chunkRows)}
		h.stateful, h.rows.writer = concurrency == wire.Ordered, writer
		return h, nil
	}}
}

// FilterBatch returns a stage that keeps the rows of a batch which are set in keep. Batches may be spread over several
// processes.
func FilterBatch(filter func(in *Batch, keep *Selection) error) Stage {
	return TransformBatch(func(in *Batch, out *Output) error { return filter(in, out.Select()) })
}

// TransformBatch returns a stage that makes batches of batches. An error costs all events of the batch. Batches may be
// spread over several processes: the function must not remember anything.
func TransformBatch(transform func(in *Batch, out *Output) error) Stage {
	return newBatchStage(wire.Stateless, batchFunc(transform))
}

// BatchProcessor is a transform of batches that remembers: it gets them in order. It may also be a BatchFinisher and a
// Snapshotter.
type BatchProcessor interface {
	// Process takes a batch and emits any number. An error costs all events of the batch.
	Process(in *Batch, out *Output) error
}

// BatchFinisher is what a BatchProcessor also is if it emits at the end what it held back.
type BatchFinisher interface {
	Finish(out *Output) error
}

// StatefulBatch returns a stage of a transform of batches that remembers.
func StatefulBatch(p BatchProcessor) Stage { return newBatchStage(wire.Ordered, p) }

type batchFunc func(in *Batch, out *Output) error

func (f batchFunc) Process(in *Batch, out *Output) error { return f(in, out) }

func newBatchStage(concurrency wire.Concurrency, p BatchProcessor) Stage {
	return Stage{role: wire.Transform, concurrency: concurrency, bind: func(*binding) (handler, error) {
		_, finishes := p.(BatchFinisher)
		err := errors.Join(checkSnapshot(p), hasMethod(p, "Finish", finishes, "Finish(out *modrun.Output) error"))
		return &batchTransform{p, concurrency == wire.Ordered}, err
	}}
}
