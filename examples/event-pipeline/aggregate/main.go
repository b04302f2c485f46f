// Command aggregate counts, sums and averages the values of each type, a batch at a time.
package main

import (
	"cmp"
	"slices"
	"strings"

	modrun "modularruntime/modrun"
)

type group struct {
	key        string
	count, sum int64
}

type aggregate struct{ groups map[string]*group }

// Process adds a batch to the groups: by code, where the types come as codes.
func (a *aggregate) Process(in *modrun.Batch, out *modrun.Output) error {
	types, values := in.String("type"), in.Int64("value")
	codes, names, coded := types.Codes()
	if !coded {
		for row, value := range values {
			a.group(types.At(row)).add(1, value)
		}
		return nil
	}
	var counts, sums [256]int64
	for row, code := range codes {
		counts[code]++
		sums[code] += values[row]
	}
	for code, name := range names {
		if counts[code] > 0 {
			a.group(name).add(counts[code], sums[code])
		}
	}
	return nil
}

func (a *aggregate) group(key string) *group {
	if g := a.groups[key]; g != nil {
		return g
	}
	g := &group{key: strings.Clone(key)}
	a.groups[g.key] = g
	return g
}

func (g *group) add(count, sum int64) {
	g.count += count
	g.sum += sum
}

// Finish emits one row for each type, sorted by it.
func (a *aggregate) Finish(out *modrun.Output) error {
	groups := make([]*group, 0, len(a.groups))
	for _, g := range a.groups {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(x, y *group) int { return cmp.Compare(x.key, y.key) })
	table := out.Table()
	for _, g := range groups {
		table.String("key").Append(g.key)
		table.Int64("count").Append(g.count)
		table.Int64("sum").Append(g.sum)
		table.Float64("avg").Append(float64(g.sum) / float64(g.count))
	}
	return nil
}

func main() {
	modrun.Run(modrun.StatefulBatch(&aggregate{groups: map[string]*group{}}))
}
