// Command conformance is the program that the conformance cases run: `conformance STAGE FORM` is one of the stages that
// conformance/STAGES.md describes, with a handler of events or of batches.
//
// Guarantees: each stage is written as a user would write it, with what package modrun gives to users.
//
// Neighbours: stateless.go, stateful.go and ends.go have the stages.
package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"modularruntime/modrun"
)

// forms is a stage in its two forms; batch is event's where a stage has one form.
type forms struct{ event, batch modrun.Stage }

func one(stage modrun.Stage) forms { return forms{stage, stage} }

func main() {
	stages := map[string]forms{}
	maps.Copy(stages, stateless())
	maps.Copy(stages, stateful())
	maps.Copy(stages, ends())
	if len(os.Args) == 3 {
		if stage, ok := stages[os.Args[1]]; ok {
			switch os.Args[2] {
			case "event":
				modrun.Run(stage.event)
			case "batch":
				modrun.Run(stage.batch)
			}
		}
	}
	names := slices.Sorted(maps.Keys(stages))
	fmt.Fprintf(os.Stderr, "usage: conformance STAGE event|batch, where STAGE is one of %s\n", strings.Join(names, ", "))
	os.Exit(2)
}
