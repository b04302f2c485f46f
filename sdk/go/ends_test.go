package modrun_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"modularruntime/modrun"
	"modularruntime/modrun/modruntest"
)

type counted struct {
	Key   string
	Count int64
}

// counter counts events by type.
type counter struct{ counts map[string]int64 }

func openCounter(o modrun.Opening, _ any) (modrun.Stage, error) {
	c := &counter{map[string]int64{}}
	if o.State != nil {
		if err := json.Unmarshal(o.State, &c.counts); err != nil {
			return modrun.Stage{}, err
		}
	}
	return modrun.Stateful(c), nil
}

func (c *counter) Process(r reading, _ func(counted)) error {
	c.counts[r.Type] += r.Value
	return nil
}

func (c *counter) Finish(emit func(counted)) error {
	for _, key := range slices.Sorted(maps.Keys(c.counts)) {
		emit(counted{key, c.counts[key]})
	}
	return nil
}

func (c *counter) Snapshot() ([]byte, error) { return json.Marshal(c.counts) }

func TestAStageGoesOnFromItsSnapshot(t *testing.T) {
	stage := modrun.Open(openCounter)
	first := modruntest.Run[counted](t, stage, []reading{{"b", 1}, {"a", 2}})
	if string(first.State) != `{"a":2,"b":1}` || fmt.Sprint(first.Events) != "[{a 2} {b 1}]" {
		t.Errorf("%s %+v", first.State, first.Events)
	}
	modruntest.Check(t, stage, []reading{{"b", 5}, {"c", 1}}, []counted{{"a", 2}, {"b", 6}, {"c", 1}},
		modruntest.State(first.State))
}

// snapshots is a stage whose state is known beforehand.
type snapshots struct{ state []byte }

func (snapshots) Process(reading, func(reading)) error { return nil }
func (s snapshots) Snapshot() ([]byte, error)          { return s.state, nil }

func TestStatesOfAllSizes(t *testing.T) {
	for _, state := range [][]byte{nil, {}, {1}, make([]byte, 1<<20), make([]byte, 3<<20+1)} {
		var restored []byte
		stage := modrun.Open(func(o modrun.Opening, _ any) (modrun.Stage, error) {
			restored = o.State
			return modrun.Stateful(snapshots{state}), nil
		})
		got := modruntest.Run[reading](t, stage, []reading{{"a", 1}})
		if (got.State == nil) != (state == nil) || len(got.State) != len(state) {
			t.Errorf("%d bytes became %d", len(state), len(got.State))
		}
		modruntest.Run[reading](t, stage, []reading{{"a", 1}}, modruntest.State(got.State))
		if (restored == nil) != (state == nil) || len(restored) != len(state) {
			t.Errorf("%d bytes were restored as %d", len(state), len(restored))
		}
	}
}

func TestManyEventsAtTheEnd(t *testing.T) {
	stage := modrun.Stateful(&repeater{})
	got := modruntest.Run[counted](t, stage, []reading{{"x", 150_000}})
	if len(got.Events) != 150_000 || got.Events[149_999] != (counted{"x", 149_999}) {
		t.Errorf("%d events", len(got.Events))
	}
}

// repeater emits at the end as many events as it was told to.
type repeater struct{ reading }

func (r *repeater) Process(in reading, _ func(counted)) error { r.reading = in; return nil }

func (r *repeater) Finish(emit func(counted)) error {
	for n := range r.Value {
		emit(counted{r.Type, n})
	}
	return nil
}

type number struct{ N int64 }

// numbers is a source that counts.
type numbers struct {
	Position int64
	count    int64
}

func (s *numbers) Next() (number, error) {
	if s.Position == s.count {
		return number{}, io.EOF
	}
	s.Position++
	return number{s.Position - 1}, nil
}

func (s *numbers) Snapshot() ([]byte, error) { return json.Marshal(s) }

func (s *numbers) Progress() (read, total uint64) { return uint64(s.Position), uint64(s.count) }

func TestSourcesInEveryForm(t *testing.T) {
	for name, open := range map[string]func() modrun.Stage{
		"function": func() modrun.Stage {
			return modrun.Source(func(yield func(number) bool) error {
				for n := range int64(1000) {
					if !yield(number{n}) {
						break
					}
				}
				return nil
			})
		},
		"generator": func() modrun.Stage { return modrun.StatefulSource(&numbers{count: 1000}) },
		"events": func() modrun.Stage {
			return modrun.Source(func(yield func(modrun.Event) bool) error {
				for n := range 1000 {
					yield(modrun.NewEvent().Set("n", n))
				}
				return nil
			})
		},
		"batches": func() modrun.Stage {
			next := 0
			return modrun.SourceBatch(func(table *modrun.Table, rows int) error {
				for range rows {
					if next == 1000 {
						return io.EOF
					}
					table.Int64("n").Append(int64(next))
					next++
				}
				return nil
			})
		},
	} {
		for _, rows := range []int{0, 1, 7, 1000, 5000} {
			got := modruntest.RunSource[number](t, open(), modruntest.BatchRows(rows)).Events
			if len(got) != 1000 || got[0].N != 0 || got[999].N != 999 || !slices.IsSortedFunc(got, byNumber) {
				t.Errorf("%s by %d: %d events", name, rows, len(got))
			}
		}
	}
}

func byNumber(a, b number) int { return int(a.N - b.N) }

type wide struct {
	Type  string
	Value int64
	N     *int64
}

func TestAStageThatFailsEndsTheRun(t *testing.T) {
	luck := errors.New("no luck")
	type text struct{ Value string }
	cases := map[string]struct {
		stage modrun.Stage
		kind  string
		words string
	}{
		"open": {modrun.Open(func(modrun.Opening, any) (modrun.Stage, error) { return modrun.Stage{}, luck }), "stage error", "no luck"},
		"panic in open": {modrun.Open(func(modrun.Opening, any) (modrun.Stage, error) { panic("no luck") }), "stage panic",
			"no luck"},
		"no stage": {modrun.Stage{}, "invalid invalid", "the program has no stage: give `modrun.Run` one, such as `modrun.Filter(…)`"},
		"config": {modrun.Open(func(modrun.Opening, struct{ Least int }) (modrun.Stage, error) { return modrun.Stage{}, nil }),
			"invalid invalid", "`with` of the stage does not fit: json: unknown field \"leest\""},
		"fatal": {modrun.Transform(func(r reading) (reading, error) { return r, fmt.Errorf("all: %w", modrun.Fatal(luck)) }),
			"stage error", "all: no luck"},
		"fatal panic": {modrun.Filter(func(reading) bool { panic(modrun.Fatal(luck)) }), "stage panic", "no luck"},
		"finish":      {modrun.StatefulBatch(failFinish{luck}), "stage error", "no luck"},
		"a column that is not there": {modrun.Filter(func(struct{ Valeu int64 }) bool { return true }), "invalid invalid",
			"field `.Valeu`: no column `valeu`: there are `type`, `value`, `n`; `uses:` of the stage in the pipeline adds a column"},
		"a column of another type": {modrun.Filter(func(text) bool { return true }), "invalid invalid",
			"field `text.Value` is for a column of the type string, but column `value` is int64"},
		"a column that may be null": {modrun.Filter(func(number) bool { return true }), "invalid invalid",
			"column `n` may be null: make the field `number.N` a pointer"},
		"an output that the input has not": {modrun.Filter(func(reading) bool { return true }), "invalid invalid",
			"output column `m int64` is no column of the input, which has `type string, value int64, n int64?`"},
		"a type that no column has": {modrun.Filter(func(struct{ Type int32 }) bool { return true }), "invalid invalid",
			"field `.Type` is a `int32`: make it a bool, int64, float64, string or time.Time, a pointer to one, or []byte"},
		"no struct": {modrun.Filter(func(string) bool { return true }), "invalid invalid",
			"`string` is no struct: a handler's events are structs or `modrun.Event`"},
		"a method that is never called": {modrun.StatefulBatch(wrongFinish{}), "invalid invalid", "method `Finish` of " +
			"`modrun_test.wrongFinish` would never be called: its signature must be `Finish(out *modrun.Output) error`"},
		"a declaration that does not fit": {modrun.Transform(func(r reading) (reading, error) { return r, nil }).Output("n int64"),
			"invalid invalid", "the output is declared as `n int64`, but `modrun_test.reading` has the columns `type string, value int64`"},
		"a declaration that is none": {modrun.Filter(func(reading) bool { return true }).Output("n"), "invalid invalid",
			"the declared output `n` cannot be read: `n` is no column: write a name and a type, such as `count int64`"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			options := []modruntest.Option{modruntest.Config(map[string]int{"leest": 1})}
			if strings.HasPrefix(name, "an output") {
				options = append(options, modruntest.Output("m int64"))
			}
			failure := modruntest.Fail[reading](t, c.stage, []wide{{"a", 1, nil}}, options...)
			if got := fmt.Sprint(failure.Kind, " ", failure.Code); got != c.kind || failure.Message != c.words {
				t.Errorf("failed as %s: %s", got, failure.Message)
			}
		})
	}
}

type failFinish struct{ err error }

func (failFinish) Process(*modrun.Batch, *modrun.Output) error { return nil }
func (f failFinish) Finish(*modrun.Output) error               { return f.err }

type wrongFinish struct{}

func (wrongFinish) Process(*modrun.Batch, *modrun.Output) error { return nil }
func (wrongFinish) Finish() error                               { return nil }

func TestASourceOrSinkThatFailsEndsTheRun(t *testing.T) {
	dry := errors.New("dry")
	for name, stage := range map[string]modrun.Stage{
		"source": modrun.Source(func(yield func(reading) bool) error { yield(reading{"a", 1}); return dry }),
		"panic":  modrun.Source(func(func(reading) bool) error { panic(dry) }),
		"batch":  modrun.SourceBatch(func(*modrun.Table, int) error { return dry }),
		"more than asked for": modrun.SourceBatch(func(table *modrun.Table, rows int) error {
			table.Int64("value").AppendAll(make([]int64, rows+1))
			for range rows + 1 {
				table.String("type").Append("")
			}
			return dry
		}),
	} {
		if failure := modruntest.FailSource[reading](t, stage); failure.Message != "dry" {
			t.Errorf("%s: %+v", name, failure)
		}
	}
	for name, stage := range map[string]modrun.Stage{
		"sink":  modrun.Sink(func(reading) error { return dry }),
		"panic": modrun.Sink(func(reading) error { panic(dry) }),
		"batch": modrun.SinkBatch(func(*modrun.Batch) error { return dry }),
	} {
		if failure := modruntest.FailSink(t, stage, []reading{{"a", 1}}); failure.Message != "dry" {
			t.Errorf("%s: %+v", name, failure)
		}
	}
}

func TestJSONLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.ndjson")
	result := modruntest.RunSink(t, modrun.JSONLines(path), everyEvent(), modruntest.BatchRows(2))
	if result.Artifact != (modrun.Artifact{Path: path + ".partial", Rows: 4}) {
		t.Errorf("%+v", result.Artifact)
	}
	const want = `{"b":true,"n":-7,"x":0.5,"s":"ab☃","r":"AQA=","t":"1969-12-31T23:59:59.999999Z"}
{"b":null,"n":null,"x":null,"s":null,"r":null,"t":null}
{"b":false,"n":null,"x":null,"s":"","r":"","t":null}
{"b":null,"n":-7,"x":null,"s":null,"r":null,"t":"1969-12-31T23:59:59.999999Z"}
`
	if text, err := os.ReadFile(path); err != nil || string(text) != want {
		t.Errorf("%s %v", text, err)
	}
	// From the snapshot on the file goes on where it was, whatever was written after it.
	if err := os.WriteFile(path+".partial", []byte(want+"more"), 0o600); err != nil {
		t.Fatal(err)
	}
	modruntest.RunSink(t, modrun.JSONLines(path), everyEvent()[1:2], modruntest.State(result.State))
	if text, err := os.ReadFile(path); err != nil || string(text) != want+strings.Split(want, "\n")[1]+"\n" {
		t.Errorf("%s %v", text, err)
	}
}

func TestASourceThatWaitsIsStopped(t *testing.T) {
	started := make(chan struct{})
	stage := modrun.Open(func(o modrun.Opening, _ any) (modrun.Stage, error) {
		return modrun.Source(func(yield func(number) bool) error {
			yield(number{1})
			close(started)
			<-o.Context.Done()
			return o.Context.Err()
		}), nil
	})
	got := modruntest.RunSource[number](t, stage, modruntest.Stop(func() { <-started }))
	if len(got.Events) != 1 {
		t.Errorf("%+v", got.Events)
	}
}

// TestEventsAreNotHeldBack has a source wait until what it yielded has arrived.
func TestEventsAreNotHeldBack(t *testing.T) {
	for name, policy := range map[string]modrun.Policy{"adaptive": {}, "linger": {Rows: 100, LingerUs: 1000}} {
		arrived := make(chan struct{}, 100)
		stage := modrun.Source(func(yield func(number) bool) error {
			for n := range int64(10) {
				yield(number{2 * n})
				yield(number{2*n + 1})
				for range 2 {
					select {
					case <-arrived:
					case <-time.After(10 * time.Second):
						return errors.New("it did not arrive")
					}
				}
			}
			return nil
		})
		got := modruntest.RunSource[number](t, stage, modruntest.BatchPolicy(policy), modruntest.Arrived(func(rows int) {
			for range rows {
				arrived <- struct{}{}
			}
		}))
		if len(got.Events) != 20 || !slices.IsSortedFunc(got.Events, byNumber) {
			t.Errorf("%s: %+v", name, got.Events)
		}
	}
}
