package modrun_test

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"modularruntime/modrun"
	"modularruntime/modrun/modruntest"
)

// The README's examples, so that they are compiled and run.

type Reading struct {
	Type  string
	Value int64
}

func rules() modrun.Stage {
	run := func(stage modrun.Stage) modrun.Stage { return stage }
	return run(modrun.Filter(func(r Reading) bool { return r.Type != "view" && r.Value >= 10 }))
}

func scores() modrun.Stage {
	return modrun.Transform(func(e modrun.Event) (modrun.Event, error) {
		return modrun.NewEvent().Set("user", e.String("user")).Set("score", float64(e.Int("value"))/10), nil
	}).Output("user string?, score float64")
}

type Limits struct{ Least int64 }

func limited() modrun.Stage {
	return modrun.Open(func(o modrun.Opening, limits Limits) (modrun.Stage, error) {
		return modrun.Filter(func(r Reading) bool { return r.Value >= limits.Least }), nil
	})
}

type Number struct{ N int64 }

func hundred() modrun.Stage {
	return modrun.Source(func(yield func(Number) bool) error {
		for n := range int64(100) {
			if !yield(Number{n}) {
				break
			}
		}
		return nil
	})
}

type table struct{ steps []string }

func (s *table) Consume(r Reading) error           { return s.did("consume " + r.Type) }
func (s *table) Prepare() (modrun.Artifact, error) { return modrun.Artifact{}, s.did("prepare") }
func (s *table) Commit() error                     { return s.did("commit") }

func (s *table) did(step string) error {
	s.steps = append(s.steps, step)
	return nil
}

func coded() modrun.Stage {
	return modrun.FilterBatch(func(in *modrun.Batch, keep *modrun.Selection) error {
		codes, types, ok := in.String("type").Codes()
		if !ok {
			return errors.New("`type` came without a dictionary")
		}
		var pass [256]bool
		for code, name := range types {
			pass[code] = name != "view"
		}
		for row, value := range in.Int64("value") {
			keep.KeepIf(row, pass[codes[row]] && value >= 10)
		}
		return nil
	})
}

type Total struct {
	Key   string
	Count int64
}

type count struct{ Counts map[string]int64 }

func (c *count) Process(r Reading, emit func(Total)) error {
	c.Counts[r.Type]++
	return nil
}

func (c *count) Finish(emit func(Total)) error {
	for key, n := range c.Counts {
		emit(Total{key, n})
	}
	return nil
}

func (c *count) Snapshot() ([]byte, error) { return json.Marshal(c) }

func counting() modrun.Stage {
	run := func(stage modrun.Stage) modrun.Stage { return stage }
	return run(modrun.Open(func(o modrun.Opening, _ any) (modrun.Stage, error) {
		c := &count{map[string]int64{}}
		if o.State != nil {
			return modrun.Stateful(c), json.Unmarshal(o.State, c)
		}
		return modrun.Stateful(c), nil
	}))
}

func TestRules(t *testing.T) {
	modruntest.Check(t, rules(), []Reading{{"click", 10}, {"view", 30}}, []Reading{{"click", 10}})
}

func TestTheReadmesStages(t *testing.T) {
	in := []Reading{{"click", 10}, {"view", 30}, {"click", 9}}
	modruntest.Check(t, coded(), in, []Reading{{"click", 10}})
	modruntest.Check(t, limited(), in, in[:2], modruntest.Config(Limits{10}))
	got := modruntest.Run[Total](t, counting(), in[:1])
	modruntest.Check(t, counting(), []Reading{in[0]}, []Total{{"click", 2}}, modruntest.State(got.State))
	if got := modruntest.RunSource[Number](t, hundred()); len(got.Events) != 100 {
		t.Errorf("%d numbers", len(got.Events))
	}
	modruntest.Check(t, scores(), []struct {
		User  string
		Value int64
	}{{"ann", 5}}, []struct {
		User  *string
		Score float64
	}{{&[]string{"ann"}[0], 0.5}})
	s := &table{}
	modruntest.RunSink(t, modrun.StatefulSink(s), in)
	if steps := strings.Join(s.steps, ", "); steps != "consume click, consume view, consume click, prepare, commit" {
		t.Error(steps)
	}
}

// TestTheReadmeShowsWhatIsTested compares the README's lines of Go with those of this file.
func TestTheReadmeShowsWhatIsTested(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	blocks := strings.Split(string(readme), "```")
	for at := 1; at < len(blocks); at += 2 {
		lines, isGo := strings.CutPrefix(blocks[at], "go\n")
		for _, line := range strings.Split(lines, "\n") {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " // ")
			line = strings.NewReplacer("modrun.Run(", "run(", "{ … }", "{", "rules,", "rules(),").Replace(line)
			line = strings.TrimSpace(line)
			if skip := []string{"package", "import", "func main()", "modrunarrow.", "modrun.StatefulSink"}; !isGo || line == "" || begins(line, skip) {
				continue
			}
			if compared++; !strings.Contains(string(code), strings.TrimSuffix(line, ")")) {
				t.Errorf("`%s` is not tested", line)
			}
		}
	}
	if compared < 40 {
		t.Errorf("only %d lines were compared", compared)
	}
}

func begins(line string, words []string) bool {
	for _, word := range words {
		if strings.HasPrefix(line, word) {
			return true
		}
	}
	return false
}
