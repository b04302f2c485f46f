package modrun_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"modularruntime/modrun"
	"modularruntime/modrun/internal/peer"
	"modularruntime/modrun/internal/wire"
)

// What depends on how payloads travel: without segments, in small ones, and through a full window.

var textSchema = wire.Schema{{Name: "n", Type: wire.Int64}, {Name: "s", Type: wire.String}}

// texts returns a batch of strings of so many bytes each.
func texts(sizes ...int) peer.Table {
	columns := []wire.Builder{{Field: textSchema[0]}, {Field: textSchema[1]}}
	for at := range columns {
		columns[at].Reset()
	}
	for row, size := range sizes {
		columns[0].AppendWord(uint64(row))
		columns[1].AppendText(strings.Repeat(string(rune('a'+row%26)), size))
	}
	payload := make([]byte, wire.PayloadSize(columns, 0, len(sizes)))
	wire.WritePayload(payload, columns, 0, len(sizes))
	return peer.Table{Payload: payload, Rows: len(sizes)}
}

// carried returns what came of batches, and each event as its number and the length of its string.
func carried(t *testing.T, stage modrun.Stage, setup peer.Setup, batches []peer.Table) (peer.Result, string) {
	t.Helper()
	setup.Input, setup.Output = textSchema, textSchema
	p, d, err := peer.New(setup)
	if err != nil {
		t.Fatal(err)
	}
	exit := make(chan int, 1)
	go func() {
		socket := int(d.Socket.Fd())
		code := modrun.Serve(stage, socket, int(d.Input.Fd()), int(d.Output.Fd()))
		_ = syscall.Shutdown(socket, syscall.SHUT_RDWR) // fails if the peer was first
		exit <- code
	}()
	result, err := p.Run(batches)
	p.Close()
	code := <-exit
	if err := errors.Join(err, d.Socket.Close(), d.Input.Close(), d.Output.Close()); code != 0 || err != nil {
		t.Fatal(code, err)
	}
	var events []string
	for _, batch := range result.Tables {
		var table wire.Table
		if err := table.Decode(wire.CopyAligned(nil, batch.Payload), textSchema); err != nil {
			t.Fatal(err)
		}
		for row, n := range table.Columns[0].Int64s() {
			text := string(table.Columns[1].Text(row))
			if strings.Trim(text, text[:min(1, len(text))]) != "" {
				t.Fatalf("the string of event %d is mixed up", n)
			}
			events = append(events, fmt.Sprint(n, "×", len(text)))
		}
	}
	return result, strings.Join(events, " ")
}

func changeOne(e modrun.Event) (modrun.Event, error) {
	if e.Int("n") == 4 {
		return e.Set("n", 40), nil
	}
	return e, nil
}

// TestEventsThatDoNotFit sends events of up to 90,000 bytes through segments that hold 65,536.
func TestEventsThatDoNotFit(t *testing.T) {
	grow := func(e modrun.Event) modrun.Event {
		if e.Int("n")%2 == 1 {
			return e.Set("s", strings.Repeat(e.String("s"), 90))
		}
		return e
	}
	in := []peer.Table{texts(1000, 1000, 20_000, 1000, 1000)}
	setup := peer.Setup{Window: 4, Inline: 256, Segment: 65_536}
	for name, stage := range map[string]modrun.Stage{
		"transform": modrun.Transform(func(e modrun.Event) (modrun.Event, error) { return changeOne(grow(e)) }),
		"expand": modrun.Expand(func(e modrun.Event, emit func(modrun.Event)) error {
			e, err := changeOne(grow(e))
			emit(e)
			return err
		}),
		"batch": modrun.TransformBatch(func(in *modrun.Batch, out *modrun.Output) error {
			table := out.Table()
			for row, n := range in.Int64("n") {
				text := in.String("s").At(row)
				if n%2 == 1 {
					text = strings.Repeat(text, 90)
				}
				table.Int64("n").Append(n + n/4*36)
				table.String("s").Append(text)
			}
			return nil
		}),
	} {
		result, events := carried(t, stage, setup, in)
		failed := ""
		for _, f := range result.Failures {
			failed += fmt.Sprint(f.Rows)
		}
		if events != "0×1000 2×20000 40×1000" || failed != "[1 3]" && failed != "[1][3]" {
			t.Errorf("%s: %s, failed: %s", name, events, failed)
		}
	}
}

// TestEventsThatFittedWhereTheyCameFrom has an event go on as it came, which no longer fits once a table is needed.
func TestEventsThatFittedWhereTheyCameFrom(t *testing.T) {
	setup := peer.Setup{Window: 4, Inline: 256, Segment: 1 << 20, Narrow: 8192}
	sizes := make([]int, 700) // more than a handler is shown at a time
	sizes[1] = 20_000
	result, events := carried(t, modrun.Transform(func(e modrun.Event) (modrun.Event, error) {
		if n := e.Int("n"); n >= 600 {
			return e.Set("n", -n), nil
		}
		return e, nil
	}), setup, []peer.Table{texts(sizes...)})
	if !strings.HasPrefix(events, "0×0 2×0 3×0 ") || !strings.HasSuffix(events, " 599×0 -600×0 "+downwards(-601, -699)) ||
		len(result.Failures) != 1 || fmt.Sprint(result.Failures[0].Rows) != "[1]" {
		t.Errorf("%s, failed: %v", events, result.Failures)
	}
}

// downwards returns events without strings from one number down to another.
func downwards(from, to int) string {
	var events []string
	for n := from; n >= to; n-- {
		events = append(events, fmt.Sprint(n, "×0"))
	}
	return strings.Join(events, " ")
}

// TestALentPayloadOutlivesWaiting emits each batch many times, so that other frames come while it waits for credit.
func TestALentPayloadOutlivesWaiting(t *testing.T) {
	for _, setup := range []peer.Setup{{Window: 3, Inline: 1 << 20}, {Window: 3, Inline: 100, Segment: 1 << 20}} {
		for _, size := range []int{10, 5_000, 40_000} {
			var batches []peer.Table
			var want []string
			for range 8 {
				batches = append(batches, texts(size, 2*size))
				for range 9 {
					want = append(want, fmt.Sprint("0×", size), fmt.Sprint("1×", 2*size))
				}
			}
			_, events := carried(t, modrun.TransformBatch(func(in *modrun.Batch, out *modrun.Output) error {
				for range 9 {
					out.Batch(in)
				}
				return nil
			}), setup, batches)
			if events != strings.Join(want, " ") {
				t.Errorf("%d bytes: %.200s", size, events)
			}
		}
	}
}
