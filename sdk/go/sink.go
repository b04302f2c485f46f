package modrun

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"modularruntime/modrun/internal/wire"
)

// Artifact is the file in which a sink has prepared its results.
type Artifact struct {
	Path string // absolute
	Rows uint64 // result rows in it
}

// Preparer is what a sink also is if its results must be made durable before the run may succeed: under a temporary name,
// until Commit.
type Preparer interface {
	Prepare() (Artifact, error)
}

// Committer is what a sink also is if its results get their final name once the whole run has succeeded.
type Committer interface {
	Commit() error
}

// Consumer is a sink of events. It may also be a Preparer, a Committer and a Snapshotter.
type Consumer[In any] interface {
	// Consume takes an event. An error ends the run.
	Consume(in In) error
}

// BatchConsumer is a sink of batches. It may also be a Preparer, a Committer and a Snapshotter.
type BatchConsumer interface {
	// Consume takes a batch. An error ends the run.
	Consume(in *Batch) error
}

type consumeFunc[In any] func(In) error

func (f consumeFunc[In]) Consume(in In) error { return f(in) }

// Sink returns a stage that hands every event to a function. An error ends the run.
func Sink[In any](consume func(In) error) Stage { return StatefulSink(consumeFunc[In](consume)) }

// StatefulSink returns a stage that hands every event to a Consumer.
func StatefulSink[In any](c Consumer[In]) Stage {
	return newSink(c, func(b *binding) (func(*session, *Batch) error, error) {
		reader, err := newRowReader[In](b.input)
		ins := make([]In, chunkRows)
		return func(s *session, in *Batch) error {
			for from := 0; from < in.Rows(); from += chunkRows {
				chunk := ins[:min(chunkRows, in.Rows()-from)]
				s.ledger.enter(decoding)
				reader.read(chunk, in, from)
				s.ledger.enter(processing)
				for at := range chunk {
					if err := c.Consume(chunk[at]); err != nil {
						return err
					}
				}
			}
			return nil
		}, err
	})
}

// SinkBatch returns a stage that hands every batch to a function. An error ends the run.
func SinkBatch(consume func(in *Batch) error) Stage {
	return StatefulSinkBatch(consumeFunc[*Batch](consume))
}

// StatefulSinkBatch returns a stage that hands every batch to a BatchConsumer.
func StatefulSinkBatch(c BatchConsumer) Stage {
	return newSink(c, func(*binding) (func(*session, *Batch) error, error) {
		return func(_ *session, in *Batch) error { return c.Consume(in) }, nil
	})
}

func newSink(c any, bind func(*binding) (func(*session, *Batch) error, error)) Stage {
	return Stage{role: wire.Sink, concurrency: wire.Ordered, bind: func(b *binding) (handler, error) {
		_, prepares := c.(Preparer)
		_, commits := c.(Committer)
		consume, err := bind(b)
		return &sinkHandler{c, consume}, errors.Join(err, checkSnapshot(c),
			hasMethod(c, "Prepare", prepares, "Prepare() (modrun.Artifact, error)"),
			hasMethod(c, "Commit", commits, "Commit() error"))
	}}
}

// sinkHandler runs a sink.
type sinkHandler struct {
	consumer any
	consume  func(*session, *Batch) error
}

func (h *sinkHandler) role() wire.Role           { return wire.Sink }
func (h *sinkHandler) finish(*session) error     { return nil }
func (h *sinkHandler) snapshot() ([]byte, error) { return snapshotOf(h.consumer) }

func (h *sinkHandler) process(s *session, in *Batch) (filtered int, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = recovered(value)
		}
	}()
	return 0, h.consume(s, in)
}

func (h *sinkHandler) prepare() (Artifact, error) {
	if p, ok := h.consumer.(Preparer); ok {
		return p.Prepare()
	}
	return Artifact{}, nil
}

func (h *sinkHandler) commit() error {
	if c, ok := h.consumer.(Committer); ok {
		return c.Commit()
	}
	return nil
}

// JSONLines returns a stage that writes each event as one JSON object a line. The lines go to FILE.partial, which gets
// its name once the whole run has succeeded.
func JSONLines(path string) Stage {
	return Open(func(o Opening, _ map[string]any) (Stage, error) {
		sink, err := newJSONLinesSink(path, o.State)
		if err != nil {
			return Stage{}, err
		}
		return StatefulSinkBatch(sink), nil
	})
}

// partialSuffix stands behind the name of a file that is not whole yet.
const partialSuffix = ".partial"

type jsonLinesSink struct {
	path  string
	file  *os.File
	to    *bufio.Writer
	lines []byte
	bytes uint64
	rows  uint64
}

// newJSONLinesSink creates the file, or goes on where a snapshot was taken.
func newJSONLinesSink(path string, state []byte) (*jsonLinesSink, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("cannot tell where `%s` is: %w", path, err)
	}
	s := &jsonLinesSink{path: path}
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if len(state) == 16 {
		flags = os.O_WRONLY
		s.bytes, s.rows = binary.LittleEndian.Uint64(state), binary.LittleEndian.Uint64(state[8:])
	}
	if s.file, err = os.OpenFile(path+partialSuffix, flags, 0o666); err != nil {
		return nil, fmt.Errorf("cannot create `%s`: %w", path, err)
	}
	if err = s.file.Truncate(int64(s.bytes)); err == nil {
		_, err = s.file.Seek(int64(s.bytes), io.SeekStart)
	}
	s.to = bufio.NewWriterSize(s.file, 64<<10)
	return s, err
}

func (s *jsonLinesSink) Consume(in *Batch) error {
	s.lines = appendJSONLines(s.lines[:0], in)
	s.bytes += uint64(len(s.lines))
	s.rows += uint64(in.Rows())
	if _, err := s.to.Write(s.lines); err != nil {
		return fmt.Errorf("cannot write `%s`: %w", s.path, err)
	}
	return nil
}

func (s *jsonLinesSink) Snapshot() ([]byte, error) {
	if err := s.sync(); err != nil {
		return nil, err
	}
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, s.bytes), s.rows), nil
}

func (s *jsonLinesSink) sync() error {
	if err := errors.Join(s.to.Flush(), s.file.Sync()); err != nil {
		return fmt.Errorf("cannot write `%s`: %w", s.path, err)
	}
	return nil
}

func (s *jsonLinesSink) Prepare() (Artifact, error) {
	if err := errors.Join(s.sync(), s.file.Close()); err != nil {
		return Artifact{}, err
	}
	return Artifact{s.path + partialSuffix, s.rows}, nil
}

func (s *jsonLinesSink) Commit() error {
	if err := os.Rename(s.path+partialSuffix, s.path); err != nil {
		return fmt.Errorf("cannot give `%s` its name: %w", s.path, err)
	}
	folder, err := os.Open(filepath.Dir(s.path))
	if err != nil {
		return fmt.Errorf("cannot open the folder of `%s`: %w", s.path, err)
	}
	return errors.Join(folder.Sync(), folder.Close())
}
