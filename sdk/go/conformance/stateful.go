package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"modularruntime/modrun"
)

func stateful() map[string]forms {
	return map[string]forms{
		"fatal_on":    {modrun.Open(fatalOn), modrun.Open(fatalOnBatch)},
		"fail_finish": {modrun.Stateful(failFinish{}), modrun.StatefulBatch(failFinishBatch{})},
		"count":       {modrun.Open(openCount), modrun.Open(openCountBatch)},
		"sum":         one(modrun.Open(openSum)),
		"delay":       one(modrun.StatefulBatch(&delay{})),
		"slow_end":    {modrun.Open(slowEnd), modrun.Open(slowEndBatch)},
	}
}

type fatal struct{ n int64 }

func fatalOn(_ modrun.Opening, config number) (modrun.Stage, error) {
	return modrun.Stateful(fatal{config.N}), nil
}

func (f fatal) Process(e modrun.Event, emit func(modrun.Event)) error {
	if meets(e, number{f.n}) {
		return modrun.Fatal(fmt.Errorf("met n: %d", f.n))
	}
	emit(e)
	return nil
}

type fatalBatch struct{ n int64 }

func fatalOnBatch(_ modrun.Opening, config number) (modrun.Stage, error) {
	return modrun.StatefulBatch(fatalBatch{config.N}), nil
}

func (f fatalBatch) Process(in *modrun.Batch, out *modrun.Output) error {
	if valid := in.Valid("n"); slices.Contains(in.Int64("n"), f.n) {
		for row, n := range in.Int64("n") {
			if n == f.n && valid.At(row) {
				return modrun.Fatal(fmt.Errorf("met n: %d", n))
			}
		}
	}
	return echoBatch(in, out)
}

type failFinish struct{}

func (failFinish) Process(e modrun.Event, emit func(modrun.Event)) error {
	emit(e)
	return nil
}

func (failFinish) Finish(func(modrun.Event)) error { return errors.New("too late") }

type failFinishBatch struct{}

func (failFinishBatch) Process(in *modrun.Batch, out *modrun.Output) error { return echoBatch(in, out) }
func (failFinishBatch) Finish(*modrun.Output) error                        { return errors.New("too late") }

// count is how many events there were of each key.
type count struct {
	Keys  map[string]int64
	Nulls int64
}

type counted struct {
	Key   *string
	Count int64
}

func restoreCount(o modrun.Opening) (*count, error) {
	c := &count{Keys: map[string]int64{}}
	if o.State == nil {
		return c, nil
	}
	return c, json.Unmarshal(o.State, c)
}

func openCount(o modrun.Opening, _ any) (modrun.Stage, error) {
	c, err := restoreCount(o)
	return modrun.Stateful(c), err
}

func (c *count) Process(in struct{ S *string }, _ func(counted)) error {
	if in.S == nil {
		c.Nulls++
	} else {
		c.Keys[strings.Clone(*in.S)]++
	}
	return nil
}

func (c *count) Finish(emit func(counted)) error {
	if c.Nulls > 0 {
		emit(counted{nil, c.Nulls})
	}
	for _, key := range slices.Sorted(maps.Keys(c.Keys)) {
		emit(counted{&key, c.Keys[key]})
	}
	return nil
}

func (c *count) Snapshot() ([]byte, error) { return json.Marshal(c) }

// countBatch counts by the codes of the dictionary, where there is one.
type countBatch struct{ *count }

func openCountBatch(o modrun.Opening, _ any) (modrun.Stage, error) {
	c, err := restoreCount(o)
	return modrun.StatefulBatch(countBatch{c}), err
}

func (c countBatch) Process(in *modrun.Batch, _ *modrun.Output) error {
	keys, valid := in.String("s"), in.Valid("s")
	codes, values, coded := keys.Codes()
	var counts [256]int64
	for row := range in.Rows() {
		switch {
		case !valid.At(row):
			c.Nulls++
		case coded:
			counts[codes[row]]++
		default:
			c.Keys[strings.Clone(keys.At(row))]++
		}
	}
	for code, value := range values {
		if counts[code] > 0 {
			c.Keys[value] += counts[code]
		}
	}
	return nil
}

func (c countBatch) Finish(out *modrun.Output) error {
	table := out.Table()
	return c.count.Finish(func(row counted) {
		if row.Key == nil {
			table.String("key").AppendNull()
		} else {
			table.String("key").Append(*row.Key)
		}
		table.Int64("count").Append(row.Count)
	})
}

// sum is the sum of all `n` so far.
type sum struct{ Sum int64 }

func openSum(o modrun.Opening, _ any) (modrun.Stage, error) {
	s := &sum{}
	if o.State == nil {
		return modrun.StatefulBatch(s), nil
	}
	return modrun.StatefulBatch(s), json.Unmarshal(o.State, s)
}

func (s *sum) Process(in *modrun.Batch, out *modrun.Output) error {
	for _, n := range in.Int64("n") {
		added := s.Sum + n
		if (added > s.Sum) != (n > 0) && n != 0 {
			return modrun.Fatal(fmt.Errorf("the sum %d + %d does not fit into an int64", s.Sum, n))
		}
		s.Sum = added
	}
	if in.Rows() > 0 {
		out.Table().Int64("sum").Append(s.Sum)
	}
	return nil
}

func (s *sum) Snapshot() ([]byte, error) { return json.Marshal(s) }

// delay holds the batch before.
type delay struct{ held *modrun.Batch }

func (d *delay) Process(in *modrun.Batch, out *modrun.Output) error {
	err := d.Finish(out)
	d.held = in.Keep()
	return err
}

func (d *delay) Finish(out *modrun.Output) error {
	if d.held != nil {
		out.Batch(d.held)
	}
	return nil
}

// resting sleeps when it is asked for its state.
type resting struct {
	Millis float64 `json:"sleep_ms"`
}

func (r resting) sleep() { time.Sleep(time.Duration(r.Millis * float64(time.Millisecond))) }

func (r resting) Snapshot() ([]byte, error) {
	r.sleep()
	return []byte{}, nil
}

type restingEvents struct{ resting }

func slowEnd(_ modrun.Opening, config resting) (modrun.Stage, error) {
	return modrun.Stateful(restingEvents{config}), nil
}

func (r restingEvents) Process(e modrun.Event, emit func(modrun.Event)) error {
	emit(e)
	return nil
}

func (r restingEvents) Finish(func(modrun.Event)) error {
	r.sleep()
	return nil
}

type restingBatches struct{ resting }

func slowEndBatch(_ modrun.Opening, config resting) (modrun.Stage, error) {
	return modrun.StatefulBatch(restingBatches{config}), nil
}

func (r restingBatches) Process(in *modrun.Batch, out *modrun.Output) error {
	out.Batch(in)
	return nil
}

func (r restingBatches) Finish(*modrun.Output) error {
	r.sleep()
	return nil
}

type restingSink struct{ rest resting }

func slowSink(_ modrun.Opening, config resting) (modrun.Stage, error) {
	return modrun.StatefulSinkBatch(restingSink{config}), nil
}

func (r restingSink) Consume(*modrun.Batch) error {
	r.rest.sleep()
	return nil
}

func (r restingSink) Prepare() (modrun.Artifact, error) {
	r.rest.sleep()
	return modrun.Artifact{}, nil
}
