// The stage `{{name}}`: says how high each event's value is, and drops what is below 0.
package main

import "modularruntime/modrun"

type input struct {
	User  string
	Value int64
}

type output struct {
	User  string
	Value int64
	Level string
}

var stage = modrun.Transform(withLevel)

func withLevel(in input) (output, error) {
	if in.Value < 0 {
		return output{}, modrun.Drop
	}
	level := "low"
	if in.Value >= 10 {
		level = "high"
	}
	return output{User: in.User, Value: in.Value, Level: level}, nil
}
