package modruntest_test

import (
	"fmt"
	"strings"
	"testing"

	"modularruntime/modrun"
	"modularruntime/modrun/modruntest"
)

type number struct{ N int64 }

// recorder notes what a test says instead of failing.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, values ...any) {
	r.said = append(r.said, fmt.Sprintf(format, values...))
}

// TestCheckTellsTheDifference checks the checker: what must fail does.
func TestCheckTellsTheDifference(t *testing.T) {
	double := modrun.Transform(func(in number) (number, error) {
		if in.N == 0 {
			return in, fmt.Errorf("nothing to double")
		}
		return number{2 * in.N}, nil
	})
	for _, c := range []struct {
		in, want []number
		said     string
	}{
		{[]number{{1}, {2}}, []number{{2}, {4}}, ""},
		{[]number{{1}, {2}}, []number{{2}, {5}}, "the stage emitted\n    {\"n\":2}\n    {\"n\":4}\nnot\n    {\"n\":2}\n    {\"n\":5}\n"},
		{[]number{{1}}, nil, "the stage emitted\n    {\"n\":2}\nnot\n    nothing\n"},
		{[]number{{1}, {1}, {1}, {1}, {0}}, []number{{2}, {2}, {2}, {2}}, "event 4 failed: nothing to double"},
	} {
		r := &recorder{TB: t}
		modruntest.Check(r, double, c.in, c.want)
		if said := strings.Join(r.said, "; "); said != c.said {
			t.Errorf("%v, %v: %s", c.in, c.want, said)
		}
	}
}

// TestWhatIsLentIsTakenBack has a stage look at a batch after its time.
func TestWhatIsLentIsTakenBack(t *testing.T) {
	var held []int64
	broken := false
	stage := modrun.TransformBatch(func(in *modrun.Batch, out *modrun.Output) error {
		for _, n := range held {
			broken = broken || n != 1
		}
		held = in.Int64("n")
		return nil
	})
	in := make([]number, 5000)
	for at := range in {
		in[at].N = 1
	}
	modruntest.Run[number](t, stage, in, modruntest.BatchRows(500))
	if !broken {
		t.Error("memory that was given back was left as it was")
	}
}

func TestEventsNeedColumns(t *testing.T) {
	pass := modrun.Transform(func(e modrun.Event) (modrun.Event, error) { return e.Set("m", e.Int("n")+1), nil })
	in := []modrun.Event{modrun.NewEvent().Set("n", 1), modrun.NewEvent().Set("n", 2)}
	want := []modrun.Event{modrun.NewEvent().Set("n", 1).Set("m", 2), modrun.NewEvent().Set("n", 2).Set("m", 3)}
	columns := []modruntest.Option{modruntest.Input("n int64"), modruntest.Output("n int64, m int64")}
	modruntest.Check(t, pass, in, want, columns...)
	got := modruntest.Run[modrun.Event](t, pass, in, columns...)
	if len(got.Events) != 2 || got.Events[1].Int("m") != 3 {
		t.Errorf("%+v", got)
	}
}
