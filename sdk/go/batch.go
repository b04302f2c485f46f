package modrun

import (
	"fmt"
	"slices"
	"unsafe"

	"modularruntime/modrun/internal/wire"
)

// Batches that handlers are lent, and their columns.

// Batch is the rows of one input batch, by column.
//
// It is lent: the batch, and all slices that it gives, are good until the handler returns. Keep makes
// a copy that stays. A column that is not there, or has another type, panics with a message that names those there are;
// in a handler that costs the events of the batch.
type Batch struct {
	schema  Schema
	table   wire.Table
	texts   []text
	payload []byte
	seq     uint64
	found   found
}

// found remembers where columns are, by the place of their names in memory: a handler asks with the same literals for
// each event.
type found [16]struct {
	name string // keeps the memory from being used for another name
	at   int
}

func (f *found) index(name string, b *Batch) int {
	address := uintptr(unsafe.Pointer(unsafe.StringData(name)))
	slot := &f[(address^address>>4^uintptr(len(name)))%uintptr(len(f))]
	same := len(name) > 0 && len(slot.name) == len(name) && unsafe.StringData(slot.name) == unsafe.StringData(name)
	if same && slot.at < len(b.schema) {
		return slot.at
	}
	at := b.index(name)
	slot.name, slot.at = name, at
	return at
}

// text is what a string column has been turned into for those who may keep it.
type text struct {
	dictionary []string          // of this batch, if resolved
	resolved   bool              //
	known      map[string]string // values of the dictionaries before
	last       []string          // dictionary of the batch before, by code

	piece    string // a copy of the strings of some rows
	from, to int    // which rows
}

const (
	pieceRows  = 512     // of a plain string column that are copied at once
	pieceBytes = 1 << 14 // and how many bytes; what a handler keeps of them keeps all
	knownMax   = 4096    // values of dictionaries that are remembered
)

// bind makes the batch look at a payload. The batch takes hold of the payload.
func (b *Batch) bind(payload []byte, schema Schema, seq uint64) error {
	b.schema, b.payload, b.seq = schema, payload, seq
	if err := b.table.Decode(payload, schema); err != nil {
		return err
	}
	if len(b.texts) != len(schema) {
		b.texts = make([]text, len(schema))
	}
	for at := range b.texts {
		t := &b.texts[at]
		t.resolved, t.from, t.to = false, 0, 0
	}
	return nil
}

// Rows returns how many rows the batch has.
func (b *Batch) Rows() int { return b.table.Rows }

// Schema returns the columns of the batch, in order.
func (b *Batch) Schema() Schema { return b.schema }

// Keep returns a copy of the batch that stays good after the handler has returned.
func (b *Batch) Keep() *Batch {
	kept := &Batch{}
	if err := kept.bind(wire.CopyAligned(nil, b.payload), b.schema, b.seq); err != nil {
		panic(fmt.Sprintf("the copy of a table that was read cannot be read: %v", err))
	}
	return kept
}

// index returns the position of a column that must be there.
func (b *Batch) index(name string) int {
	for at := range b.schema {
		if b.schema[at].Name == name {
			return at
		}
	}
	panic(noColumn(name, b.schema))
}

func noColumn(name string, schema Schema) error {
	return fmt.Errorf("no column `%s`: there are %s; `uses:` of the stage in the pipeline adds a column", name,
		schema.Names())
}

func wrongType(name string, have, asked Type) error {
	return fmt.Errorf("column `%s` is %s, not %s", name, have, asked)
}

// column returns a column that must be there and of the type.
func (b *Batch) column(name string, is Type) *wire.Column {
	at := b.index(name)
	if have := b.schema[at].Type; have != is {
		panic(wrongType(name, have, is))
	}
	return &b.table.Columns[at]
}

// Int64 returns the values of an int64 column; where a row is null, any.
func (b *Batch) Int64(name string) []int64 { return b.column(name, wire.Int64).Int64s() }

// Float64 returns the values of a float64 column; where a row is null, any.
func (b *Batch) Float64(name string) []float64 {
	return b.column(name, wire.Float64).Float64s()
}

// Timestamp returns the microseconds since 1970 in UTC of a timestamp column; where a row is null, any.
func (b *Batch) Timestamp(name string) []int64 {
	return b.column(name, wire.Timestamp).Int64s()
}

// Bool returns the values of a bool column; where a row is null, any.
func (b *Batch) Bool(name string) Bitmap { return b.column(name, wire.Bool).Bits() }

// Valid tells which rows of a column have a value.
func (b *Batch) Valid(name string) Validity { return b.table.Columns[b.index(name)].Valid }

// String returns the values of a string column.
func (b *Batch) String(name string) Strings {
	column := b.column(name, wire.String)
	return Strings{column, &b.texts[b.index(name)], b.table.Rows}
}

// Binary returns the values of a binary column.
func (b *Batch) Binary(name string) Binaries {
	return Binaries{b.column(name, wire.Binary)}
}

// Strings is a string column of a batch, plain or as codes of a dictionary.
type Strings struct {
	column *wire.Column
	text   *text
	rows   int
}

// At returns the string of a row, empty if it is null. It is the caller's to keep; of a plain column it is part of a copy
// of up to 16 KiB, from which strings.Clone frees one that stays for long.
func (s Strings) At(row int) string {
	if s.column.IsNull(row) {
		return ""
	}
	return s.text.at(s.column, row, s.rows)
}

// Bytes returns the bytes of the string of a row, nil if it is null, without copying them. They are lent like the batch,
// and must not be changed.
func (s Strings) Bytes(row int) []byte {
	if s.column.IsNull(row) {
		return nil
	}
	return s.column.Text(row)
}

// Codes returns a code for each row (where it is null, any) and what the codes stand for, if the column came so; ok is
// false if it is plain. The values, at most 256, are the caller's to keep.
func (s Strings) Codes() (codes []uint8, values []string, ok bool) {
	if !s.column.Coded {
		return nil, nil, false
	}
	return s.column.Codes(), s.text.values(s.column), true
}

// Buffers returns the strings of a plain column, or of the dictionary of a coded one, as they lie in memory: string n is
// bytes[starts[n]:starts[n+1]]. They are lent like the batch, and must not be changed.
func (s Strings) Buffers() (starts []int32, bytes []byte) { return s.column.Strings() }

// Binaries is a binary column of a batch.
type Binaries struct{ column *wire.Column }

// At returns the bytes of a row, nil if it is null. They are lent like the batch, and must not be changed.
func (b Binaries) At(row int) []byte {
	if b.column.IsNull(row) {
		return nil
	}
	return b.column.Entry(row)
}

// Buffers returns the values as they lie in memory: value n is bytes[starts[n]:starts[n+1]]. They are lent like the batch,
// and must not be changed.
func (b Binaries) Buffers() (starts []int32, bytes []byte) { return b.column.Strings() }

// values returns the dictionary of a coded column as strings that stay. Values seen before are not made again.
func (t *text) values(column *wire.Column) []string {
	if t.resolved {
		return t.dictionary
	}
	t.last, t.dictionary = t.dictionary, t.last[:0]
	for at := range column.Size {
		t.dictionary = append(t.dictionary, t.remembered(at, column.Entry(at)))
	}
	t.resolved = true
	return t.dictionary
}

func (t *text) remembered(at int, value []byte) string {
	if at < len(t.last) && t.last[at] == string(value) {
		return t.last[at]
	}
	if known, ok := t.known[string(value)]; ok {
		return known
	}
	if t.known == nil || len(t.known) >= knownMax {
		t.known = make(map[string]string)
	}
	made := string(value)
	t.known[made] = made
	return made
}

// copyPiece makes a copy of the strings of a plain column from a row on.
func (t *text) copyPiece(column *wire.Column, from, to int) {
	starts, bytes := column.Strings()
	first := starts[from]
	end := from + 1
	if whole := min(to, from+pieceRows); starts[whole]-first <= pieceBytes {
		end = whole
	} else {
		more, _ := slices.BinarySearch(starts[from+1:whole+1], first+pieceBytes+1)
		end = max(end, from+more)
	}
	t.piece, t.from, t.to = string(bytes[first:starts[end]]), from, end
}

// at returns the string of a row that is not null, to keep.
func (t *text) at(column *wire.Column, row, rows int) string {
	if column.Coded {
		return t.values(column)[column.Codes()[row]]
	}
	if row < t.from || row >= t.to {
		t.copyPiece(column, row, rows)
	}
	starts, _ := column.Strings()
	first := starts[t.from]
	return t.piece[starts[row]-first : starts[row+1]-first]
}
