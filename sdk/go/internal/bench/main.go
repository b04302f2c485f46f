// Command bench measures what one hop to a stage costs the stage: CPU time a batch and a row, for handlers of each form
// and batches of several sizes.
//
//	go run ./internal/bench [-rows 1,1000,32768] [-stage NAME] [-total 10000000]
//
// The program starts itself as the stage. Batches have the columns `type` (a dictionary of four strings, or plain) and
// `value` (int64); the peer sends the same one again and again, four at a time, and takes what comes back.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"modularruntime/modrun"
	"modularruntime/modrun/internal/peer"
	"modularruntime/modrun/internal/wire"
)

type reading struct {
	Type  string
	Value int64
}

type keyed struct {
	Key   string
	Value int64
}

type named struct {
	name  string
	stage modrun.Stage
}

// stages returns them in the order they are measured.
func stages() []named {
	return []named{
		{"filter struct", modrun.Filter(func(r reading) bool { return r.Type != "view" && r.Value >= 10 })},
		{"filter event", modrun.Filter(func(e modrun.Event) bool { return e.String("type") != "view" && e.Int("value") >= 10 })},
		{"filter batch", modrun.FilterBatch(filterBatch)},
		{"select struct", modrun.Transform(selectStruct)},
		{"transform struct", modrun.Transform(func(r reading) (keyed, error) { return keyed{r.Type, r.Value * 2}, nil })},
		{"transform event", modrun.Transform(func(e modrun.Event) (modrun.Event, error) {
			return modrun.NewEvent().Set("key", e.String("type")).Set("value", e.Int("value")*2), nil
		}).Output("key string, value int64")},
		{"count struct", modrun.Stateful(&counter{map[string]*total{}})},
		{"count batch", modrun.StatefulBatch(&batchCounter{map[string]*total{}})},
		{"echo batch", modrun.TransformBatch(func(in *modrun.Batch, out *modrun.Output) error {
			table := out.Table()
			table.Copy("type", in, "type")
			table.Copy("value", in, "value")
			return nil
		})},
	}
}

// sources returns stages that emit as many rows as `BENCH_ROWS` says.
func sources() []named {
	total, _ := strconv.ParseInt(os.Getenv("BENCH_ROWS"), 10, 64)
	types := []string{"view", "click", "purchase", "signup"}
	next := int64(0)
	return []named{
		{"source struct", modrun.Source(func(yield func(reading) bool) error {
			for n := int64(0); n < total && yield(reading{types[n&3], n}); n++ {
			}
			return nil
		})},
		{"source batch", modrun.SourceBatch(func(table *modrun.Table, rows int) error {
			count := min(int64(rows), total-next)
			kinds, values := table.String("type"), table.Int64("value").Extend(int(count))
			for row := range values {
				values[row] = next
				kinds.Append(types[next&3])
				next++
			}
			if next == total {
				return io.EOF
			}
			return nil
		})},
	}
}

func filterBatch(in *modrun.Batch, keep *modrun.Selection) error {
	codes, types, ok := in.String("type").Codes()
	if !ok {
		types := in.String("type")
		for row, value := range in.Int64("value") {
			keep.KeepIf(row, value >= 10 && string(types.Bytes(row)) != "view")
		}
		return nil
	}
	var pass [256]bool
	for code, value := range types {
		pass[code] = value != "view"
	}
	values := in.Int64("value")[:len(codes)]
	for row, code := range codes {
		keep.KeepIf(row, pass[code] && values[row] >= 10)
	}
	return nil
}

func selectStruct(r reading) (reading, error) {
	if r.Type == "view" || r.Value < 10 {
		return r, modrun.Drop
	}
	return r, nil
}

type total struct{ count, sum int64 }

type counter struct{ totals map[string]*total }

func (c *counter) Process(r reading, _ func(keyed)) error {
	t := c.totals[r.Type]
	if t == nil {
		t = &total{}
		c.totals[r.Type] = t
	}
	t.count++
	t.sum += r.Value
	return nil
}

func (c *counter) Finish(emit func(keyed)) error {
	for key, t := range c.totals {
		emit(keyed{key, t.sum})
	}
	return nil
}

type batchCounter struct{ totals map[string]*total }

func (c *batchCounter) Process(in *modrun.Batch, _ *modrun.Output) error {
	codes, types, ok := in.String("type").Codes()
	values := in.Int64("value")
	if !ok {
		return fmt.Errorf("`type` came without a dictionary")
	}
	var sums [256]total
	values = values[:len(codes)]
	for row, code := range codes {
		sums[code].count++
		sums[code].sum += values[row]
	}
	for code, key := range types {
		t := c.totals[key]
		if t == nil {
			t = &total{}
			c.totals[key] = t
		}
		t.count += sums[code].count
		t.sum += sums[code].sum
	}
	return nil
}

func main() {
	if os.Getenv("MODRUN_STAGE") != "" {
		for _, s := range append(stages(), sources()...) {
			if s.name == os.Args[1] {
				modrun.Run(s.stage)
			}
		}
	}
	sizes := flag.String("rows", "1,100,1000,32768", "rows of a batch, with commas between")
	only := flag.String("stage", "", "only stages whose name begins so")
	total := flag.Int("total", 10_000_000, "rows in all; of small batches there are 100 000 at most")
	plain := flag.Bool("plain", false, "`type` is plain strings")
	flag.Parse()
	fmt.Printf("%-18s %7s %9s %12s %12s %10s\n", "stage", "rows", "batches", "CPU µs/batch", "CPU ns/row", "M rows/s")
	for _, s := range stages() {
		if !strings.HasPrefix(s.name, *only) {
			continue
		}
		for _, size := range strings.Split(*sizes, ",") {
			rows, err := strconv.Atoi(size)
			if err == nil {
				err = measure(s.name, rows, min(*total/rows, 100_000), *plain)
			}
			exitIf(err)
		}
	}
	for _, s := range sources() {
		if strings.HasPrefix(s.name, *only) {
			exitIf(measureSource(s.name, 0, *total))
			exitIf(measureSource(s.name, 1000, *total))
		}
	}
}

func exitIf(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var schema = wire.Schema{{Name: "type", Type: wire.String}, {Name: "value", Type: wire.Int64}}

// measure runs one stage with so many batches.
func measure(name string, rows, batches int, plain bool) error {
	batch := peer.Table{Payload: payload(rows, plain), Rows: rows}
	all := make([]peer.Table, batches)
	for at := range all {
		all[at] = batch
	}
	result, wall, err := run(name, peer.Setup{Input: schema, Output: schema}, all)
	if err == nil {
		report(name, rows, batches, rows*batches, result, wall)
	}
	return err
}

// measureSource runs a source of so many rows; the policy is adaptive if rows is 0.
func measureSource(name string, rows, total int) error {
	if err := os.Setenv("BENCH_ROWS", strconv.Itoa(total)); err != nil {
		return err
	}
	result, wall, err := run(name, peer.Setup{Source: true, Output: schema, Policy: wire.Policy{Rows: uint32(rows)}}, nil)
	if err == nil {
		report(name, result.Rows/max(1, result.Batches), result.Batches, result.Rows, result, wall)
	}
	return err
}

func report(name string, rows, batches, total int, result peer.Result, wall time.Duration) {
	cpu := float64(result.Activity.CPU)
	fmt.Printf("%-18s %7d %9d %12.2f %12.2f %10.2f\n", name, rows, batches, cpu/1e3/float64(batches), cpu/float64(total),
		float64(total)/wall.Seconds()/1e6)
}

// run starts this program as the stage and carries batches through it.
func run(name string, setup peer.Setup, batches []peer.Table) (result peer.Result, wall time.Duration, err error) {
	setup.Window, setup.Inline, setup.Segment, setup.Discard = 4, 4096, 64<<20, true
	p, d, err := peer.New(setup)
	if err != nil {
		return result, 0, err
	}
	program, err := os.Executable()
	if err != nil {
		return result, 0, err
	}
	stage := exec.Command(program, name)
	stage.Env = append(os.Environ(), "MODRUN_STAGE=socket=3,input=4,output=5")
	stage.ExtraFiles = []*os.File{d.Socket, d.Input, d.Output}
	stage.Stderr = os.Stderr
	if err := stage.Start(); err != nil {
		return result, 0, err
	}
	start := time.Now()
	result, err = p.Run(batches)
	wall = time.Since(start)
	p.Close()
	return result, wall, errors.Join(err, stage.Wait())
}

// payload returns a table of `type` and `value`.
func payload(rows int, plain bool) []byte {
	types := []string{"view", "click", "purchase", "signup"}
	columns := make([]wire.Builder, 2)
	columns[0].Field, columns[1].Field = wire.Field{Name: "type", Type: wire.String}, wire.Field{Name: "value", Type: wire.Int64}
	columns[0].Reset()
	columns[1].Reset()
	state := uint64(1)
	for range rows {
		state = state*6364136223846793005 + 1442695040888963407
		if plain {
			columns[0].AppendText(types[state>>62])
		} else {
			columns[0].AppendCoded(types, uint8(state>>62))
		}
		columns[1].AppendWord(state >> 33 % 100)
	}
	bytes := make([]byte, wire.PayloadSize(columns, 0, rows))
	wire.WritePayload(bytes, columns, 0, rows)
	return bytes
}
