package wire

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestColumnsAreReadAndWritten(t *testing.T) {
	for _, text := range []string{"", "a bool", "key string?, count int64", "a float64, b binary?, c timestamp"} {
		schema, err := ParseSchema(text)
		if err != nil || schema.String() != text {
			t.Errorf("`%s` is read as `%s`: %v", text, schema, err)
		}
	}
	for text, message := range map[string]string{
		"a":              "`a` is no column: write a name and a type, such as `count int64`",
		"a int64, b int": "column `b` has the unknown type `int`: there are bool, int64, float64, string, binary, timestamp",
		"a bool, a bool": "column `a` is there twice",
	} {
		if _, err := ParseSchema(text); err == nil || err.Error() != message {
			t.Errorf("`%s`: %v", text, err)
		}
	}
}

func TestSlotsTakeTheLowestRoomThatFits(t *testing.T) {
	slots := NewSlots(256)
	steps := []struct {
		free, take int // a batch to free, or bytes to take
		offset     int // -1: there is no room
	}{
		{take: 65, offset: 0}, {take: 1, offset: 128}, {take: 64, offset: 192}, {take: 1, offset: -1},
		{free: 1}, {take: 65, offset: -1}, {take: 64, offset: 128}, {free: 0}, {take: 64, offset: 0}, {take: 64, offset: 64},
	}
	seq := uint64(0)
	for at, step := range steps {
		if step.take == 0 {
			slots.Free(uint64(step.free))
			continue
		}
		offset, ok := slots.Take(step.take, seq)
		if ok != (step.offset >= 0) || ok && offset != uint64(step.offset) {
			t.Errorf("step %d: %d, %t", at, offset, ok)
		}
		if ok {
			seq++
		}
	}
}

// TestWholeBufferChecks compares the checks of eight bytes at a time with plain loops.
func TestWholeBufferChecks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		values := make([]byte, random.IntN(40))
		bound, high := random.IntN(260), random.IntN(256)
		for at := range values {
			values[at] = byte(random.IntN(high + 1))
		}
		all, plain, rises := true, true, true
		numbers := make([]int32, len(values))
		for at, value := range values {
			all, plain = all && int(value) < bound, plain && value < 128
			numbers[at] = int32(value)
			if at == 0 {
				numbers[at] = 0
			} else {
				rises = rises && numbers[at] >= numbers[at-1]
			}
		}
		if below(values, bound) != (all && bound <= 128) || ascii(values) != plain || rising(numbers) != rises {
			t.Fatalf("%v, bound %d", values, bound)
		}
		slices.Sort(numbers)
		if !rising(numbers) {
			t.Fatalf("%v falls", numbers)
		}
		count := random.IntN(8*len(values) + 1)
		set := 0
		for at := range count {
			if Bit(values, at) {
				set++
			}
		}
		if ones(values, count) != set {
			t.Fatalf("%v has %d bits of %d", values, set, count)
		}
	}
	for _, numbers := range [][]int32{{0, -1, 2}, {0, 5, 4, 9}, {0, 1 << 30, -1 << 30}, {0, -1 << 31}} {
		if rising(numbers) {
			t.Errorf("%v rises", numbers)
		}
	}
}

// TestStringsAsCodes appends strings in every way that can be mixed, and reads them back.
func TestStringsAsCodes(t *testing.T) {
	literals := []string{"view", "click", "", "☃", "purchase"}
	adopted := coded(t, "click", "zoom")
	cases := []struct {
		name  string
		coded bool
		rows  func(row int, b *Builder) string // appends a row and returns what it must read as
		count int
	}{
		{"literals", true, func(row int, b *Builder) string { return appended(b, literals[row%len(literals)]) }, 1000},
		{"new memory each", false, func(row int, b *Builder) string { return appended(b, fmt.Sprint("s", row%3)) }, 1000},
		{"few new", true, func(row int, b *Builder) string { return appended(b, fmt.Sprint("s", row%3)) }, 50},
		{"too many values", false, func(row int, b *Builder) string {
			if row < 2000 {
				return appended(b, literals[row%len(literals)])
			}
			return appended(b, fmt.Sprint(row))
		}, 2400},
		{"after a column's", true, func(row int, b *Builder) string {
			if row < 10 {
				b.AppendRow(adopted, row%2)
				return string(adopted.Text(row % 2))
			}
			return appended(b, literals[row%len(literals)])
		}, 100},
		{"before a column's", false, func(row int, b *Builder) string {
			if row >= 10 {
				b.AppendRow(adopted, row%2)
				return string(adopted.Text(row % 2))
			}
			return appended(b, literals[row%len(literals)])
		}, 100},
		{"with nulls", true, func(row int, b *Builder) string {
			if row%3 == 0 {
				b.AppendNull()
				return "null"
			}
			return appended(b, literals[row%len(literals)])
		}, 100},
		{"only nulls", false, func(_ int, b *Builder) string { b.AppendNull(); return "null" }, 20},
	}
	columns := []Builder{{Field: Field{"s", String, true}}}
	columns[0].Reset()
	for range 2 * coderPauses { // the same builder again, so that what it remembers is tested too
		for _, c := range cases {
			columns[0].Reset()
			var want []string
			for row := range c.count {
				want = append(want, c.rows(row, &columns[0]))
			}
			if got := strings.Join(rows(t, columns, c.count), " "); got != strings.Join(want, " ") {
				t.Fatalf("%s: %s", c.name, got)
			}
		}
	}
	for _, c := range cases {
		columns := []Builder{{Field: Field{"s", String, true}}}
		columns[0].Reset()
		for row := range c.count {
			c.rows(row, &columns[0])
		}
		if columns[0].coded != c.coded {
			t.Errorf("%s: coded is %t", c.name, columns[0].coded)
		}
	}
}

func appended(b *Builder, text string) string {
	b.AppendString(text)
	return text
}

// coded returns a column of a dictionary's values.
func coded(t *testing.T, values ...string) *Column {
	columns := []Builder{{Field: Field{"s", String, true}}}
	columns[0].Reset()
	for code := range values {
		columns[0].AppendCoded(values, uint8(code))
	}
	var table Table
	if err := table.Decode(CopyAligned(nil, written(columns, 0, len(values))), Schema{columns[0].Field}); err != nil {
		t.Fatal(err)
	}
	return &table.Columns[0]
}

// rows writes and reads a string column.
func rows(t *testing.T, columns []Builder, count int) (values []string) {
	var table Table
	if err := table.Decode(CopyAligned(nil, written(columns, 0, count)), Schema{columns[0].Field}); err != nil {
		t.Fatal(err)
	}
	for row := range count {
		if table.Columns[0].IsNull(row) {
			values = append(values, "null")
		} else {
			values = append(values, string(table.Columns[0].Text(row)))
		}
	}
	return values
}

// TestFramesOfAllSizes sends frames whose payloads grow beyond the reader's room.
func TestFramesOfAllSizes(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	sizes := []int{0, 1, 16, 70_000, 3, readBytes - 60, 300_000, 7, 1 << 20}
	sent := make(chan error, 1)
	go func() {
		writer := NewWriter(fds[1])
		for at, size := range sizes {
			payload := writer.Batch(Batch{Seq: uint64(at), Offset: None, Length: uint32(size)}, size)
			copy(payload, bytes.Repeat([]byte{byte(at)}, size))
			if at%3 == 2 {
				writer.Credit(Credit{Seq: uint64(at)})
			}
		}
		sent <- errors.Join(writer.Flush(), syscall.Shutdown(fds[1], syscall.SHUT_WR))
	}()
	reader := NewReader(fds[0])
	reader.AllowInline(1 << 20)
	batches, credits := 0, 0
	for {
		frame, ok, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			if _, err := reader.Fill(true); err != nil {
				break
			}
			continue
		}
		if IsCredit(frame.Message) {
			credits++
			continue
		}
		batch, err := ParseBatch(frame.Message)
		if err != nil || batch.Seq != uint64(batches) || !bytes.Equal(frame.Payload, bytes.Repeat([]byte{byte(batches)}, sizes[batches])) {
			t.Fatalf("batch %d is %+v of %d bytes: %v", batches, batch, len(frame.Payload), err)
		}
		batches++
	}
	if err := <-sent; err != nil || batches != len(sizes) || credits != 3 {
		t.Errorf("%d batches, %d credits: %v", batches, credits, err)
	}
}

func TestTextsOfFailuresAreCutAtTheFront(t *testing.T) {
	failed := Failed{Message: strings.Repeat("é", 600) + "\nend", Detail: strings.Repeat("x", 9000) + "last"}
	got, err := ParseFailed(bodyOf(t, failed.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Message) > failureMessageMax || !strings.HasSuffix(got.Message, "é end") || got.Message[0] != "é"[0] {
		t.Errorf("message of %d bytes: %q", len(got.Message), got.Message[:8])
	}
	if len(got.Detail) != failureDetailMax || !strings.HasSuffix(got.Detail, "last") {
		t.Errorf("detail of %d bytes", len(got.Detail))
	}
}

func bodyOf(t *testing.T, message []byte) []byte {
	_, body, err := ParseFrom(Frame{Message: message})
	if err != nil {
		t.Fatal(err)
	}
	return body
}
