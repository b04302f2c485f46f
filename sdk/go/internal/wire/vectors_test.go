package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const vectors = "../../../../proto/vectors"

// each runs check for every vector of a folder, with its bytes and what the JSON beside it says.
func each[T any](t *testing.T, folder string, check func(t *testing.T, name string, bin []byte, meaning T)) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(vectors, folder, "*.bin"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no vectors in `%s`: %v", folder, err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".bin")
		t.Run(name, func(t *testing.T) {
			bin, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(strings.TrimSuffix(path, ".bin") + ".json")
			if err != nil {
				t.Fatal(err)
			}
			var meaning T
			decoder := json.NewDecoder(bytes.NewReader(text))
			decoder.UseNumber()
			if err := decoder.Decode(&meaning); err != nil {
				t.Fatal(err)
			}
			check(t, name, bin, meaning)
		})
	}
}

type tableMeaning struct {
	Schema []struct {
		Name     string
		Type     string
		Nullable bool
	}
	Dictionary []bool
	Rows       [][]any
}

func (m *tableMeaning) schema() (schema Schema) {
	for _, field := range m.Schema {
		schema = append(schema, Field{field.Name, Type(slices.Index(typeNames[:], field.Type)), field.Nullable})
	}
	return schema
}

// value returns a cell as the vectors' JSON says it.
func value(c *Column, row int) any {
	if c.IsNull(row) {
		return nil
	}
	switch c.Type {
	case Bool:
		return Bit(c.Bits(), row)
	case Int64, Timestamp:
		return strconv.FormatInt(c.Int64s()[row], 10)
	case Float64:
		return c.Float64s()[row]
	case String:
		return string(c.Text(row))
	default:
		return base64.StdEncoding.EncodeToString(c.Text(row))
	}
}

func equalValue(t *testing.T, got, want any) bool {
	float, ok := got.(float64)
	if !ok {
		return got == want
	}
	switch want := want.(type) {
	case json.Number:
		number, err := strconv.ParseFloat(want.String(), 64)
		if err != nil {
			t.Fatal(err)
		}
		return math.Float64bits(number) == math.Float64bits(float)
	case string:
		return fmt.Sprint(float) == map[string]string{"NaN": "NaN", "Infinity": "+Inf", "-Infinity": "-Inf"}[want]
	}
	return false
}

// checkTable tells whether bytes are a table of the rows.
func checkTable(t *testing.T, bin []byte, meaning *tableMeaning) *Table {
	t.Helper()
	var table Table
	if err := table.Decode(CopyAligned(nil, bin), meaning.schema()); err != nil {
		t.Fatal(err)
	}
	if table.Rows != len(meaning.Rows) {
		t.Fatalf("%d rows, not %d", table.Rows, len(meaning.Rows))
	}
	for row, want := range meaning.Rows {
		for at := range want {
			if got := value(&table.Columns[at], row); !equalValue(t, got, want[at]) {
				t.Errorf("row %d of `%s` is %v, not %v", row, meaning.Schema[at].Name, got, want[at])
			}
		}
	}
	return &table
}

func TestTables(t *testing.T) {
	each(t, "tables", func(t *testing.T, _ string, bin []byte, meaning tableMeaning) {
		table := checkTable(t, bin, &meaning)
		for at, coded := range meaning.Dictionary {
			if table.Columns[at].Coded != coded {
				t.Errorf("column %d: coded is %t", at, !coded)
			}
		}
		// What is written means the same: row by row, and whole columns; all, and cut at every row.
		for _, whole := range []bool{false, true} {
			columns := make([]Builder, len(meaning.Schema))
			for at := range columns {
				columns[at].Field = meaning.schema()[at]
				columns[at].Reset()
				if whole {
					columns[at].AppendColumn(&table.Columns[at], table.Rows)
					continue
				}
				for row := range table.Rows {
					columns[at].AppendRow(&table.Columns[at], row)
				}
			}
			cuts := min(table.Rows, 70)
			if len(columns) == 0 {
				cuts = 0
			}
			for cut := range cuts + 1 {
				first, second := meaning, meaning
				first.Rows, second.Rows = meaning.Rows[:cut], meaning.Rows[cut:]
				checkTable(t, written(columns, 0, cut), &first)
				if len(columns) > 0 {
					checkTable(t, written(columns, cut, table.Rows), &second)
				}
			}
		}
	})
}

func written(columns []Builder, from, to int) []byte {
	payload := bytes.Repeat([]byte{0xAA}, PayloadSize(columns, from, to))
	WritePayload(payload, columns, from, to)
	return payload
}

func TestGarbage(t *testing.T) {
	each(t, "garbage", func(t *testing.T, _ string, bin []byte, meaning tableMeaning) {
		var table Table
		if err := table.Decode(CopyAligned(nil, bin), meaning.schema()); !errors.Is(err, ErrFrame) {
			t.Errorf("it was read: %v", err)
		}
	})
}

// framesOf reads all frames in bytes from a socket.
func framesOf(t *testing.T, bin []byte, inlineMax uint64) ([]Frame, error) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fds[0])
	go func() {
		writer := Writer{fd: fds[1], buffer: bin}
		_ = writer.Flush() // fails if the reader has had enough
		syscall.Close(fds[1])
	}()
	reader := NewReader(fds[0])
	reader.AllowInline(inlineMax)
	var frames []Frame
	for {
		frame, ok, err := reader.Next()
		if err != nil {
			return nil, err
		}
		if ok {
			frames = append(frames, Frame{bytes.Clone(frame.Message), bytes.Clone(frame.Payload)})
			continue
		}
		if _, err := reader.Fill(true); err != nil {
			return frames, nil
		}
	}
}

func TestGarbageFrames(t *testing.T) {
	type meaning struct {
		Direction string
		InlineMax uint64 `json:"inline_max"`
	}
	each(t, "garbage/frames", func(t *testing.T, _ string, bin []byte, meaning meaning) {
		if meaning.Direction != "ToStage" {
			t.Skip("a stage does not read it")
		}
		if err := readAll(t, bin, meaning.InlineMax); !errors.Is(err, ErrFrame) {
			t.Errorf("it was read: %v", err)
		}
	})
}

// readAll reads frames as a stage does.
func readAll(t *testing.T, bin []byte, inlineMax uint64) error {
	frames, err := framesOf(t, bin, inlineMax)
	if err != nil {
		return err
	}
	if len(frames) != 1 {
		t.Fatalf("%d frames, not 1", len(frames))
	}
	frame := frames[0]
	kind, body, err := ParseTo(frame)
	if err != nil {
		return err
	}
	switch kind {
	case ToBatch:
		batch, err := ParseBatch(frame.Message)
		if err != nil {
			return err
		}
		return batch.Place(frame.Payload, inlineMax, 1<<40)
	case ToCredit:
		_, err = ParseCredit(frame)
	case ToOpen:
		_, err = ParseOpen(body)
	default:
		_, err = ParseNumber(body)
	}
	return err
}

type messageMeaning struct {
	Direction string
	Message   map[string]map[string]any
	Payload   []byte
}

func TestMessages(t *testing.T) {
	each(t, "messages", func(t *testing.T, name string, bin []byte, meaning messageMeaning) {
		frames, err := framesOf(t, bin, 64)
		if err != nil || len(frames) != 1 {
			t.Fatal(err, len(frames))
		}
		if !bytes.Equal(frames[0].Payload, meaning.Payload) {
			t.Errorf("payload %q", frames[0].Payload)
		}
		for kind, fields := range meaning.Message {
			if meaning.Direction == "ToStage" {
				checkTo(t, frames[0], kind, fields)
			} else if !strings.Contains(name, "loose_") {
				if got := encodeFrom(t, kind, fields); !bytes.Equal(got, frames[0].Message) {
					t.Errorf("written  %x\nexpected %x", got, frames[0].Message)
				}
			}
		}
	})
}

// has returns a field of a message's JSON as a value of T.
func has[T any](t *testing.T, fields map[string]any, name string) (value T) {
	t.Helper()
	field, ok := fields[name]
	if !ok {
		return value
	}
	text, err := json.Marshal(field)
	if err != nil {
		t.Fatal(err)
	}
	if quoted, ok := field.(string); ok && fmt.Sprintf("%T", value) != "string" {
		text = []byte(quoted)
	}
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("`%s`: %v", name, err)
	}
	return value
}

// enum returns a field that is the name of one of several numbers.
func enum(t *testing.T, fields map[string]any, name, prefix string, words ...string) uint8 {
	word := strings.TrimPrefix(has[string](t, fields, name), prefix)
	return uint8(slices.Index(words, strings.ToLower(word)) + 1)
}

func schemaIn(t *testing.T, fields map[string]any, name string) (schema Schema, there bool) {
	inner, there := fields[name].(map[string]any)
	schema = Schema{}
	for _, field := range has[[]map[string]any](t, inner, "fields") {
		schema = append(schema, Field{has[string](t, field, "name"), Type(enum(t, field, "type", "TYPE_", typeNames[1:]...)),
			has[bool](t, field, "nullable")})
	}
	return schema, there
}

func batchIn(t *testing.T, m map[string]any) Batch {
	return Batch{has[uint64](t, m, "seq"), has[uint64](t, m, "offset"), has[uint32](t, m, "length"),
		has[uint32](t, m, "rows"), has[uint32](t, m, "form"), has[uint64](t, m, "input")}
}

func creditIn(t *testing.T, m map[string]any) Credit {
	return Credit{has[uint64](t, m, "seq"), has[uint32](t, m, "events"), has[uint32](t, m, "filtered")}
}

func checkTo(t *testing.T, frame Frame, kind string, m map[string]any) {
	got, body, err := ParseTo(frame)
	words := []string{"", "open", "batch", "credit", "state", "barrier", "end", "commit"}
	if err != nil || words[got] != kind {
		t.Fatalf("it is read as `%s`: %v", words[got], err)
	}
	var have, want any
	switch got {
	case ToOpen:
		have, err = ParseOpen(body)
		open := Open{Protocol: has[uint32](t, m, "protocol"), Generation: has[uint64](t, m, "generation"),
			Stage: has[string](t, m, "stage"), Config: has[string](t, m, "config"),
			WindowBatches: has[uint32](t, m, "window_batches"), WindowBytes: has[uint64](t, m, "window_bytes"),
			InlineMax: has[uint64](t, m, "inline_max"), InputSegment: has[uint64](t, m, "input_segment"),
			OutputSegment: has[uint64](t, m, "output_segment"), StateChunks: has[uint32](t, m, "state_chunks"),
			Replica: has[uint32](t, m, "replica"), Replicas: has[uint32](t, m, "replicas"),
			Unmeasured: has[bool](t, m, "unmeasured")}
		open.Input, open.HasInput = schemaIn(t, m, "input")
		open.Output, open.HasOutput = schemaIn(t, m, "output")
		policy, _ := m["policy"].(map[string]any)
		open.Policy = Policy{has[uint32](t, policy, "rows"), has[uint64](t, policy, "linger_us")}
		want = open
	case ToBatch:
		have, err = ParseBatch(frame.Message)
		want = batchIn(t, m)
	case ToCredit:
		have, err = ParseCredit(frame)
		want = creditIn(t, m)
	default:
		have, err = ParseNumber(body)
		want = has[uint64](t, m, "index") + has[uint64](t, m, "epoch")
	}
	if err != nil || fmt.Sprintf("%#v", have) != fmt.Sprintf("%#v", want) {
		t.Errorf("read     %#v (%v)\nexpected %#v", have, err, want)
	}
}

func encodeFrom(t *testing.T, kind string, m map[string]any) []byte {
	switch kind {
	case "ready":
		ready := Ready{SDK: has[string](t, m, "sdk"),
			Role:        Role(enum(t, m, "role", "ROLE_", "source", "transform", "sink")),
			Concurrency: Concurrency(enum(t, m, "concurrency", "CONCURRENCY_", "stateless", "ordered"))}
		ready.Output, ready.HasOutput = schemaIn(t, m, "output")
		return ready.Encode()
	case "batch":
		return batchIn(t, m).append(nil)
	case "credit":
		return creditIn(t, m).append(nil)
	case "state":
		return EncodeState(has[uint32](t, m, "index"))
	case "snapshot":
		return EncodeSnapshot(has[uint64](t, m, "epoch"), has[uint32](t, m, "chunks"))
	case "failed":
		return Failed{Kind: Kind(enum(t, m, "kind", "KIND_", "invalid", "unavailable", "fenced", "stage", "internal")),
			Code: has[string](t, m, "code"), Message: has[string](t, m, "message"), Detail: has[string](t, m, "detail"),
			Input: has[uint64](t, m, "input"), Rows: has[[]uint32](t, m, "rows"),
			TextOffset: has[uint64](t, m, "text_offset"), TextLength: has[uint64](t, m, "text_length"),
			Event: has[string](t, m, "event")}.Encode()
	case "activity":
		a := Activity{CPU: has[uint64](t, m, "cpu"), BytesRead: has[uint64](t, m, "bytes_read"),
			BytesTotal: has[uint64](t, m, "bytes_total")}
		for at, name := range []string{"receive", "decode", "process", "encode", "send", "starved", "backpressured"} {
			a.Spent[at] = has[uint64](t, m, name)
		}
		return a.Encode()
	case "done":
		return Done{has[string](t, m, "artifact"), has[uint64](t, m, "rows")}.Encode()
	default:
		return EncodeCommitted()
	}
}
