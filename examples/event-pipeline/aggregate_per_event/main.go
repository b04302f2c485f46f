// Command aggregate_per_event counts, sums and averages the values of each type, one event at a time.
package main

import (
	"maps"
	"slices"

	modrun "modularruntime/modrun"
)

type event struct {
	Type  string `modrun:"type"`
	Value int64  `modrun:"value"`
}

type result struct {
	Key   string  `modrun:"key"`
	Count int64   `modrun:"count"`
	Sum   int64   `modrun:"sum"`
	Avg   float64 `modrun:"avg"`
}

type aggregate map[string]*result

// Process adds an event to its group.
func (a aggregate) Process(e event, emit func(result)) error {
	group := a[e.Type]
	if group == nil {
		group = &result{Key: e.Type}
		a[group.Key] = group
	}
	group.Count++
	group.Sum += e.Value
	return nil
}

// Finish emits one row for each type, sorted by it.
func (a aggregate) Finish(emit func(result)) error {
	for _, key := range slices.Sorted(maps.Keys(a)) {
		group := a[key]
		group.Avg = float64(group.Sum) / float64(group.Count)
		emit(*group)
	}
	return nil
}

func main() { modrun.Run(modrun.Stateful[event, result](aggregate{})) }
