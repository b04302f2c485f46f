package modrun

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestNumbersPrintAsInECMAScript(t *testing.T) {
	for value, text := range map[float64]string{
		0: "0", math.Copysign(0, -1): "0", 55: "55", -1.5: "-1.5", 55.02395761345312: "55.02395761345312",
		0.30000000000000004: "0.30000000000000004", 1e20: "100000000000000000000", 1e21: "1e+21", 1.5e-10: "1.5e-10",
		123456789012345680000: "123456789012345680000", 1e-6: "0.000001", 1e-7: "1e-7", -1e-7: "-1e-7", 1e100: "1e+100",
		9007199254740993: "9007199254740992", math.MaxFloat64: "1.7976931348623157e+308", 5e-324: "5e-324",
		math.NaN(): "null", math.Inf(1): "null", math.Inf(-1): "null",
	} {
		if got := string(appendJSONNumber(nil, value)); got != text {
			t.Errorf("%s instead of %s", got, text)
		}
	}
}

func TestTimestampsPrintAsISO8601(t *testing.T) {
	for micros, text := range map[int64]string{
		0: "1970-01-01T00:00:00Z", 785_000: "1970-01-01T00:00:00.785Z", 1: "1970-01-01T00:00:00.000001Z",
		-1: "1969-12-31T23:59:59.999999Z", 1_700_000_000_100_000: "2023-11-14T22:13:20.1Z",
		253_402_300_799_999_999: "9999-12-31T23:59:59.999999Z", 253_402_300_800_000_000: "+010000-01-01T00:00:00Z",
		-62_167_219_200_000_000: "0000-01-01T00:00:00Z", -62_167_219_200_000_001: "-000001-12-31T23:59:59.999999Z",
	} {
		if got := string(appendTimestamp(nil, micros)); got != text {
			t.Errorf("%d is %s instead of %s", micros, got, text)
		}
	}
}

func TestStringsHaveNoMoreEscapesThanJSONAsksFor(t *testing.T) {
	const text, want = "a\"b\\\n\t\r\b\f\x01\x1fé☃\u2028</\x7f", `"a\"b\\\n\t\r\b\f\u0001\u001fé☃` + "\u2028" + `</` + "\x7f" + `"`
	if got := string(appendJSONString(nil, []byte(text))); got != want {
		t.Errorf("%s instead of %s", got, want)
	}
}

func TestColumnsAreNamedAfterFields(t *testing.T) {
	for field, column := range map[string]string{
		"Type": "type", "UserID": "user_id", "HTTPServer": "http_server", "N2": "n2", "X": "x", "ÄrgerLevel": "ärger_level",
	} {
		if got := snakeCase(field); got != column {
			t.Errorf("`%s` is `%s`", field, got)
		}
	}
}

func TestLogLinesBeginWithTheirLevel(t *testing.T) {
	var out bytes.Buffer
	before, flags := slog.Default(), log.Flags()
	defer func() {
		slog.SetDefault(before)
		log.SetFlags(flags)
	}()
	routeLogs(&out)
	slog.Error("an error", "n", 1)
	slog.Warn("two\nlines\n")
	slog.With("a", "b c").WithGroup("g").Info("grouped", "x", 2)
	slog.Debug("a detail")
	log.Printf("printed %d", 3)
	slog.Info("")
	const want = "<3>an error n=1\n<4>two\n<4>lines\n<6>grouped a=\"b c\" g.x=2\n<7>a detail\n<6>printed 3\n<6>\n"
	if out.String() != want {
		t.Errorf("%s", out.String())
	}
}

func TestDescriptors(t *testing.T) {
	for text, want := range map[string]string{
		"socket=3,input=4,output=5":   "[3 4 5] <nil>",
		"output=5,socket=3,input=4":   "[3 4 5] <nil>",
		"":                            "[0 0 0] this program is a stage of a pipeline: `modrun run` starts it",
		"socket=3,input=4":            "[3 4 0] `MODRUN_STAGE` is `socket=3,input=4`, not `socket=N,input=N,output=N`: let `modrun run` start the stage",
		"socket=three,input=4":        "[0 0 0] `MODRUN_STAGE` is `socket=three,input=4`, in which `three` is no descriptor: let `modrun run` start the stage",
		"socket=3,input=4,output=5,x": "[3 4 5] <nil>",
	} {
		descriptors, err := parseDescriptors(text)
		if got := fmt.Sprint(descriptors, " ", err); got != want {
			t.Errorf("`%s`: %s", text, got)
		}
	}
}

func TestSelections(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var s Selection
	for _, rows := range []int{0, 1, 7, 8, 63, 64, 65, 200} {
		for range 20 {
			s.reset(rows)
			var kept []int
			for row := range rows {
				keep := random.IntN(2) == 0
				if s.KeepIf(row, keep); keep {
					s.Keep(row)
					kept = append(kept, row)
				}
			}
			var each []int
			s.each(func(row int) { each = append(each, row) })
			payload := bytes.Repeat([]byte{0xAA}, (rows+7)/8)
			s.write(payload)
			for row := range rows {
				if want := slices.Contains(kept, row); s.Kept(row) != want || Bitmap(payload).At(row) != want {
					t.Fatalf("row %d of %v", row, kept)
				}
			}
			if s.Count() != len(kept) || !slices.Equal(each, kept) {
				t.Fatalf("%v, %v, %d", kept, each, s.Count())
			}
			if rest := rows & 7; rest != 0 && payload[len(payload)-1]>>rest != 0 {
				t.Fatalf("unused bits of %x", payload)
			}
		}
		if s.KeepAll(); s.Count() != rows {
			t.Errorf("all of %d are %d", rows, s.Count())
		}
	}
}

func TestErrorsHaveAClass(t *testing.T) {
	plain := errors.New("plain")
	for _, c := range []struct {
		err  error
		code string
	}{
		{plain, "error"}, {fmt.Errorf("more: %w", plain), "error"}, {Fatal(plain), "error"}, {&panicked{value: 1}, "panic"},
		{fmt.Errorf("more: %w", &fs.PathError{Op: "open", Path: "x", Err: plain}), "fs.PathError"},
	} {
		if got := codeOf(c.err); got != c.code {
			t.Errorf("%v is `%s`", c.err, got)
		}
	}
}

func TestFailuresWithEqualWordsAreOneMessage(t *testing.T) {
	var f failures
	for range 2 {
		f.reset()
		for row := range 2*failedRowsMax + 5 {
			f.add(row, errors.New([]string{"even", "odd"}[row%2]))
		}
		var sizes []int
		for _, failed := range f.list {
			sizes = append(sizes, len(failed.Rows))
		}
		if f.rows != 2*failedRowsMax+5 || !slices.Equal(sizes, []int{failedRowsMax, failedRowsMax, 3, 2}) {
			t.Errorf("%d rows in messages of %v", f.rows, sizes)
		}
	}
}
