package modrun_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"modularruntime/modrun"
	"modularruntime/modrun/modruntest"
)

type reading struct {
	Type  string
	Value int64
}

// every has a column of each type.
type every struct {
	B *bool
	N *int64
	X *float64
	S *string
	R []byte
	T *time.Time
}

func everyEvent() []every {
	yes, no, n, x, s, at := true, false, int64(-7), 0.5, "ab☃", time.UnixMicro(-1).UTC()
	none := ""
	return []every{{&yes, &n, &x, &s, []byte{1, 0}, &at}, {}, {B: &no, S: &none, R: []byte{}}, {N: &n, T: &at}}
}

func keepBuys(in *modrun.Batch, keep *modrun.Selection) error {
	types, values := in.String("type"), in.Int64("value")
	for row := range in.Rows() {
		keep.KeepIf(row, types.At(row) != "view" && values[row] >= 10)
	}
	return nil
}

// TestOneRuleInEveryForm runs the same filter, written in all ways that there are.
func TestOneRuleInEveryForm(t *testing.T) {
	buys := func(r reading) bool { return r.Type != "view" && r.Value >= 10 }
	stages := map[string]modrun.Stage{
		"filter": modrun.Filter(buys),
		"filter of events": modrun.Filter(func(e modrun.Event) bool {
			return e.String("type") != "view" && e.Int("value") >= 10
		}),
		"transform": modrun.Transform(func(r reading) (reading, error) {
			if !buys(r) {
				return r, modrun.Drop
			}
			return r, nil
		}),
		"transform of events": modrun.Transform(func(e modrun.Event) (modrun.Event, error) {
			if e.String("type") == "view" || e.Int("value") < 10 {
				return e, fmt.Errorf("not a buy: %w", modrun.Drop)
			}
			return e, nil
		}),
		"transform to new events": modrun.Transform(func(e modrun.Event) (modrun.Event, error) {
			if e.String("type") == "view" || e.Int("value") < 10 {
				return e, modrun.Drop
			}
			return modrun.NewEvent().Set("value", e.Int("value")).Set("type", e.String("type")), nil
		}),
		"transform, some changed": modrun.Transform(func(e modrun.Event) (modrun.Event, error) {
			if e.String("type") == "view" || e.Int("value") < 10 {
				return e, modrun.Drop
			}
			if e.Int("value") == 11 {
				return e.Set("value", 11), nil
			}
			return e, nil
		}),
		"expand": modrun.Expand(func(r reading, emit func(reading)) error {
			if buys(r) {
				emit(r)
			}
			return nil
		}),
		"stateful":     modrun.Stateful(process[reading, reading](func(r reading, emit func(reading)) error { return emitIf(buys(r), r, emit) })),
		"filter batch": modrun.FilterBatch(keepBuys),
		"transform batch": modrun.TransformBatch(func(in *modrun.Batch, out *modrun.Output) error {
			return keepBuys(in, out.Select())
		}),
		"stateful batch": modrun.StatefulBatch(processBatch(func(in *modrun.Batch, out *modrun.Output) error {
			table := out.Table()
			for row := range in.Rows() {
				if in.String("type").At(row) != "view" && in.Int64("value")[row] >= 10 {
					table.CopyRow(in, row)
				}
			}
			return nil
		})),
	}
	in := []reading{{"view", 50}, {"buy", 10}, {"buy", 9}, {"click", 11}, {"a longer type of event", 12}, {"view", 1}}
	want := []reading{{"buy", 10}, {"click", 11}, {"a longer type of event", 12}}
	for name, stage := range stages {
		for _, rows := range []int{1, 2, 100} {
			t.Run(fmt.Sprintf("%s by %d", name, rows), func(t *testing.T) {
				modruntest.Check(t, stage, in, want, modruntest.BatchRows(rows))
			})
		}
		filtered := modruntest.Run[reading](t, stage, in).Filtered
		if strings.HasPrefix(name, "stateful") != (filtered == 0) || filtered != 0 && filtered != 3 {
			t.Errorf("%s: %d events filtered", name, filtered)
		}
	}
}

type process[In, Out any] func(In, func(Out)) error

func (p process[In, Out]) Process(in In, emit func(Out)) error { return p(in, emit) }

type processBatch func(*modrun.Batch, *modrun.Output) error

func (p processBatch) Process(in *modrun.Batch, out *modrun.Output) error { return p(in, out) }

func emitIf[T any](condition bool, event T, emit func(T)) error {
	if condition {
		emit(event)
	}
	return nil
}

// TestAFilterMayLeaveColumnsOut has the output lack a column of the input.
func TestAFilterMayLeaveColumnsOut(t *testing.T) {
	type value struct{ Value int64 }
	for name, stage := range map[string]modrun.Stage{
		"filter": modrun.Filter(func(r reading) bool { return r.Type != "view" }),
		"batch":  modrun.FilterBatch(keepBuys),
		"whole batches": modrun.TransformBatch(func(in *modrun.Batch, out *modrun.Output) error {
			if in.String("type").At(0) != "view" {
				out.Batch(in)
			}
			return nil
		}),
	} {
		t.Run(name, func(t *testing.T) {
			modruntest.Check(t, stage, []reading{{"a", 10}, {"view", 20}, {"b", 30}}, []value{{10}, {30}}, modruntest.BatchRows(1))
		})
	}
}

// TestEventsOfAllTypes hands events on in all ways that copy them.
func TestEventsOfAllTypes(t *testing.T) {
	columns := "b bool?, n int64?, x float64?, s string?, r binary?, t timestamp?"
	stages := map[string]modrun.Stage{
		"delayed": modrun.Open(func(modrun.Opening, any) (modrun.Stage, error) {
			return modrun.StatefulBatch(&delayed{}), nil
		}),
		"struct":    modrun.Transform(func(e every) (every, error) { return e, nil }),
		"event":     modrun.Transform(func(e modrun.Event) (modrun.Event, error) { return e, nil }),
		"kept":      modrun.Transform(func(e modrun.Event) (modrun.Event, error) { return e.Keep().Keep(), nil }),
		"copied":    modrun.Transform(copyEvent).Output(columns),
		"columns":   modrun.TransformBatch(copyColumns),
		"expanded":  modrun.Expand(func(e every, emit func(every)) error { emit(e); return nil }),
		"from rows": modrun.Expand(func(e modrun.Event, emit func(modrun.Event)) error { emit(e); return nil }),
	}
	for name, stage := range stages {
		for _, rows := range []int{1, 3, 100} {
			t.Run(fmt.Sprintf("%s by %d", name, rows), func(t *testing.T) {
				modruntest.Check(t, stage, everyEvent(), everyEvent(), modruntest.BatchRows(rows))
			})
		}
	}
	if got := modruntest.Run[every](t, stages["struct"], everyEvent()).Events; !reflect.DeepEqual(got, everyEvent()) {
		t.Errorf("%+v", got)
	}
}

// TestWhatAHandlerChangesInPlaceIsChanged has handlers change what the fields of an event point to.
func TestWhatAHandlerChangesInPlaceIsChanged(t *testing.T) {
	stage := modrun.Transform(func(e every) (every, error) {
		if e.N != nil {
			*e.N++
		}
		if len(e.R) > 0 {
			e.R[0] = 7
		}
		return e, nil
	})
	want := everyEvent()
	changed := int64(-6)
	want[0].N, want[0].R, want[3].N = &changed, []byte{7, 0}, &changed
	for _, rows := range []int{1, 10} {
		modruntest.Check(t, stage, everyEvent(), want, modruntest.BatchRows(rows))
	}
}

func copyEvent(e modrun.Event) (modrun.Event, error) {
	c := modrun.NewEvent()
	if !e.IsNull("b") {
		c.Set("b", e.Bool("b"))
	}
	if !e.IsNull("n") {
		c.Set("n", e.Int("n"))
	}
	if !e.IsNull("x") {
		c.Set("x", e.Float("x"))
	}
	if !e.IsNull("s") {
		c.Set("s", e.String("s"))
	}
	if !e.IsNull("t") {
		c.Set("t", e.Time("t"))
	}
	return c.Set("r", e.Bytes("r")), nil
}

func copyColumns(in *modrun.Batch, out *modrun.Output) error {
	table := out.Table()
	for _, field := range in.Schema() {
		table.Copy(field.Name, in, field.Name)
	}
	return nil
}

// delayed hands each batch on when the next one comes.
type delayed struct{ held *modrun.Batch }

func (d *delayed) Process(in *modrun.Batch, out *modrun.Output) error {
	err := d.Finish(out)
	d.held = in.Keep()
	return err
}

func (d *delayed) Finish(out *modrun.Output) error {
	if d.held != nil {
		out.Batch(d.held)
	}
	return nil
}

type failing struct {
	stage modrun.Stage
	rows  string // that failed, and why
}

// failingStages have their functions fail for events of the value 0.
func failingStages() map[string]failing {
	return map[string]failing{
		"an error": {modrun.Transform(func(r reading) (reading, error) {
			return r, errorIf(r.Value == 0, fmt.Errorf("bad %s", r.Type))
		}), "0 error bad a, 3 error bad d"},
		"a panic": {modrun.Transform(func(r reading) (reading, error) {
			r.Value = 10 / (10 * r.Value)
			return r, nil
		}), "0 runtime.errorString runtime error: integer divide by zero, 3 runtime.errorString runtime error: integer divide by zero"},
		"a panic of a filter": {modrun.Filter(func(r reading) bool {
			if r.Value == 0 {
				panic("no value")
			}
			return true
		}), "0 panic no value, 3 panic no value"},
		"an error after events were emitted": {modrun.Expand(func(r reading, emit func(reading)) error {
			emit(r)
			return errorIf(r.Value == 0, json.Unmarshal([]byte("{"), &r))
		}), "0 json.SyntaxError unexpected end of JSON input, 3 json.SyntaxError unexpected end of JSON input"},
		"a panic after events were emitted": {modrun.Stateful(process[reading, reading](func(r reading, emit func(reading)) error {
			emit(r)
			if r.Value == 0 {
				panic(r.Type)
			}
			return nil
		})), "0 panic a, 3 panic d"},
		"what is no UTF-8": {modrun.Transform(func(r reading) (reading, error) {
			if r.Value == 0 {
				r.Type = "\xff"
			}
			return r, nil
		}), "0 error output column `type` got \"\\xff\", which is not UTF-8: make the column `binary`, or mend the string, " +
			"3 error output column `type` got \"\\xff\", which is not UTF-8: make the column `binary`, or mend the string"},
		"a column that is not there": {modrun.Filter(func(e modrun.Event) bool { return e.Int("value") != 0 || e.Int("valeu") == 0 }),
			"0 panic no column `valeu`: there are `type`, `value`; `uses:` of the stage in the pipeline adds a column, " +
				"3 panic no column `valeu`: there are `type`, `value`; `uses:` of the stage in the pipeline adds a column"},
		"a column that was not set": {modrun.Transform(func(e modrun.Event) (modrun.Event, error) {
			if e.Int("value") == 0 {
				return modrun.NewEvent().Set("type", "x"), nil
			}
			return e, nil
		}), "0 error output column `value` was not set and may not be null, 3 error output column `value` was not set and may not be null"},
		"a column that has no place": {modrun.Transform(func(e modrun.Event) (modrun.Event, error) {
			if e.Int("value") == 0 {
				return e.Set("typ", "x"), nil
			}
			return e, nil
		}), "0 error `typ` was set, which is no output column: there are `type`, `value`, 3 error `typ` was set, which is no output " +
			"column: there are `type`, `value`"},
		"rows of a batch": {modrun.TransformBatch(func(in *modrun.Batch, out *modrun.Output) error {
			keep := out.Select()
			for row, value := range in.Int64("value") {
				keep.KeepIf(row, value != 0)
				if value == 0 {
					out.Fail(row, errors.New("nothing"))
				}
			}
			return nil
		}), "0 error nothing, 3 error nothing"},
	}
}

// TestEventsThatFail tells what an event costs that cannot be processed, or not be sent.
func TestEventsThatFail(t *testing.T) {
	in := []reading{{"a", 0}, {"b", 1}, {"c", 1}, {"d", 0}, {"e", 1}}
	for name, c := range failingStages() {
		t.Run(name, func(t *testing.T) {
			got := modruntest.Run[reading](t, c.stage, in)
			var failed []string
			for _, f := range got.Failed {
				failed = append(failed, fmt.Sprint(f.Event, " ", f.Code, " ", f.Message))
			}
			if text := strings.Join(failed, ", "); text != c.rows {
				t.Errorf("failed:\n%s\nnot\n%s", text, c.rows)
			}
			if !slices.Equal(got.Events, []reading{{"b", 1}, {"c", 1}, {"e", 1}}) || got.Filtered != 0 {
				t.Errorf("went on: %v, filtered: %d", got.Events, got.Filtered)
			}
		})
	}
}

func errorIf(condition bool, err error) error {
	if condition {
		return err
	}
	return nil
}

func TestAFailedBatchCostsItsEvents(t *testing.T) {
	for name, stage := range map[string]modrun.Stage{
		"error": modrun.TransformBatch(func(in *modrun.Batch, out *modrun.Output) error {
			out.Select().KeepAll()
			return errorIf(in.Int64("value")[0] == 3, errors.New("three"))
		}),
		"panic": modrun.TransformBatch(func(in *modrun.Batch, out *modrun.Output) error {
			out.Select().KeepAll()
			if in.Int64("value")[0] == 3 {
				panic("three")
			}
			return nil
		}),
		"columns of unequal length": modrun.TransformBatch(func(in *modrun.Batch, out *modrun.Output) error {
			if in.Int64("value")[0] == 3 {
				out.Table().Int64("value").Append(1)
			}
			out.Select().KeepAll()
			return nil
		}),
	} {
		got := modruntest.Run[reading](t, stage, []reading{{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}, {"e", 5}}, modruntest.BatchRows(2))
		if len(got.Failed) != 2 || got.Failed[0].Event != 2 || got.Failed[1].Event != 3 ||
			!slices.Equal(got.Events, []reading{{"a", 1}, {"b", 2}, {"e", 5}}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

type limit struct {
	Least int64
	Big   int64
	Names []string
}

func TestConfiguration(t *testing.T) {
	stage := modrun.Open(func(o modrun.Opening, config limit) (modrun.Stage, error) {
		if config.Big != 9007199254740993 || o.Stage != "stage" || o.Input.String() != "type string, value int64" {
			return modrun.Stage{}, fmt.Errorf("%+v %+v", config, o)
		}
		return modrun.Filter(func(r reading) bool { return r.Value >= config.Least && slices.Contains(config.Names, r.Type) }), nil
	})
	modruntest.Check(t, stage, []reading{{"a", 1}, {"a", 2}, {"b", 3}}, []reading{{"a", 2}},
		modruntest.Config(map[string]any{"least": 2, "big": int64(9007199254740993), "names": []string{"a"}}))
}

// TestOutputColumns tells where the output's columns come from.
func TestOutputColumns(t *testing.T) {
	type counted struct {
		Key   string
		Count int64
	}
	type flipped struct {
		Count int64
		Key   string `modrun:"key"`
		Note  string `modrun:"-"`
		note  string
	}
	toCounted := modrun.Transform(func(r reading) (counted, error) { return counted{r.Type, r.Value}, nil })
	toFlipped := modrun.Transform(func(r reading) (flipped, error) { return flipped{Key: r.Type, Count: r.Value, note: "x"}, nil })
	in, want := []reading{{"a", 1}, {"b", 2}}, []counted{{"a", 1}, {"b", 2}}
	modruntest.Check(t, toCounted, in, want)
	modruntest.Check(t, toFlipped, in, want) // the pipeline says the order
	// The struct says the columns where the pipeline says others.
	modruntest.Check(t, toCounted, in, want, modruntest.Output("key string, count int64"))
	if got := modruntest.Run[counted](t, toCounted, in, modruntest.Output("type string, value int64")); fmt.Sprint(got.Events) !=
		fmt.Sprint(want) {
		t.Errorf("%+v", got)
	}
	// Or the declaration does.
	declared := modrun.Transform(func(r reading) (modrun.Event, error) {
		return modrun.NewEvent().Set("key", r.Type).Set("count", r.Value), nil
	}).Output("key string, count int64")
	if got := modruntest.Run[counted](t, declared, in, modruntest.Output("type string, value int64")); fmt.Sprint(got.Events) !=
		fmt.Sprint(want) {
		t.Errorf("%+v", got)
	}
}

func TestThePlaceOfAPanicIsTold(t *testing.T) {
	got := modruntest.Run[reading](t, modrun.Filter(panics), []reading{{"a", 1}})
	if len(got.Failed) != 1 || !strings.HasPrefix(got.Failed[0].Detail, "modularruntime/modrun_test.panics\n\t") ||
		strings.Count(got.Failed[0].Detail, "\n") != 2 {
		t.Errorf("%q", got.Failed)
	}
}

func panics(r reading) bool { panic(r.Type) }
