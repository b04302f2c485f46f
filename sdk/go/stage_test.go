package modrun_test

import (
	"fmt"
	"testing"

	"modularruntime/modrun"
	"modularruntime/modrun/modruntest"
)

type reading struct {
	Type  string
	Value int64
}

func TestFilter(t *testing.T) {
	rules := modrun.Filter(func(r reading) bool { return r.Type != "view" && r.Value >= 10 })
	modruntest.Check(t, rules, []reading{{"view", 50}, {"buy", 10}, {"buy", 9}, {"click", 11}},
		[]reading{{"buy", 10}, {"click", 11}})
}

func TestFailures(t *testing.T) {
	stage := modrun.Transform(func(r reading) (reading, error) {
		if r.Value == 0 {
			return r, fmt.Errorf("bad value of %s", r.Type)
		}
		r.Value = 100 / (r.Value - 1)
		return r, nil
	})
	got := modruntest.Run[reading](t, stage, []reading{{"a", 0}, {"b", 2}, {"c", 1}, {"d", 0}, {"e", 3}})
	if fmt.Sprint(got.Events) != "[{b 100} {e 50}]" {
		t.Error(got.Events)
	}
	want := "[{0 error bad value of a} {2 runtime.errorString runtime error: integer divide by zero} {3 error bad value of d}]"
	if fmt.Sprint(got.Failed) != want {
		t.Error(got.Failed)
	}
}
