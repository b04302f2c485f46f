package modrunarrow_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/compute"

	modrunarrow "modularruntime/modrun/arrow"
	"modularruntime/modrun/modruntest"
)

// every has a column of each type.
type every struct {
	B *bool
	N *int64
	M int64
	X *float64
	S *string
	D string
	R []byte
	T time.Time
}

func events() []every {
	yes, n, x, s := true, int64(7), 0.5, "text"
	at := time.UnixMicro(1_700_000_000_000_001).UTC()
	return []every{{&yes, &n, 1, &x, &s, "a", []byte{1, 0}, at}, {M: 2, D: "b", T: at}, {&yes, nil, 3, &x, nil, "a", []byte{}, at},
		{nil, &n, 4, nil, &s, "", nil, at}}
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	same := modrunarrow.Transform(func(in arrow.RecordBatch) (arrow.RecordBatch, error) {
		in.Retain()
		return in, nil
	})
	modruntest.Check(t, same, events(), events())
	modruntest.Check(t, same, []every{}, []every{})
}

func TestComputeKernels(t *testing.T) {
	type number struct{ N int64 }
	doubled := modrunarrow.Transform(func(in arrow.RecordBatch) (arrow.RecordBatch, error) {
		ctx := context.Background()
		sum, err := compute.Add(ctx, compute.ArithmeticOptions{}, compute.NewDatumWithoutOwning(in.Column(0)),
			compute.NewDatumWithoutOwning(in.Column(0)))
		if err != nil {
			return nil, err
		}
		defer sum.Release()
		return in.SetColumn(0, sum.(*compute.ArrayDatum).MakeArray())
	})
	modruntest.Check(t, doubled, []number{{1}, {-5}, {40}, {0}}, []number{{2}, {-10}, {80}, {0}})
}

func TestAnotherTypeIsRefused(t *testing.T) {
	type number struct{ N int64 }
	type text struct{ N string }
	same := modrunarrow.Transform(func(in arrow.RecordBatch) (arrow.RecordBatch, error) {
		in.Retain()
		return in, nil
	})
	result := modruntest.Run[text](t, same, []number{{1}})
	if len(result.Failed) != 1 || !strings.Contains(result.Failed[0].Message, "column `N` of the record is int64") &&
		!strings.Contains(result.Failed[0].Message, "column `n` of the record is int64") {
		t.Errorf("%+v", result.Failed)
	}
}

func TestSink(t *testing.T) {
	rows := int64(0)
	modruntest.RunSink(t, modrunarrow.Sink(func(in arrow.RecordBatch) error {
		rows += in.NumRows()
		return nil
	}), events(), modruntest.BatchRows(2))
	if rows != 4 {
		t.Errorf("%d rows", rows)
	}
}
