package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"syscall"
	"time"

	"modularruntime/modrun"
)

func stateless() map[string]forms {
	return map[string]forms{
		"echo": {
			modrun.Transform(pass),
			modrun.TransformBatch(echoBatch),
		},
		"keep_even": {modrun.Filter(isEven), modrun.FilterBatch(keepEven)},
		"select": {
			modrun.Transform(func(e modrun.Event) (modrun.Event, error) {
				if !isEven(e) {
					return e, modrun.Drop
				}
				return e, nil
			}),
			modrun.TransformBatch(func(in *modrun.Batch, out *modrun.Output) error { return keepEven(in, out.Select()) }),
		},
		"duplicate":  {modrun.Open(duplicate), modrun.Open(duplicateBatch)},
		"derive":     {modrun.Transform(derive), modrun.TransformBatch(deriveBatch)},
		"fail_on":    one(modrun.Open(failOn)),
		"fail_batch": one(modrun.Open(failBatch)),
		"fail_open":  one(modrun.Open(failOpen)),
		"config":     {modrun.Open(configEvent), modrun.Open(configBatch)},
		"log":        one(modrun.Open(logAtLevels)),
		"slow":       one(modrun.Open(slow)),
		"spin":       {modrun.Open(spin), modrun.Open(spinBatch)},
	}
}

func pass(e modrun.Event) (modrun.Event, error) { return e, nil }

func echoBatch(in *modrun.Batch, out *modrun.Output) error {
	table := out.Table()
	table.AddRows(in.Rows())
	for _, field := range in.Schema() {
		table.Copy(field.Name, in, field.Name)
	}
	return nil
}

func isEven(e modrun.Event) bool { return !e.IsNull("n") && e.Int("n")%2 == 0 }

func keepEven(in *modrun.Batch, keep *modrun.Selection) error {
	valid := in.Valid("n")
	for row, n := range in.Int64("n") {
		keep.KeepIf(row, n%2 == 0 && valid.At(row))
	}
	return nil
}

type times struct{ Times int }

func duplicate(_ modrun.Opening, config times) (modrun.Stage, error) {
	return modrun.Expand(func(e modrun.Event, emit func(modrun.Event)) error {
		for range config.Times {
			emit(e)
		}
		return nil
	}), nil
}

func duplicateBatch(_ modrun.Opening, config times) (modrun.Stage, error) {
	return modrun.TransformBatch(func(in *modrun.Batch, out *modrun.Output) error {
		table := out.Table()
		for row := range in.Rows() {
			for range config.Times {
				table.CopyRow(in, row)
			}
		}
		return nil
	}), nil
}

type original struct {
	N *int64
	S *string
	X *float64
	B *bool
	T *time.Time
	R []byte
}

type derived struct {
	N2 *int64
	S2 *string
	X2 *float64
	B2 *bool
	T2 *time.Time
	R2 []byte
}

func derive(in original) (out derived, err error) {
	if in.N != nil && *in.N < math.MaxInt64 {
		n := *in.N + 1
		out.N2 = &n
	}
	if in.S != nil {
		s := *in.S + "!"
		out.S2 = &s
	}
	if in.X != nil {
		x := *in.X / 2
		out.X2 = &x
	}
	if in.B != nil {
		b := !*in.B
		out.B2 = &b
	}
	if in.T != nil {
		t := in.T.Add(time.Second)
		out.T2 = &t
	}
	slices.Reverse(in.R)
	out.R2 = in.R
	return out, nil
}

func deriveBatch(in *modrun.Batch, out *modrun.Output) error {
	table := out.Table()
	n, validN, n2 := in.Int64("n"), in.Valid("n"), table.Int64("n2")
	s, validS, s2 := in.String("s"), in.Valid("s"), table.String("s2")
	x, validX, x2 := in.Float64("x"), in.Valid("x"), table.Float64("x2")
	b, validB, b2 := in.Bool("b"), in.Valid("b"), table.Bool("b2")
	t, validT, t2 := in.Timestamp("t"), in.Valid("t"), table.Timestamp("t2")
	r, validR, r2 := in.Binary("r"), in.Valid("r"), table.Binary("r2")
	for row := range in.Rows() {
		appendIf(validN.At(row) && n[row] < math.MaxInt64, n2, func() { n2.Append(n[row] + 1) })
		appendIf(validS.At(row), s2, func() { s2.Append(s.At(row) + "!") })
		appendIf(validX.At(row), x2, func() { x2.Append(x[row] / 2) })
		appendIf(validB.At(row), b2, func() { b2.Append(!b.At(row)) })
		appendIf(validT.At(row), t2, func() { t2.Append(t[row] + 1_000_000) })
		appendIf(validR.At(row), r2, func() {
			reversed := slices.Clone(r.At(row))
			slices.Reverse(reversed)
			r2.Append(reversed)
		})
	}
	return nil
}

func appendIf(condition bool, column interface{ AppendNull() }, value func()) {
	if condition {
		value()
	} else {
		column.AppendNull()
	}
}

type number struct{ N int64 }

func meets(e modrun.Event, config number) bool { return !e.IsNull("n") && e.Int("n") == config.N }

func failOn(_ modrun.Opening, config number) (modrun.Stage, error) {
	return modrun.Transform(func(e modrun.Event) (modrun.Event, error) {
		if meets(e, config) {
			return e, fmt.Errorf("bad n: %d", config.N)
		}
		return e, nil
	}), nil
}

func failBatch(_ modrun.Opening, config number) (modrun.Stage, error) {
	return modrun.TransformBatch(func(in *modrun.Batch, out *modrun.Output) error {
		valid := in.Valid("n")
		for row, n := range in.Int64("n") {
			if n == config.N && valid.At(row) {
				return fmt.Errorf("bad n: %d", n)
			}
		}
		return echoBatch(in, out)
	}), nil
}

func failOpen(modrun.Opening, any) (modrun.Stage, error) {
	return modrun.Stage{}, errors.New("no luck")
}

type settings struct {
	Text   string
	Number float64
	Whole  int64
	Flag   bool
	List   []int64
	Nested struct{ A string }
}

type setting struct {
	Text   string
	Number float64
	Whole  int64
	Flag   bool
	List   int64
	Nested string
}

func (s settings) row() setting {
	return setting{s.Text, s.Number, s.Whole, s.Flag, int64(len(s.List)), s.Nested.A}
}

func configEvent(_ modrun.Opening, config settings) (modrun.Stage, error) {
	return modrun.Transform(func(modrun.Event) (setting, error) { return config.row(), nil }), nil
}

func configBatch(_ modrun.Opening, config settings) (modrun.Stage, error) {
	row := config.row()
	return modrun.TransformBatch(func(in *modrun.Batch, out *modrun.Output) error {
		table := out.Table()
		for range in.Rows() {
			table.String("text").Append(row.Text)
			table.Float64("number").Append(row.Number)
			table.Int64("whole").Append(row.Whole)
			table.Bool("flag").Append(row.Flag)
			table.Int64("list").Append(row.List)
			table.String("nested").Append(row.Nested)
		}
		return nil
	}), nil
}

func logAtLevels(modrun.Opening, any) (modrun.Stage, error) {
	slog.Error("an error")
	slog.Warn("a warning")
	slog.Info("an information")
	slog.Debug("a detail")
	fmt.Println("printed")
	return modrun.Transform(pass), nil
}

func slow(_ modrun.Opening, config struct {
	Sleep float64 `json:"sleep_ms"`
}) (modrun.Stage, error) {
	return modrun.TransformBatch(func(in *modrun.Batch, out *modrun.Output) error {
		time.Sleep(time.Duration(config.Sleep * float64(time.Millisecond)))
		return echoBatch(in, out)
	}), nil
}

type spinning struct{ Micros int64 }

// spun computes, and returns how long that took.
func (c spinning) spun() int64 {
	begin, end := time.Now(), threadTime()+time.Duration(c.Micros)*time.Microsecond
	for threadTime() < end {
	}
	return int64(time.Since(begin))
}

type text struct{ S *string }

type timed struct {
	S    *string
	Wall int64
}

func spin(_ modrun.Opening, config spinning) (modrun.Stage, error) {
	return modrun.Transform(func(in text) (timed, error) { return timed{in.S, config.spun()}, nil }), nil
}

func spinBatch(_ modrun.Opening, config spinning) (modrun.Stage, error) {
	return modrun.TransformBatch(func(in *modrun.Batch, out *modrun.Output) error {
		wall := config.spun()
		table := out.Table()
		table.Copy("s", in, "s")
		walls := table.Int64("wall")
		for range in.Rows() {
			walls.Append(wall)
			wall = 0
		}
		return nil
	}), nil
}

// threadTime returns the CPU time of the thread, on which the stage's loop stays.
func threadTime() time.Duration {
	const rusageThread = 1
	var usage syscall.Rusage
	if err := syscall.Getrusage(rusageThread, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
