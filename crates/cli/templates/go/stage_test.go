package main

import (
	"errors"
	"testing"

	"modularruntime/modrun"
)

func TestEachEventGetsItsLevel(t *testing.T) {
	for value, level := range map[int64]string{12: "high", 10: "high", 3: "low", 0: "low"} {
		if out, err := withLevel(input{User: "ada", Value: value}); err != nil || out.Level != level {
			t.Errorf("%d is %q (%v), not %q", value, out.Level, err, level)
		}
	}
	if _, err := withLevel(input{User: "cleo", Value: -1}); !errors.Is(err, modrun.Drop) {
		t.Errorf("-1 is not dropped: %v", err)
	}
}
