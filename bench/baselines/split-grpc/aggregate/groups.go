package main

import (
	"fmt"
	"maps"
	"slices"

	"split/aggregate/splitpb"
)

type group struct {
	count, sum int64
}

type groups map[string]*group

// add fails when a sum leaves 64 bits.
func (g groups) add(events []*splitpb.EnrichedEvent) error {
	for _, event := range events {
		found := g[event.GetKey()]
		if found == nil {
			found = &group{}
			g[event.GetKey()] = found
		}
		sum := found.sum + event.GetValue()
		if (sum > found.sum) != (event.GetValue() > 0) && event.GetValue() != 0 {
			return fmt.Errorf("sum of `%s` leaves 64 bits", event.GetKey())
		}
		found.count++
		found.sum = sum
	}
	return nil
}

func (g groups) results() []*splitpb.AggregateResult {
	var results []*splitpb.AggregateResult
	for _, key := range slices.Sorted(maps.Keys(g)) {
		results = append(results, &splitpb.AggregateResult{
			Key:   key,
			Count: g[key].count,
			Sum:   g[key].sum,
			Avg:   float64(g[key].sum) / float64(g[key].count),
		})
	}
	return results
}
