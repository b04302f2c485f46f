// Command features adds numbers about the last values of each user to its events, one event at a time.
package main

import (
	"fmt"
	"strings"

	modrun "modularruntime/modrun"
)

const (
	scale    = 1000
	factor   = 1_000_003
	modulus  = 1<<31 - 1
	valueMax = 1_000_000_000
)

type config struct {
	By, Value string
	Last      int64
}

type event struct {
	Type, User string
	Value      int64
}

type output struct {
	Type, User                            string
	Value                                 int64
	Count, Mean, Deviation, Score, Digest int64
}

type features struct {
	last    int
	windows map[string][]int64
}

// Process adds an event to the window of its user.
func (f *features) Process(in event, emit func(output)) error {
	if in.Value > valueMax || in.Value < -valueMax {
		return fmt.Errorf("`value` is beyond %d", valueMax)
	}
	window, known := f.windows[in.User]
	if len(window) == f.last {
		copy(window, window[1:])
		window[f.last-1] = in.Value
	} else {
		window = append(window, in.Value)
		user := in.User
		if !known {
			user = strings.Clone(user)
		}
		f.windows[user] = window
	}
	out := of(window)
	out.Type, out.User, out.Value = in.Type, in.User, in.Value
	emit(out)
	return nil
}

// of returns the numbers about a window.
func of(window []int64) output {
	count := int64(len(window))
	sum := int64(0)
	for _, value := range window {
		sum += value
	}
	mean := floor(scale*sum, count)
	distances := int64(0)
	for _, value := range window {
		distances += max(scale*value-mean, mean-scale*value)
	}
	out := output{Count: count, Mean: mean, Deviation: distances / count}
	if out.Deviation > 0 {
		for _, value := range window {
			out.Score = floor(scale*(scale*value-mean), out.Deviation)
			out.Digest = (factor*out.Digest + out.Score) % modulus
			if out.Digest < 0 {
				out.Digest += modulus
			}
		}
	}
	return out
}

// floor divides by a positive number and rounds down.
func floor(a, b int64) int64 {
	quotient := a / b
	if a%b < 0 {
		quotient--
	}
	return quotient
}

func main() {
	modrun.Run(modrun.Open(func(_ modrun.Opening, c config) (modrun.Stage, error) {
		return modrun.Stateful(&features{int(c.Last), map[string][]int64{}}), nil
	}))
}
