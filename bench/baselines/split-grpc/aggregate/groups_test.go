package main

import (
	"fmt"
	"math"
	"testing"

	"split/aggregate/splitpb"
)

func event(key string, value int64) *splitpb.EnrichedEvent {
	return &splitpb.EnrichedEvent{Key: key, Value: value}
}

func TestGroups(t *testing.T) {
	cases := []struct {
		name   string
		events []*splitpb.EnrichedEvent
		want   string
	}{
		{"no events", nil, "[]"},
		{"sorted by key", []*splitpb.EnrichedEvent{event("b", 1), event("a", 2), event("b", 2)}, "[a 1 2 2 b 2 3 1.5]"},
		{"zeros and negatives", []*splitpb.EnrichedEvent{event("a", 0), event("a", -3), event("a", 1)}, "[a 3 -2 -0.6666666666666666]"},
		{"the last sum that fits", []*splitpb.EnrichedEvent{event("a", math.MaxInt64-1), event("a", 1)}, "[a 2 9223372036854775807 4.611686018427388e+18]"},
		{"overflow", []*splitpb.EnrichedEvent{event("a", math.MaxInt64), event("a", 1)}, "sum of `a` leaves 64 bits"},
		{"underflow", []*splitpb.EnrichedEvent{event("a", math.MinInt64), event("a", -1)}, "sum of `a` leaves 64 bits"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := aggregated(c.events); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func aggregated(events []*splitpb.EnrichedEvent) string {
	groups := groups{}
	if err := groups.add(events); err != nil {
		return err.Error()
	}
	fields := []any{}
	for _, r := range groups.results() {
		fields = append(fields, r.GetKey(), r.GetCount(), r.GetSum(), r.GetAvg())
	}
	return fmt.Sprint(fields)
}
