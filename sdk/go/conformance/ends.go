package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"modularruntime/modrun"
)

func ends() map[string]forms {
	return map[string]forms{
		"numbers":      {modrun.Open(openNumbers), modrun.Open(openNumbersBatch)},
		"endless":      {modrun.Open(openEndless), modrun.Open(openEndlessBatch)},
		"fail_source":  {modrun.Open(openNumbers), modrun.Open(openNumbersBatch)},
		"lines":        one(modrun.Open(openLines)),
		"slow_sink":    one(modrun.Open(slowSink)),
		"slow_numbers": {modrun.Open(openSlow), modrun.Open(openSlowBatch)},
		"fail_sink":    {modrun.Sink(func(modrun.Event) error { return errFire }), modrun.SinkBatch(func(*modrun.Batch) error { return errFire })},
	}
}

// slowRows are made between two sleeps.
const slowRows = 10

var errFire = errors.New("disk on fire")

type numbersConfig struct {
	Count int64
	Fail  *int64
}

// numbers counts from Next to Count.
type numbers struct {
	N      int64
	config numbersConfig
}

type numbered struct {
	N int64
	S string
}

func restoreNumbers(o modrun.Opening, config numbersConfig) (*numbers, error) {
	s := &numbers{config: config}
	if o.State == nil {
		return s, nil
	}
	return s, json.Unmarshal(o.State, s)
}

func openNumbers(o modrun.Opening, config numbersConfig) (modrun.Stage, error) {
	s, err := restoreNumbers(o, config)
	return modrun.StatefulSource(s), err
}

func openEndless(o modrun.Opening, _ any) (modrun.Stage, error) {
	return openNumbers(o, numbersConfig{Count: math.MaxInt64})
}

var digits = [10]string{"s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"}

func (s *numbers) Next() (row numbered, err error) {
	switch n := s.N; {
	case n >= s.config.Count:
		return row, io.EOF
	case s.config.Fail != nil && n == *s.config.Fail:
		return row, errors.New("dry")
	default:
		s.N++
		return numbered{n, digits[n%10]}, nil
	}
}

func (s *numbers) Snapshot() ([]byte, error) { return json.Marshal(s) }

// numbersBatch makes many at a time.
type numbersBatch struct{ *numbers }

func openNumbersBatch(o modrun.Opening, config numbersConfig) (modrun.Stage, error) {
	s, err := restoreNumbers(o, config)
	return modrun.StatefulSourceBatch(numbersBatch{s}), err
}

func openEndlessBatch(o modrun.Opening, _ any) (modrun.Stage, error) {
	return openNumbersBatch(o, numbersConfig{Count: math.MaxInt64})
}

func (s numbersBatch) Next(table *modrun.Table, rows int) error {
	n, text := table.Int64("n"), table.String("s")
	for range rows {
		row, err := s.numbers.Next()
		if err != nil {
			return err
		}
		n.Append(row.N)
		text.Append(row.S)
	}
	return nil
}

type slowConfig struct {
	numbersConfig
	resting
}

// slowNumbers sleeps before it goes on.
type slowNumbers struct {
	*numbers
	rest resting
}

func openSlow(o modrun.Opening, config slowConfig) (modrun.Stage, error) {
	s, err := restoreNumbers(o, config.numbersConfig)
	return modrun.StatefulSource(slowNumbers{s, config.resting}), err
}

func (s slowNumbers) Next() (numbered, error) {
	if s.N < s.config.Count && s.N%slowRows == 0 {
		s.rest.sleep()
	}
	return s.numbers.Next()
}

func (s slowNumbers) Snapshot() ([]byte, error) {
	s.rest.sleep()
	return s.numbers.Snapshot()
}

// slowNumbersBatch makes few at a time.
type slowNumbersBatch struct{ slowNumbers }

func openSlowBatch(o modrun.Opening, config slowConfig) (modrun.Stage, error) {
	s, err := restoreNumbers(o, config.numbersConfig)
	return modrun.StatefulSourceBatch(slowNumbersBatch{slowNumbers{s, config.resting}}), err
}

func (s slowNumbersBatch) Next(table *modrun.Table, rows int) error {
	if s.N < s.config.Count {
		s.rest.sleep()
	}
	return numbersBatch{s.numbers}.Next(table, min(rows, slowRows))
}

func openLines(_ modrun.Opening, config struct{ Path string }) (modrun.Stage, error) {
	if config.Path == "" {
		return modrun.Stage{}, fmt.Errorf("`path` is missing: name the file to write")
	}
	return modrun.JSONLines(config.Path), nil
}
